import shlex
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from commands.simulate import simulate
from common.errors import ConfigError
from features.schema import load_schema


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(simulate)
    return made


def test_it_writes_a_log_and_names_the_next_command(app: typer.Typer, tmp_path: Path) -> None:
    output = tmp_path / "an ads log"
    arguments = ["--output", str(output), "--rows", "2_000", "--users", "50", "--ads", "40", "--format", "tsv"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert pl.read_csv(output / "log" / "part-00000.tsv", separator="\t").height == 2000
    assert load_schema(output / "schema.yaml").label == "click"
    assert "attainable AUC" in result.stdout
    last = shlex.split(result.stdout.splitlines()[-1])
    assert last[:3] == ["Next:", "plexrank", "prepare"]
    options = dict(zip(last[3::2], last[4::2], strict=True))
    assert options == {
        "--schema": str(output / "schema.yaml"),
        "--input": str(output / "log"),
        "--split-by": "time",
        "--output": str(output) + "-prepared",
    }


def test_a_mistake_is_left_to_the_caller_to_print(app: typer.Typer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"click_rate is 1\.5"):
        CliRunner().invoke(app, ["--output", str(tmp_path / "log"), "--click-rate", "1.5"], catch_exceptions=False)
