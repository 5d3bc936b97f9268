"""The check of the torch, torchrec, fbgemm triple, against package metadata as it lies on a disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.versions import FBGEMM, TORCH, TORCHREC, check_versions, plexrank_version

ROOT = Path(__file__).parents[2]
_CHECK = """
from common.errors import InstallError
from common.versions import check_versions
try:
    check_versions()
except InstallError as problem:
    print(problem)
"""
_FIT = {"torch": TORCH, "torchrec": TORCHREC, "fbgemm-gpu-cpu": FBGEMM}


def _check(folder: Path, installed: dict[str, str]) -> str:
    """What the check prints in a Python whose only packages are these."""
    for name, version in installed.items():
        metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    # Without site (-S), so that nothing that is really installed is found.
    done = subprocess.run(
        [sys.executable, "-S", "-c", _CHECK],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_this_environment_fits() -> None:
    check_versions()


def test_plexrank_names_its_version() -> None:
    assert plexrank_version().split(".")[0].isdigit()


@pytest.mark.parametrize(
    "installed",
    [
        _FIT,
        {"torch": f"{TORCH}+cpu", "torchrec": f"{TORCHREC}+cpu", "fbgemm-gpu-cpu": FBGEMM},
        {"torch": f"{TORCH}+cu130", "torchrec": TORCHREC, "fbgemm-gpu": FBGEMM},
    ],
    ids=["plain", "cpu", "cuda"],
)
def test_the_triple_passes_whatever_its_build(tmp_path: Path, installed: dict[str, str]) -> None:
    assert _check(tmp_path, installed) == ""


@pytest.mark.parametrize("missing", sorted(_FIT))
def test_missing_member_is_named(tmp_path: Path, missing: str) -> None:
    installed = {name: version for name, version in _FIT.items() if name != missing}
    message = _check(tmp_path, installed)
    assert message.startswith(f"{missing} is not installed; ")
    assert "scripts/setup" in message


@pytest.mark.parametrize(
    ("changed", "pair"),
    [
        ({"fbgemm-gpu-cpu": "1.7.0"}, f"torch {TORCH} and fbgemm-gpu-cpu 1.7.0"),
        ({"torchrec": "1.7.0"}, f"torch {TORCH} and torchrec 1.7.0"),
        ({"torch": "2.12.0+cpu"}, "torch 2.12.0+cpu and torchrec 1.8.0"),
        ({"torch": "2.12.0", "fbgemm-gpu-cpu": "1.7.0"}, "torch 2.12.0 and "),
        ({"torch": f"{TORCH}rc1"}, f"torch {TORCH}rc1 and "),
    ],
)
def test_mismatch_names_the_pair_and_the_mend(tmp_path: Path, changed: dict[str, str], pair: str) -> None:
    message = _check(tmp_path, {**_FIT, **changed})
    assert message.startswith(pair)
    assert f"tested together are torch {TORCH} and " in message
    assert message.endswith("run scripts/setup, which installs the tested versions")
    assert "\n" not in message


def test_cuda_build_is_named_by_its_own_name(tmp_path: Path) -> None:
    message = _check(tmp_path, {"torch": TORCH, "torchrec": TORCHREC, "fbgemm-gpu": "1.9.0"})
    assert message.startswith(f"torch {TORCH} and fbgemm-gpu 1.9.0 do not fit")


@pytest.mark.slow
def test_training_side_refuses_to_import_a_mismatch(tmp_path: Path) -> None:
    metadata = tmp_path / "torch-2.12.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.12.0\n")
    done = subprocess.run(
        [sys.executable, "-c", "import training"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "InstallError: torch 2.12.0 and torchrec" in done.stderr
