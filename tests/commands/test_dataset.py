import shlex
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from commands.dataset import dataset
from common.errors import ConfigError

CRITEO_LINE = "\t".join(["0", *["1"] * 13, *["25c83c98"] * 26]) + "\n"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(dataset)
    return made


def next_command(stdout: str) -> list[str]:
    words = shlex.split(stdout.splitlines()[-1])
    assert words[:3] == ["Next:", "plexrank", "prepare"]
    return words[3:]


def test_criteo(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(CRITEO_LINE * 3)
    output = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["criteo", "--source", str(tmp_path), "--output", str(output)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert pl.read_parquet(output / "log" / "*.parquet").height == 3
    assert "part-00000.parquet: 3 rows." in result.stdout
    assert next_command(result.stdout) == [
        "--schema", str(output / "schema.yaml"), "--input", str(output / "log"), "--output", f"{output}-prepared",
    ]  # fmt: skip


def test_frappe_names_a_file_for_each_split(app: typer.Typer, tmp_path: Path) -> None:
    fields = ["user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"]
    for split in ("train", "valid", "test"):
        pl.DataFrame({"label": [0], **{field: [1] for field in fields}}).write_csv(tmp_path / f"{split}.csv")
    output = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["frappe", "--source", str(tmp_path), "--output", str(output)], catch_exceptions=False
    )
    words = next_command(result.stdout)
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--input"] == str(output / "train.parquet")
    assert options["--valid"] == str(output / "valid.parquet")
    assert options["--test"] == str(output / "test.parquet")


def test_movielens_with_histories_is_split_by_time(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    (tmp_path / "movies.dat").write_text("1::Toy Story (1995)::Animation|Comedy\n")
    (tmp_path / "ratings.dat").write_text("1::1::5::978300760\n")
    for task, wanted in (("sequence", ["--split-by", "time"]), ("user-movie", [])):
        output = tmp_path / task
        arguments = ["movielens", "--source", str(tmp_path), "--output", str(output), "--task", task]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        schema, ratings = str(output / "schema.yaml"), str(output / "ratings.parquet")
        assert next_command(result.stdout) == [
            "--schema", schema, "--input", ratings, *wanted, "--output", f"{output}-prepared",
        ]  # fmt: skip


def test_a_task_belongs_to_movielens(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["frappe", "--source", str(tmp_path), "--output", str(tmp_path / "out"), "--task", "autoint"]
    with pytest.raises(ConfigError, match=r"^--task autoint belongs to movielens; frappe has one task only"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_name_that_is_unknown_lists_the_known_ones(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["frape", "--source", str(tmp_path), "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "movielens" in result.stderr
