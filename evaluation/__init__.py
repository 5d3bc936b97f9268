"""What a set of predictions is worth: exact metrics and the report that joins them."""

__all__ = ["counterfactual", "estimate", "interval", "metrics", "page", "report", "rows", "state", "undefined"]
