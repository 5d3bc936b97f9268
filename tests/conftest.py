"""Settings of all tests."""

import os

from hypothesis import settings

# A slow machine is no failure: tests assert behaviour, never times. CI draws the same examples every time.
settings.register_profile("plexrank", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("plexrank")
