"""The profile of prepared sets whose logs are known row by row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.profile._bins import cut_points, histogram, in_bins
from features.profile.counts import NumericCounts
from features.profile.feature import FeatureProfile
from features.profile.profile import Profile, profile

Prepare = Callable[..., PreparedSet]
ROWS = 1200
SCHEMA: dict[str, Any] = {
    "label": "click",
    "features": [
        {"name": "device", "kind": "categorical"},
        {"name": "city", "kind": "categorical", "encoding": "vocabulary", "min_count": 2},
        {"name": "age", "kind": "numeric", "transforms": ["standardize"]},
        {"name": "clicks", "kind": "numeric", "transforms": ["log1p"], "missing": 0},
        {"name": "price", "kind": "bucketized", "edges": [10, 20]},
        {"name": "tier", "column": "price", "kind": "bucketized", "edges": [10, 20], "encoding": "vocabulary"},
        {"name": "tags", "kind": "multivalued", "separator": "|"},
        {"name": "both", "kind": "cross", "of": ["device", "price"]},
    ],
}


def frame(first: int, rows: int) -> pl.DataFrame:
    """Rows of which every value follows from the row's number."""
    n = list(range(first, first + rows))
    return pl.DataFrame(
        {
            "click": [int(i % 4 == 0) for i in n],
            "device": ["phone" if i % 4 < 2 else "tablet" if i % 4 == 2 else None for i in n],
            "city": [f"c{i % 10}" if i != first else "once" for i in n],
            "age": [float(20 + i % 50) if i % 5 else None for i in n],
            "clicks": [i % 3 if i % 6 else None for i in n],
            "price": [5.0 * (i % 6) for i in n],
            "tags": ["|".join(["a", "b", "c"][: i % 3]) for i in n],
        }
    )


@pytest.fixture
def prepared(log: Path, prepare_set: Prepare) -> PreparedSet:
    frame(0, ROWS).write_parquet(log / "train.parquet")
    frame(ROWS, 100).with_columns(device=pl.lit("watch")).write_parquet(log / "test.parquet")
    return prepare_set(SCHEMA, log / "train.parquet", test=[log / "test.parquet"])


def features(made: Profile) -> dict[str, FeatureProfile]:
    return {feature.name: feature for feature in made.features}


def top(feature: FeatureProfile) -> list[tuple[str, str, int, int]]:
    return [(bar.name.text, bar.name.role, bar.label.rows, bar.label.positives) for bar in feature.top]


