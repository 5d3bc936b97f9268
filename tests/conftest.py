"""Settings of all tests."""

import os

import pytest
import torch
from hypothesis import settings

# Without a GPU the kernels of the Triton backend run under its interpreter, which must be chosen before any import.
os.environ.update({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})

# A slow machine is no failure: tests assert behaviour, never times. CI draws the same examples every time.
settings.register_profile("plexrank", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("plexrank")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where torch sees none."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="torch sees no GPU"))
