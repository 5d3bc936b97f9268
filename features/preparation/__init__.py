"""Preparation: raw files to a prepared set, part by part."""

__all__ = ["engine", "plan", "prepare", "ray_engine", "split", "summary", "work"]
