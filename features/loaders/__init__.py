"""Loaders: a user's own download of a public data set to input files and a ready schema, one module a set."""

__all__ = ["criteo", "frappe", "movielens"]
