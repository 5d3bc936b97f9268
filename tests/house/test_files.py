"""Folders are whole or not there, whatever happens to their writer."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import ConfigError, DiskError
from common.files import atomic_file, atomic_folder, canonical_json, refuse_existing, sha256_file, write_json

ROOT = Path(__file__).parents[2]
_WRITER = """
import sys
from pathlib import Path
from common.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "part").write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def _writer(target: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is in the middle of writing a folder; a line on its stdin lets it finish."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(target)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        try:
            yield process
        finally:
            process.kill()


def _fail_while_writing(target: Path, failure: type[BaseException], *, overwrite: bool = False) -> None:
    with atomic_folder(target, overwrite=overwrite) as folder:
        (folder / "new").write_text("2")
        raise failure


def _lose_the_target_while_writing(target: Path) -> None:
    with atomic_folder(target) as folder:
        (folder / "late").write_text("2")
        target.mkdir()
        (target / "first").write_text("1")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "1"
    assert _names(target.parent) == ["out"]


def _fail_while_writing_a_file(target: Path, failure: BaseException) -> None:
    with atomic_file(target) as partial:
        partial.write_text("new")
        raise failure


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    for text in ("old", "new"):
        before = _names(tmp_path)
        with atomic_file(target) as partial:
            partial.write_text(text)
            assert _names(tmp_path) == [f".{target.name}.partial", *before]
        assert target.read_text() == text
        assert _names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError(), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_file_stays_as_it_was_where_writing_fails(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "a.txt"
    for before in ([], ["a.txt"]):
        with pytest.raises(DiskError if isinstance(failure, OSError) else type(failure)):
            _fail_while_writing_a_file(target, failure)
        assert _names(tmp_path) == before
        target.write_text("old")
    assert target.read_text() == "old"


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    for target, reason in ((tmp_path / "no" / "a", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DiskError) as caught:
            write_json(target, {})
        sentence = f"{target} cannot be written: {reason}; free some space, or choose another file"
        assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value))) == sentence
    assert _names(tmp_path) == []


def test_a_device_is_written_into(tmp_path: Path) -> None:
    for device in ("null", "full"):
        (tmp_path / device).symlink_to(f"/dev/{device}")
    write_json(tmp_path / "null", {})
    with pytest.raises(DiskError, match=r"full cannot be written: No space left on device"):
        write_json(tmp_path / "full", {})
    assert all(path.is_char_device() for path in tmp_path.iterdir())
    assert _names(tmp_path) == ["full", "null"]


def test_a_file_of_a_folder_that_cannot_be_written_is_the_folders_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught, atomic_folder(tmp_path / "out") as folder:
        write_json(folder / "no" / "a.json", {})
    assert str(caught.value) == (
        f"{tmp_path / 'out'} cannot be written: No such file or directory; free some space, or choose another folder"
    )
    assert _names(tmp_path) == []


def test_folder_is_readable_by_others(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_failed_block_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure):
        _fail_while_writing(tmp_path / "out", failure)
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", ["out", "run [1]*?"])
def test_killed_writer_leaves_no_target_and_the_next_cleans_up(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with _writer(target) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not target.exists()
    (left,) = _names(tmp_path)
    assert left.startswith(".")
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
    assert _names(tmp_path) == [name]
    assert _names(target) == ["a"]


def test_live_writer_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with _writer(target) as process:
        with atomic_folder(target) as folder:
            (folder / "mine").write_text("1")
        # The other writer's folder is still there; it comes too late and must not touch what is whole.
        assert len(_names(tmp_path)) == 2
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait() != 0
    assert _names(tmp_path) == ["out"]
    assert _names(target) == ["mine"]


def test_target_taken_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(ConfigError, match="out already holds something"):
        _lose_the_target_while_writing(target)
    assert _names(tmp_path) == ["out"]
    assert _names(target) == ["first"]


def test_overwrite_keeps_the_old_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("1")
    with atomic_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("2")
        assert _names(target) == ["old"]
    assert _names(tmp_path) == ["out"]
    assert _names(target) == ["new"]


def test_failed_overwrite_keeps_the_old(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("1")
    with pytest.raises(KeyboardInterrupt):
        _fail_while_writing(target, KeyboardInterrupt, overwrite=True)
    assert _names(tmp_path) == ["out"]
    assert _names(target) == ["old"]


def test_existing_target_is_refused_before_any_work(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("1")
    entered = False
    with pytest.raises(ConfigError, match=r"out already holds something; .*--overwrite"), atomic_folder(target):
        entered = True
    assert not entered
    assert _names(tmp_path) == ["out"]


def test_empty_target_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert _names(tmp_path / "out") == ["a"]


def test_file_as_target_is_refused_even_with_overwrite(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="out is a file; give a folder"):
        refuse_existing(tmp_path / "out", overwrite=True)


def test_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "out"
    with (
        pytest.raises(ConfigError, match=r"file/out cannot be written: .*; choose another folder"),
        atomic_folder(target),
    ):
        pass
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("target", [".", "../..", "link"])
def test_folder_it_runs_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "link").symlink_to(inside)
    monkeypatch.chdir(inside)
    with pytest.raises(ConfigError, match="is the folder this runs in; name another"):
        refuse_existing(Path(target), overwrite=True)


def test_canonical_json_is_one_text_for_equal_values() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_not_finite(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"auc": value})
    assert _names(tmp_path) == []


def test_written_json_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é", "n": 1})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "é" in text
    assert json.loads(text) == {"name": "é", "n": 1}


def test_sha256_file_is_the_published_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
