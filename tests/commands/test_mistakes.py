"""A user's mistakes: exit code 2, one sentence with the place and the mend, no traceback, nothing left behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.commands.conftest import Plexrank, Result

SCHEMA = """
label: click
features:
  - {name: user, kind: categorical, entity: user}
  - {name: price, kind: numeric, entity: item}
"""
RUN = "data: prepared\noutput: run\nmodel: {name: lr}\nembedding: {rows: 100}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("schema.yaml").write_text(SCHEMA)
    Path("run.yaml").write_text(RUN)
    frame = pl.DataFrame({"click": [0, 1] * 100, "user": ["a", "b", "c", "d"] * 50, "price": [1.5, 2.5] * 100})
    frame.write_csv("log.csv")
    return tmp_path


def refused(result: Result, *words: str) -> None:
    assert result.code == 2, result
    assert "Traceback" not in result.err
    sentence = result.err.split("plexrank: ", 1)[1].strip()
    assert len(sentence.splitlines()) == 1, sentence
    for word in words:
        assert word in sentence


def prepare(plexrank: Plexrank) -> Result:
    return plexrank("prepare", "--schema", "schema.yaml", "--input", "log.csv", "--output", "prepared")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("click,usr,price\n1,a,2\n", ("log.csv", "no column 'user'", "did you mean 'usr'")),
        ("click,user,price\n1,a,2\n0,b,cheap\n", ("log.csv, row 2", "'price'", "'cheap'", "mend the row")),
        ("click,user,price\n1,a,inf\n", ("log.csv, row 1", "'price'", "no finite number")),
        ("click,user,price\n2,a,1\n", ("log.csv, row 1", "label 'click' is '2'", "neither 0 nor 1")),
        ("click,user,price\n,a,1\n", ("log.csv, row 1", "label 'click'", "neither 0 nor 1")),
        ("click,user,price\n1,a,\n0,b,\n", ("'price'", "no value in any training row", "remove it")),
        ("click,user,price\n1,a,1e300\n" * 1, ("'price'", "too large for float32", "log1p")),
        ("click,user,price\n", ("log.csv", "not one row")),
        ("", ("log.csv is empty", "fetch it again")),
    ],
)
def test_a_wrong_log(plexrank: Plexrank, folder: Path, content: str, words: tuple[str, ...]) -> None:
    Path("log.csv").write_text(content)
    refused(prepare(plexrank), *words)
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "run.yaml", "schema.yaml"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("label:", "lable:"), ("schema.yaml", "unknown key 'lable'", "did you mean 'label'")),
        (("name: price", "name: user"), ("schema.yaml", "feature 'user' is named twice")),
        (("kind: numeric", "kind: number"), ("schema.yaml", "features[1]", "'number' is unknown", "'numeric'")),
        (("kind: numeric,", "kind: numeric, colum: p,"), ("unknown key 'colum' in features[1]", "'column'")),
    ],
)
def test_a_wrong_schema(plexrank: Plexrank, change: tuple[str, str], words: tuple[str, ...]) -> None:
    Path("schema.yaml").write_text(SCHEMA.replace(*change))
    refused(prepare(plexrank), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "none*.csv"], ("no file matches none*.csv",)),
        (["--input", "log.csv", "--split", "0.9,0.2,0.1"], ("split 0.9,0.2,0.1", "shares sum to 1")),
        (["--input", "log.csv", "--split-by", "time"], ("needs the schema's timestamp",)),
        (["--input", "log.csv", "--valid", "log.csv", "--split", "1,0,0"], ("drop --split",)),
        (["--input", "run.yaml"], ("run.yaml is neither csv, tsv nor parquet",)),
    ],
)
def test_wrong_options_of_prepare(plexrank: Plexrank, options: list[str], words: tuple[str, ...]) -> None:
    refused(plexrank("prepare", "--schema", "schema.yaml", "--output", "prepared", *options), *words)


def test_an_existing_output_is_kept(plexrank: Plexrank) -> None:
    assert prepare(plexrank).code == 0
    before = Path("prepared/prepared.json").read_bytes()
    refused(prepare(plexrank), "prepared already holds something", "--overwrite")
    assert Path("prepared/prepared.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "trainig.epochs=1"], ("run.yaml", "unknown key 'trainig'", "did you mean 'training'")),
        (["--set", "model.nmae=x"], ("unknown key 'nmae'",)),
        (["--set", "model.name=finalmpl"], ("did you mean 'finalmlp'",)),
        (["--set", "data=nowhere"], ("nowhere is no prepared set", "run plexrank prepare")),
        (["--set", "embedding.rows=null"], ("embedding.rows is missing",)),
        (["--config", "other.yaml"], ("other.yaml does not exist",)),
    ],
)
def test_a_wrong_run(plexrank: Plexrank, options: list[str], words: tuple[str, ...]) -> None:
    assert prepare(plexrank).code == 0
    refused(plexrank("train", "--config", "run.yaml", *options), *words)
    assert not Path("run").exists()


def test_a_damaged_shard(plexrank: Plexrank) -> None:
    assert prepare(plexrank).code == 0
    shard = Path("prepared/train/part-00000.parquet")
    shard.write_bytes(shard.read_bytes()[:-20])
    refused(plexrank("train", "--config", "run.yaml"), "part-00000.parquet cannot be read", "prepare the data again")


def test_a_damaged_artifact(plexrank: Plexrank) -> None:
    assert prepare(plexrank).code == 0
    assert plexrank("train", "--config", "run.yaml", "--set", "training.epochs=1").code == 0
    weights = Path("run/artifact/weights.safetensors")
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    for command in (
        ("evaluate", "--data", "prepared"),
        ("score", "--data", "prepared", "--output", "scores.csv"),
        ("serve",),
    ):
        result = plexrank(*command, "--artifact", "run/artifact")
        refused(result, "weights.safetensors was changed", "train it again")
    assert not Path("scores.csv").exists()


def test_wrong_options_of_evaluate_and_score(plexrank: Plexrank) -> None:
    assert prepare(plexrank).code == 0
    assert plexrank("train", "--config", "run.yaml", "--set", "training.epochs=1").code == 0
    both = ("--artifact", "run/artifact", "--data", "prepared")
    refused(plexrank("evaluate", *both, "--split", "tset"), "no split 'tset'", "did you mean 'test'")
    refused(plexrank("evaluate", *both, "--truth", "price"), "keeps no column 'price'")
    refused(plexrank("evaluate", "--artifact", "run", "--data", "prepared"), "give run/artifact")
    refused(plexrank("score", *both, "--output", "scores.txt"), "neither .parquet, .csv nor .tsv")
    refused(plexrank("score", *both, "--output", "no/scores.csv"), "no is no folder")


def test_debug_shows_the_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "commands.main", "--debug", "train", "--config", str(folder / "none.yaml")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr


def test_an_interrupt_is_told_and_leaves_nothing(folder: Path) -> None:
    made = folder / "made"
    made.mkdir()
    command = [sys.executable, "-m", "commands.main", "simulate", "--rows", "50000000", "--output", str(made / "ads")]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True) as running:
        while not any(made.iterdir()):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "plexrank: interrupted; nothing half-written is taken for whole" in told
    assert not any(made.iterdir())


@pytest.mark.parametrize("verb", ["dataset", "simulate", "prepare", "train", "evaluate", "compare", "score", "serve"])
def test_help_teaches_with_an_example(plexrank: Plexrank, verb: str) -> None:
    shown = plexrank(verb, "--help")
    assert shown.code == 0
    assert f"Example: plexrank {verb}" in shown.out
    assert verb in plexrank("--help").out


def test_the_version_is_told(plexrank: Plexrank) -> None:
    assert plexrank("--version").out == "plexrank 0.1.0\n"
