"""What every part shares and that belongs to none: errors, settings, atomic files, the version check."""

__all__ = ["errors", "files", "mixing", "quiet", "settings", "text", "versions"]
