"""What a profile says should be looked at: planted mistakes are found, clean data are left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.datasets.prepared import PreparedSet
from features.profile.findings import Finding, findings
from features.profile.profile import profile

Prepare = Callable[..., PreparedSet]
ROOT = Path(__file__).parents[2]
MOVIELENS = ROOT.parent / "shared" / "data" / "ml-1m" / "ratings.parquet"
ROWS = 4000


@pytest.fixture
def found(log: Path, prepare_set: Prepare) -> Callable[..., dict[str | None, list[Finding]]]:
    """Prepare columns, with ``day`` as the time, and gather the findings by feature."""

    def run(columns: dict[str, Any], declared: list[dict[str, Any]], **options: Any) -> dict[str | None, list[Finding]]:
        frame = pl.DataFrame({"click": clicks(), "day": range(ROWS)} | columns)
        frame.write_parquet(log / "log.parquet")
        document = {"label": "click", "timestamp": "day", "features": declared}
        options = {"split": {"by": "time"}} | options
        made: dict[str | None, list[Finding]] = {}
        for finding in findings(profile(prepare_set(document, log / "log.parquet", **options))):
            made.setdefault(finding.feature, []).append(finding)
        return made

    return run


def clicks() -> list[int]:
    return [int(value) for value in np.random.default_rng(7).random(ROWS) < 0.3]


def categorical(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "kind": "categorical"} for name in names]


def test_clean_data_are_left_alone(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    draw = np.random.default_rng(0)
    columns = {
        "ad": [f"a{i}" for i in draw.zipf(1.5, ROWS) % 50],
        "age": pl.Series(draw.normal(40, 10, ROWS)).set(pl.Series(draw.random(ROWS) < 0.2), None),
        "tags": [["x", "y", "z"][: draw.integers(0, 4)] for _ in range(ROWS)],
    }
    declared = [*categorical("ad"), {"name": "age", "kind": "numeric"}, {"name": "tags", "kind": "multivalued"}]
    assert found(columns, declared) == {}


def test_features_that_say_nothing(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    columns = {
        "empty": pl.Series([None] * ROWS, dtype=pl.String),
        "constant": "x",
        "request": [f"r{i}" for i in range(ROWS)],
        "nearly": ["x" if i % 200 else "y" for i in range(ROWS)],
        "rare": [None if i % 4 else "a" for i in range(ROWS)],
    }
    made = found(columns, categorical(*columns))
    assert {name: (some[0].severity, some[0].text) for name, some in made.items()} == {
        "empty": ("high", "It has no value in any row."),
        "constant": ("medium", "It has one value only, so it tells no two rows apart."),
        "request": ("medium", "It has 3,200 values, 1 a row: no value has the rows to learn from."),
        "nearly": ("low", "One value fills 99.5 % of the rows."),
        "rare": ("low", "It is missing in 75.0 % of the rows."),
    }
    assert all(len(some) == 1 for some in made.values())


def test_a_feature_that_knows_the_label(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    draw = np.random.default_rng(0)
    label = np.array(clicks())
    columns = {
        "outcome": [f"o{value}" for value in np.where(draw.random(ROWS) < 0.02, 1 - label, label)],
        "dwell": np.round(draw.normal(0, 1, ROWS) + 3 * label, 3),
        "hint": draw.normal(0, 1, ROWS) + 1.5 * label,
    }
    declared = [*categorical("outcome"), *({"name": name, "kind": "numeric"} for name in ("dwell", "hint"))]
    made = found(columns, declared)
    assert [(name, some[0].severity) for name, some in made.items()] == [
        ("outcome", "high"), ("dwell", "high"), ("hint", "medium"),
    ]  # fmt: skip
    assert made["dwell"][0].text.startswith("Alone it orders the labels with an AUC of 0.98")


def test_a_missing_value_that_gives_the_label_away(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    draw = np.random.default_rng(0)
    label = np.array(clicks())
    leak = pl.Series(draw.normal(0, 1, ROWS)).set(pl.Series((label == 0) & (draw.random(ROWS) < 0.1)), None)
    weak = pl.Series(draw.normal(0, 1, ROWS)).set(pl.Series(draw.random(ROWS) < np.where(label == 0, 0.2, 0.04)), None)
    columns = {"leak": leak, "weak": weak, "past": [["a"] * int(not value) for value in label]}
    declared = [
        *({"name": name, "kind": "numeric"} for name in ("leak", "weak")),
        {"name": "past", "kind": "sequence"},
    ]
    made = found(columns, declared)
    assert made["leak"][0].severity == "high"
    assert made["leak"][0].text.startswith("Whether it is missing gives the label away: its rate is 0 % where it is")
    assert made["weak"][0].severity == "medium"
    assert "AUC of 1.000" in made["past"][0].text
    assert made["past"][1].text.startswith("Whether it is empty gives the label away: its rate is 100 % where it is")


@pytest.mark.skipif(not MOVIELENS.exists(), reason="MovieLens-1M is not beside the project, in ../shared/data/ml-1m")
def test_movielens_timestamps_give_the_label_away(log: Path, prepare_set: Prepare) -> None:
    """A third of the timestamps are missing, all of them on low ratings."""
    ratings = pl.read_parquet(MOVIELENS)
    columns = {name.lower(): name for name in ratings.columns}
    rating, time = pl.col(columns["rating"]), pl.col(columns["timestamp"])
    ratings = ratings.filter(rating != 3).select(click=(rating > 3).cast(pl.UInt8), stamp=time.cast(pl.Float64))
    ratings.write_parquet(log / "ratings.parquet")
    schema = {"label": "click", "features": [{"name": "stamp", "kind": "numeric", "transforms": ["standardize"]}]}
    texts = {f.text: f.severity for f in findings(profile(prepare_set(schema, log / "ratings.parquet")))}
    (text,) = (text for text in texts if text.startswith("Whether it is missing gives the label away"))
    assert "its rate is 0 % where it is missing" in text
    assert texts[text] == "high"


def test_values_that_training_rows_lack(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    columns = {"ad": ["a" if i < 3400 else f"new{i % 4}" if i % 2 else "a" for i in range(ROWS)]}
    made = found(columns, categorical("ad"))
    assert [(finding.severity, finding.text) for finding in made["ad"]][-1] == (
        "medium",
        "25.0 % of the valid rows and 50.0 % of the test rows have a value that no training row has.",
    )


def test_numbers_filled_in(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    columns = {"age": [None if i % 10 == 0 else float(i % 7) for i in range(ROWS)]}
    made = found(columns, [{"name": "age", "kind": "numeric", "missing": 3}])
    assert [(f.severity, f.text) for f in made["age"]] == [
        ("low", "10.0 % of all rows had no number and count as the one filled in.")
    ]


def test_labels_and_splits(found: Callable[..., dict[str | None, list[Finding]]]) -> None:
    columns = {"click": [int(i % 5 == 0) for i in range(3200)] + [int(i % 2 == 0) for i in range(400)] + [0] * 400}
    made = found(columns | {"ad": ["x", "y"] * (ROWS // 2)}, categorical("ad"))
    assert [(finding.severity, finding.text) for finding in made[None]] == [
        ("high", "Every label of test is 0: there is nothing to tell apart."),
        ("medium", "The label rate is 50.0 % in valid and 20.0 % in train."),
        ("medium", "The label rate is 0 % in test and 50.0 % in valid."),
    ]
    made = found({"ad": ["x", "y"] * (ROWS // 2)}, categorical("ad"), split=None, output="by-row")
    assert [finding.text for finding in made[None]] == [
        f"Some rows of {later} are older than the newest row of the split before it: they overlap in time."
        for later in ("valid", "test")
    ]


def test_bad_rows_are_told(log: Path, prepare_set: Prepare) -> None:
    (log / "a.csv").write_text("click,ad\n" + "0,x\n1,y\n" * 150 + "2,x\n" * 3)
    made = prepare_set({"label": "click", "features": categorical("ad")}, log / "a.csv", on_bad_rows="skip")
    texts = [finding.text for finding in findings(profile(made)) if finding.feature is None]
    assert texts == ["3 rows of the log (0.990 %) were bad and left out."]


def test_drift_is_told(log: Path, prepare_set: Prepare) -> None:
    draw = np.random.default_rng(0)
    sets = []
    for day in range(2):
        frame = pl.DataFrame(
            {
                "click": [int(i % (4 + 4 * day) == 0) for i in range(ROWS)],
                "age": draw.normal(40 + 20 * day, 10, ROWS),
                "ad": [f"a{i % 5 + 2 * day}" for i in range(ROWS)],
                "gender": [None if i % 10 < 2 * day else "f" for i in range(ROWS)],
                "price": draw.normal(10, 1, ROWS),
                f"only{day}": "x",
                "same": ["x", "y"] * (ROWS // 2),
            }
        )
        frame.write_parquet(log / f"{day}.parquet")
        declared = [
            {"name": "age", "kind": "numeric", "transforms": ["standardize"]},
            *categorical("ad", "gender"),
            {"name": "price", "kind": "bucketized", "buckets": 4},
            *categorical(f"only{day}", "same"),
        ]
        schema = {"label": "click", "features": declared}
        sets.append(prepare_set(schema, log / f"{day}.parquet", output=f"day{day}", split={"seed": 1}))
    made: dict[str | None, list[tuple[str, str]]] = {}
    for finding in findings(profile(sets[1], against=sets[0])):
        made.setdefault(finding.feature, []).append((finding.severity, finding.text))
    assert made.keys() == {None, "age", "ad", "gender", "price", "only1"}
    label, *others = made[None]
    assert label[0] == "medium"
    assert label[1].startswith("The label rate is 12.")
    assert others == [
        ("low", "Not compared, being missing in the reference: only1."),
        ("low", "Not compared, being only in the reference: only0."),
    ]
    assert made["age"][0][0] == "high"
    assert made["age"][0][1].endswith("large.")
    assert made["ad"][0][0] == "high"
    assert made["ad"][1][1].endswith("% of the rows have a value that the reference lacks.")
    assert made["gender"][-1][1].endswith("in the reference in 0 %.")
    assert made["price"][0][1].startswith("Not compared with the reference: its buckets have other edges")
