"""The rankers, one a file; the file's name is the ranker's name in run files."""

import pkgutil

# Whatever lies in the folder: a new ranker is a new file, and no list needs to know of it.
__all__ = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
