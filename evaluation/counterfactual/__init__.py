"""What a new ranker's click-through rate would have been, estimated from another ranker's log."""

__all__ = ["candidates", "doubly_robust", "ips", "logged_rows", "policies", "report", "snips"]
