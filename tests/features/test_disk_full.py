"""A disk that fills up: one sentence, and what was finished is gone on with."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import DiskError
from features.datasets.prepared import PreparedSet
from features.preparation import plan

DOCUMENT: dict[str, Any] = {"label": "y", "features": [{"name": "user", "kind": "categorical"}]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two mebibytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(
    log: Path, small_disk: Path, prepare_set: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_ROWS", 40_000)
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"y": draw.integers(0, 2, 200_000), "user": draw.integers(0, 10**15, 200_000)})
    frame.write_parquet(log / "log.parquet", row_group_size=40_000)
    with pytest.raises(DiskError) as caught:
        prepare_set(DOCUMENT, log / "log.parquet", output="disk/set")
    assert str(caught.value) == (
        f"{small_disk}/set cannot be written: No space left on device; "
        "free some space and run the same again, it goes on with what was finished"
    )
    assert not (small_disk / "set").exists()
    (partial,) = small_disk.glob(".set*")
    parts = [record.stem for record in partial.glob("records/*.json")]
    assert parts
    finished = {part: (partial / "train" / f"{part}.parquet").stat().st_mtime_ns for part in parts}
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    found = prepare_set(DOCUMENT, log / "log.parquet", output="disk/set")
    expected = prepare_set(DOCUMENT, log / "log.parquet", output="expected")
    for name in ("train", "valid", "test"):
        assert pl.concat(found.shards(name)).equals(pl.concat(expected.shards(name)))
    for part, written in finished.items():
        assert (found.folder / "train" / f"{part}.parquet").stat().st_mtime_ns == written
    assert [path.name for path in small_disk.iterdir()] == ["set"]
