"""The shape of the repository: what a package exports, how long a file is, what no file may name."""

import importlib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("commands", "common", "evaluation", "features", "kernels", "models", "service", "training")
_FOLDERS = (*PACKAGES, "benchmarks", "configs", "deploy", "docker", "docs", "requirements", "scripts", "tests", ".ci")
_MAX_LINES = 450
_MAX_RANKER_LINES = 120
# Registries: where packages come from is the user's own configuration. Paths: they hold on one machine only.
_FORBIDDEN = re.compile(
    r"py[p]i\.org|python[h]osted\.org|download\.py[t]orch\.org|registry\.n[p]mjs\.org|deb\.de[b]ian\.org"
    r"|/hom[e]/\w|/Use[r]s/\w|/wo[r]k/|/tm[p]/\w"
)


def _files() -> Iterator[Path]:
    """Every file of the project, without caches and without what runs leave behind."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in _FOLDERS:
        for parent, folders, names in os.walk(ROOT / folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            yield from (Path(parent, name) for name in names)


def _package_folders() -> list[str]:
    found = [path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@pytest.mark.parametrize("folder", _package_folders())
def test_all_is_sorted_and_names_the_public_modules(folder: str) -> None:
    package = importlib.import_module(folder.replace("/", "."))
    modules = {path.stem for path in (ROOT / folder).glob("*.py")}
    packages = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    public = sorted(name for name in modules | packages if not name.startswith("_"))
    assert package.__all__ == public
    assert package.__doc__


def test_every_package_is_there_and_installed() -> None:
    assert {folder.split("/")[0] for folder in _package_folders()} == set(PACKAGES)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    find = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert set(find) == {pattern for package in PACKAGES for pattern in (package, f"{package}.*")}
    assert set(project["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    assert {*PACKAGES, "tests", "benchmarks"} == set(project["tool"]["mypy"]["files"])


def test_every_folder_with_code_in_a_package_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_test_files_have_names_of_their_own() -> None:
    """Two of one name cannot be collected: the folders of tests are no packages."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert "__init__.py" not in names
    assert sorted(names) == sorted(set(names))


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_bytes().splitlines()) for path in _files() if path.suffix == ".py"}
    assert len(lines) > len(PACKAGES)
    assert {str(path): n for path, n in lines.items() if n > _MAX_LINES} == {}


def test_a_ranker_is_a_short_file() -> None:
    lines = {path.name: len(path.read_bytes().splitlines()) for path in (ROOT / "models" / "rankers").glob("*.py")}
    assert len(lines) > 10
    assert {name: n for name, n in lines.items() if n >= _MAX_RANKER_LINES} == {}


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = []
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in _FORBIDDEN.finditer(text)]
    assert found == []
