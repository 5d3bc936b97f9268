"""Raw logs to tokens: schema, sources, encoding, preparation, data sets, histories, profiles, loaders, simulation."""

__all__ = [
    "datasets",
    "encoding",
    "histories",
    "loaders",
    "preparation",
    "profile",
    "schema",
    "simulation",
    "sources",
]
