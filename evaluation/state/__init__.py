"""What metrics remember of the rows they have seen: states that grow chunk by chunk and merge."""

__all__ = ["grouped_rows", "partitions", "score_distribution", "score_histogram", "sorted_rows"]
