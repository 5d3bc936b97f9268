"""The scoring server: bodies, limits, the A/B router, the loaded variants, and the app that joins them."""

from common.versions import check_versions

__all__ = ["app", "bodies", "example", "limits", "router", "scorer", "variants"]

check_versions()
