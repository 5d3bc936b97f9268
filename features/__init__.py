"""Raw logs to tokens: schema, encoders, preparation, data sets, online encoding, loaders, simulation."""

__all__ = [
    "batch",
    "encoded",
    "fitted",
    "loaders",
    "numerics",
    "online",
    "prepare",
    "prepared",
    "schema",
    "simulation",
    "sources",
    "split",
    "summary",
    "tokens",
    "typed",
    "vocabulary",
]
