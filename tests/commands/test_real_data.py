"""The data commands on real data: MovieLens-1M as a sequence task, and Criteo's first 10,000 rows."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.commands.conftest import Plexrank

DATA = Path(__file__).parents[3] / "shared" / "data"


def run(plexrank: Plexrank, *arguments: str | Path) -> str:
    done = plexrank(*arguments)
    assert done.code == 0, done.err
    return done.out


@pytest.mark.skipif(not (DATA / "ml-1m").is_dir(), reason="MovieLens-1M is not beside the project, in ../shared/data")
def test_movielens_sequences(plexrank: Plexrank, tmp_path: Path) -> None:
    raw, data = tmp_path / "raw", tmp_path / "prepared"
    run(plexrank, "dataset", "movielens", "--task", "sequence", "--source", DATA / "ml-1m", "--output", raw)
    log = raw / "ratings.parquet"
    run(plexrank, "prepare", "--schema", raw / "schema.yaml", "--input", log, "--split-by", "time", "--output", data)
    splits = json.loads((data / "prepared.json").read_text())["splits"]
    assert [splits[name]["rows"] for name in ("train", "valid", "test")] == [116_813, 14_603, 14_595]
    assert "history" in run(plexrank, "profile", data)
    assert (tmp_path / "prepared-profile.html").exists()

    columns = ["--user", "user", "--item", "movie", "--time", "timestamp", "--name", "before", "--max-length", "3"]
    run(plexrank, "histories", "--input", log, *columns, "--output", tmp_path / "rated")
    rows = pl.read_parquet(tmp_path / "rated" / "*.parquet").sort("user", "timestamp", maintain_order=True)
    for (_,), mine in rows.head(20_000).group_by("user"):
        for now, before in mine.select("timestamp", "before").iter_rows():
            assert before == mine.filter(pl.col("timestamp") < now)["movie"].to_list()[-3:]


@pytest.mark.skipif(not (DATA / "criteo").is_dir(), reason="the Criteo sample is not beside the project")
def test_criteo_fitted_apart_and_grown(plexrank: Plexrank, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    run(plexrank, "dataset", "criteo", "--source", DATA / "criteo", "--output", raw)
    log = pl.read_parquet(raw / "log" / "*.parquet")
    first, last = tmp_path / "first.parquet", tmp_path / "last.parquet"
    log.head(6_000).write_parquet(first)
    log.tail(4_000).write_parquet(last)
    text = (raw / "schema.yaml").read_text().replace("kind: categorical", "kind: categorical, encoding: vocabulary")
    schema = tmp_path / "schema.yaml"
    schema.write_text(text)
    once, fitted, apart, grown = (tmp_path / name for name in ("once", "fitted", "apart", "grown"))
    run(plexrank, "prepare", "--schema", schema, "--input", first, "--output", once)
    run(plexrank, "prepare", "--schema", schema, "--input", first, "--fit-only", "--output", fitted)
    run(plexrank, "prepare", "--schema-from", fitted, "--input", first, "--output", apart)
    assert (fitted / "schema.json").read_bytes() == (once / "schema.json").read_bytes()
    for shard in (once / "train").iterdir():
        assert (apart / "train" / shard.name).read_bytes() == shard.read_bytes()
    run(plexrank, "prepare", "--grow", once, "--input", last, "--output", grown)
    for vocabulary in (once / "vocabulary").iterdir():
        old, new = (pl.read_parquet(folder / "vocabulary" / vocabulary.name)["value"] for folder in (once, grown))
        assert new.head(len(old)).equals(old)
    assert "PSI" in run(plexrank, "profile", grown, "--against", once)
