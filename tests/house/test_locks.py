"""The locks agree with pyproject.toml, with each other, and with the tested triple."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common.versions import FBGEMM, TORCHREC

ROOT = Path(__file__).parents[2]


def _lock(name: str) -> dict[str, str]:
    """Pinned versions by canonical name; every line must be one exact pin."""
    pins: dict[str, str] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        package, equals, version = line.partition("==")
        assert equals, f"{name}.txt: {line!r} is no pin"
        assert version, f"{name}.txt: {line!r} is no pin"
        assert canonicalize_name(package) not in pins, f"{name}.txt pins {package} twice"
        pins[canonicalize_name(package)] = version
    return pins


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _assert_pinned(requirements: list[str], pins: dict[str, str]) -> None:
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in the lock; run scripts/lock"
        assert requirement.specifier.contains(pins[name]), f"{requirement} is pinned to {pins[name]}; run scripts/lock"


@pytest.mark.parametrize("lock", ["cpu", "cuda"])
def test_what_runs_is_pinned(lock: str) -> None:
    _assert_pinned([*_project()["project"]["dependencies"], *_project()["build-system"]["requires"]], _lock(lock))


def test_what_tests_and_checks_need_is_pinned() -> None:
    _assert_pinned(_project()["dependency-groups"]["dev"], _lock("cpu") | _lock("dev"))


def test_the_triple_is_the_tested_one() -> None:
    cpu, cuda = _lock("cpu"), _lock("cuda")
    assert cpu.pop("fbgemm-gpu-cpu") == FBGEMM
    assert cuda.pop("fbgemm-gpu") == FBGEMM
    assert cpu["torchrec"] == TORCHREC
    # Beside fbgemm's build the two are one; torch comes first, on its own.
    assert cpu == cuda
    assert "torch" not in cpu


def test_development_lock_only_adds() -> None:
    assert _lock("dev").keys() & _lock("cpu").keys() == set()