def test_splits(prepared: PreparedSet) -> None:
    made = profile(prepared)
    assert {name: (label.rows, label.positives) for name, label in made.splits.items()} == {
        "train": (ROWS, ROWS // 4),
        "test": (100, 25),
    }
    assert made.times is None
    assert made.drift is None


def test_hashed_values_get_their_names_back(prepared: PreparedSet) -> None:
    device = features(profile(prepared))["device"]
    assert top(device) == [
        ("phone", "value", 600, 300),
        ("tablet", "value", 300, 0),
        ("missing", "missing", 300, 0),
    ]
    assert (device.encoding, device.distinct, device.missing.rows, device.present.positives) == ("hashed", 2, 300, 300)
    assert device.unseen is None
    assert device.auc is not None
    assert 0.8 < device.auc < 0.9  # phones are half of the rows and all of the positives: 1 - 1/3 / 2
    assert device.splits["train"].unseen == 0
    assert device.splits["test"].unseen == 1
    assert device.splits["test"].missing == 0


def test_values_whose_text_is_not_known_show_their_hash(log: Path, prepare_set: Prepare) -> None:
    pl.DataFrame({"click": [0, 1] * 500, "device": [f"d{i % 500}" for i in range(1000)]}).write_csv(log / "a.csv")
    made = profile(prepare_set({"label": "click", "features": [SCHEMA["features"][0]]}, log / "a.csv"))
    hashed = [bar.name for bar in made.features[0].top if bar.name.role == "hash"]
    assert all(name.text.startswith("#") and len(name.text) == 17 for name in hashed)
    assert len(made.features[0].top) == 11
    assert made.features[0].top[-1].name.role == "other"


def test_a_vocabulary_names_its_values_and_counts_the_rare(prepared: PreparedSet) -> None:
    city = features(profile(prepared))["city"]
    assert city.encoding == "12 ids"
    assert city.distinct == 10
    assert top(city)[0][:2] == ("c1", "value")
    assert top(city)[-1] == ("unseen", "unseen", 1, 1)
    assert city.unseen is not None
    assert city.unseen.rows == 1
    assert city.splits["train"].unseen == 1 / ROWS
    assert city.splits["test"].unseen == 1 / 100


def test_numbers_are_in_the_units_of_the_log(prepared: PreparedSet) -> None:
    age = features(profile(prepared))["age"]
    assert age.numbers is not None
    assert age.missing.rows == ROWS // 5
    assert age.distinct == 40
    assert age.numbers.minimum == pytest.approx(21, abs=1e-4)
    assert age.numbers.maximum == pytest.approx(69, abs=1e-4)
    assert age.numbers.mean == pytest.approx(frame(0, ROWS)["age"].mean(), abs=1e-4)
    assert age.numbers.quantiles == pytest.approx((21, 23, 33, 44, 57, 67, 69), abs=1.1)
    assert sum(bar.label.rows for bar in age.numbers.histogram) == age.present.rows
    *bins, missing = age.numbers.bins
    assert [bar.label.rows for bar in bins] == [96] * 10
    assert (missing.name.role, missing.share, missing.label.rows) == ("missing", 0.2, 240)
    assert bins[0].name.text == "21 \u2013 24"
    assert sum(bar.share for bar in age.numbers.bins) == pytest.approx(1)
    assert age.splits["test"].unseen is None


def test_filled_numbers_count_as_numbers_and_are_told(prepared: PreparedSet) -> None:
    clicks = features(profile(prepared))["clicks"]
    assert clicks.missing.rows == 0
    assert clicks.filled == pytest.approx(217 / 1300)
    assert clicks.numbers is not None
    assert [(bar.name.text, bar.label.rows) for bar in clicks.numbers.histogram] == [("0", 400), ("1", 400), ("2", 400)]
    assert features(profile(prepared))["age"].filled is None


@pytest.mark.parametrize(("name", "encoding"), [("price", "3 buckets, hashed"), ("tier", "3 buckets, 5 ids")])
def test_buckets_have_their_edges_as_names(prepared: PreparedSet, name: str, encoding: str) -> None:
    price = features(profile(prepared))[name]
    assert price.encoding == encoding
    assert set(top(price)) == {(text, "value", 400, 100) for text in ("< 10", "10 \u2013 < 20", "\u2265 20")}


def test_lists_are_described_by_length_and_by_element(prepared: PreparedSet) -> None:
    tags = features(profile(prepared))["tags"]
    assert tags.lengths is not None
    assert (tags.lengths.mean, tags.lengths.longest) == (1, 2)
    assert [(bar.name.text, bar.label.rows) for bar in tags.lengths.bars] == [("0", 400), ("1", 400), ("2", 400)]
    assert tags.missing.rows == 400
    assert tags.present.rows == 800
    assert [(text, rows) for text, _, rows, _ in top(tags)] == [("a", 800), ("b", 400)]
    assert tags.top[0].share == pytest.approx(2 / 3)


def test_crosses_are_named_by_their_parts(prepared: PreparedSet) -> None:
    names = {text for text, _, _, _ in top(features(profile(prepared))["both"])}
    assert "phone \u00d7 < 10" in names
    assert "missing \u00d7 10 \u2013 < 20" in names


def test_another_split_is_described(prepared: PreparedSet) -> None:
    device = features(profile(prepared, split="test"))["device"]
    assert top(device) == [("watch", "value", 100, 25)]
    assert device.splits["test"].unseen == 1


def test_progress_names_each_feature(prepared: PreparedSet) -> None:
    seen: list[tuple[str, int, int]] = []
    profile(prepared, progress=lambda *told: seen.append(told))
    assert seen == [*((f["name"], i, 8) for i, f in enumerate(SCHEMA["features"])), ("", 8, 8)]


def test_a_split_without_rows_is_refused(prepared: PreparedSet) -> None:
    with pytest.raises(DataError, match=r"split 'valid' of .* has no row; profile one of train, test"):
        profile(prepared, split="valid")
    with pytest.raises(DataError, match="no split 'tset'; did you mean 'test'"):
        profile(prepared, split="tset")


def test_a_damaged_shard_is_a_sentence(prepared: PreparedSet) -> None:
    shard = next((prepared.folder / "train").iterdir())
    shard.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=rf"shard {shard} cannot be read"):
        profile(prepared)


def numbers(*groups: tuple[float, float, int]) -> NumericCounts:
    """Cells from their least and greatest number and their rows."""
    low, high, rows = zip(*groups, strict=True)
    some = {"low": low, "high": high, "rows": rows, "positives": rows, "half_rows": rows, "half_positives": rows}
    counts = pl.DataFrame(some, schema_overrides={"low": pl.Float64, "high": pl.Float64})
    return NumericCounts(counts, counts.clear(), None)


def test_cuts_lie_between_numbers_and_weigh_alike() -> None:
    whole = numbers(*((float(i), float(i), 1) for i in range(100)))
    assert cut_points(whole, 4).tolist() == [24.5, 49.5, 74.5]
    heavy = numbers((0.0, 0.0, 90), (1.0, 1.0, 5), (2.0, 2.0, 5))
    assert cut_points(heavy, 4).tolist() == [0.5]
    assert cut_points(numbers((3.0, 3.0, 7)), 4).tolist() == []
    counts, names = in_bins(heavy, cut_points(heavy, 4), open_ended=True)
    assert counts[:, 0].tolist() == [90, 10]
    assert names == ["\u2264 0", "\u2265 1"]


def test_far_numbers_do_not_squeeze_the_histogram() -> None:
    spread = numbers(*((float(i) + 0.5, float(i) + 0.5, 10) for i in range(1000)), (1e9, 1e9, 1))
    bars, names, widths = histogram(spread, logged=False)
    assert widths.endswith("the outermost with all beyond")
    assert names[-1].startswith("\u2265")
    assert bars[:, 0].sum() == 10_001
    assert (bars[:, 0] > 200).all()


def test_whole_numbers_fall_into_bars_of_whole_width() -> None:
    """So that no bar holds more of them than its neighbour."""
    bars, names, _ = histogram(numbers(*((float(i), float(i), 10) for i in range(74))), logged=False)
    assert set(bars[:-1, 0].tolist()) == {30}
    assert names[0] == "0 \u2013 2"
