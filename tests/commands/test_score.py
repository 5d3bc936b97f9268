"""plexrank score: every shard's rows in one file."""

from pathlib import Path

import polars as pl
import pytest

from features.datasets.prepared import PreparedSet
from features.preparation import plan
from tests.commands.conftest import Plexrank
from training.artifact import Artifact
from training.predictions import predictions

SCHEMA = """
label: click
keep: [name, day, tags]
features:
  - {name: price, kind: numeric}
"""
RUN = "data: prepared\noutput: run\nmodel: {name: lr}\ntraining: {epochs: 1}\n"


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "scores.tsv"])
def test_scores_of_many_shards_are_one_file(
    plexrank: Plexrank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "PART_ROWS", 100)
    Path("schema.yaml").write_text(SCHEMA)
    Path("run.yaml").write_text(RUN)
    rows = pl.int_range(1000, eager=True)
    frame = pl.DataFrame({"click": rows % 2, "price": rows / 7, "name": "n\t," + rows.cast(pl.String)})
    frame = frame.with_columns(day=pl.lit("2024-02-29").str.to_date(), tags=pl.col("name").cast(pl.Categorical))
    frame.write_parquet("log.parquet", row_group_size=100)
    assert plexrank("prepare", "--schema", "schema.yaml", "--input", "log.parquet", "--output", "prepared").code == 0
    assert plexrank("train", "--config", "run.yaml").code == 0
    result = plexrank("score", "--artifact", "run/artifact", "--data", "prepared", "--split", "train", "--output", name)
    expected = list(predictions(Artifact.load(Path("run/artifact")), PreparedSet(Path("prepared")), "train"))
    assert len(expected) > 5
    whole = pl.concat(expected)
    assert (
        f"Wrote {name}: {whole.height} rows, mean score {whole.select(pl.col('score').mean()).item():.5f}."
        in result.out
    )
    if name == "scores.parquet":
        assert pl.read_parquet(name).equals(whole)
    else:
        separator = "," if name == "scores.csv" else "\t"
        assert Path(name).read_text() == whole.write_csv(separator=separator)
    assert [path.name for path in tmp_path.glob(".scores*")] == []
    Path(f"full-{name}").symlink_to("/dev/full")
    command = ("score", "--artifact", "run/artifact", "--data", "prepared", "--overwrite", "--output", f"full-{name}")
    full = plexrank(*command)
    assert full.code == 2, full
    assert f"full-{name} cannot be written: " in full.err.splitlines()[-1]
    assert "No space left on device" in full.err.splitlines()[-1]
