"""Drift between prepared sets, and the index it is read by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.profile.drift import FeatureDrift, chance, psi, reading
from features.profile.profile import Drift, profile

Prepare = Callable[..., PreparedSet]
ROWS = 2000


@pytest.fixture
def compare(log: Path, prepare_set: Prepare) -> Callable[..., Drift]:
    """Prepare the reference's rows and these, each with its own features, and compare them."""

    def run(before: dict[str, Any], now: dict[str, Any], old: list[Any], new: list[Any] | None = None) -> Drift:
        sets = []
        for name, columns, declared in (("before", before, old), ("now", now, new or old)):
            pl.DataFrame(columns).write_parquet(log / f"{name}.parquet")
            # A set whose last row tests: what is fitted is fitted on the others.
            pl.DataFrame(columns).tail(1).write_parquet(log / f"{name}-test.parquet")
            document = {"label": "click", "features": declared}
            sets.append(
                prepare_set(
                    document, log / f"{name}.parquet", test=[log / f"{name}-test.parquet"], output=name, overwrite=True
                )
            )
        made = profile(sets[1], against=sets[0]).drift
        assert made is not None
        return made

    return run


def labelled(**columns: Any) -> dict[str, Any]:
    return {"click": [0, 1] * (ROWS // 2), **columns}


def only(drift: Drift) -> FeatureDrift:
    (made,) = drift.features
    return made


def numeric(*transforms: str, missing: float | str = "mask") -> list[dict[str, Any]]:
    return [{"name": "age", "kind": "numeric", "transforms": list(transforms), "missing": missing}]


def categorical(**options: Any) -> list[dict[str, Any]]:
    return [{"name": "ad", "kind": "categorical", **options}]


def test_the_index_by_hand() -> None:
    parts = psi(np.array([99, 299]), np.array([199, 199]))
    p, q = np.array([99.5, 299.5]) / 399, np.array([199.5, 199.5]) / 399
    assert parts.tolist() == pytest.approx(((q - p) * np.log(q / p)).tolist())
    assert psi(np.array([10, 30]), np.array([100, 300])).sum() == pytest.approx(0, abs=1e-3)
    assert np.isfinite(psi(np.array([0, 1000]), np.array([1000, 0]))).all()


def test_two_samples_of_one_log_stay_below_chance_in_95_of_100_cases() -> None:
    draw = np.random.default_rng(0)
    shares = np.full(11, 1 / 11)
    before, now = draw.multinomial(5000, shares, 4000), draw.multinomial(3000, shares, 4000)
    indices = np.array([psi(old, new).sum() for old, new in zip(before, now, strict=True)])
    assert (indices < chance(11, 5000, 3000)).mean() == pytest.approx(0.95, abs=0.012)


def test_the_usual_reading() -> None:
    many = 11, 10**6, 10**6
    assert [reading(index, *many) for index in (0, 0.099, 0.1, 0.249, 0.25)] == [
        "stable", "stable", "moderate", "moderate", "large",
    ]  # fmt: skip
    assert reading(0.3, 11, 50, 50) == "stable"  # which 50 rows show by chance
    assert chance(1, 10, 10) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((), ("standardize",)),
        (("standardize",), ("log1p", "minmax")),
        (("log1p", "quantile"), ("log1p",)),
        (("quantile",), ("standardize",)),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_equal_numbers_do_not_drift_whatever_their_transforms(
    compare: Callable[..., Drift], old: tuple[str, ...], new: tuple[str, ...], whole: bool
) -> None:
    draw = np.random.default_rng(0)
    values = draw.integers(0, 40, ROWS).astype(float) if whole else np.round(draw.lognormal(2, 1, ROWS), 2)
    age = pl.Series(values).set(pl.Series(draw.random(ROWS) < 0.1), None)
    made = only(compare(labelled(age=age), labelled(age=age), numeric(*old), numeric(*new)))
    assert made.psi == pytest.approx(0, abs=1e-3 if "quantile" in (*old, *new) and not whole else 1e-12)
    assert [moved.before for moved in made.bins] == pytest.approx([moved.now for moved in made.bins], abs=2e-3)
    assert made.bins[-1].name.role == "missing"
    assert made.missing_now == made.missing_before == age.null_count() / ROWS


def test_moved_numbers_are_measured_in_one_unit(compare: Callable[..., Drift]) -> None:
    """Each set's own standardization takes the shift away; the index must not."""
    age = np.random.default_rng(0).normal(50, 10, ROWS)
    moved = only(compare(labelled(age=age), labelled(age=age + 10), numeric("standardize")))
    assert moved.psi == pytest.approx(1, abs=0.25)  # a shift by one deviation: (10 / 10)^2
    assert moved.reading == "large"
    assert sum(bin.psi for bin in moved.bins) == pytest.approx(moved.psi)
    assert moved.bins[-1].now > 2.5 * moved.bins[-1].before
    assert moved.bins[0].name.text.startswith("\u2264")


def test_fills_that_differ_are_told(compare: Callable[..., Drift]) -> None:
    age = [None if i % 4 == 0 else float(i % 10) for i in range(ROWS)]
    made = only(compare(labelled(age=age), labelled(age=age), numeric(), numeric(missing=0)))
    assert made.note == "missing values are filled with 0 here and kept in the reference"
    assert made.psi is not None
    assert made.psi > 0.25
    assert (made.missing_before, made.missing_now) == (0.25, 0)


@pytest.mark.parametrize("old", ["token", "vocabulary"])
@pytest.mark.parametrize("new", ["token", "vocabulary"])
def test_values_compare_by_their_texts_whatever_their_encoding(
    compare: Callable[..., Drift], old: str, new: str
) -> None:
    before = ["a"] * 1000 + ["b"] * 600 + ["c"] * 400
    now = [None] * 200 + ["c"] * 1000 + ["b"] * 300 + ["a"] * 300 + ["new"] * 200
    made = only(compare(labelled(ad=before), labelled(ad=now), categorical(encoding=old), categorical(encoding=new)))
    assert [(bin.name.text, bin.before, bin.now) for bin in made.bins] == [
        ("a", 0.5, 0.15), ("b", 0.3, 0.15), ("c", 0.2, 0.5), ("other", 0, 0.1), ("missing", 0, 0.1),
    ]  # fmt: skip
    assert made.unseen == 0.1
    assert (made.missing_before, made.missing_now) == (0, 0.1)
    assert made.note == ""


def test_rare_values_of_another_vocabulary_are_told(compare: Callable[..., Drift]) -> None:
    ads = ["a"] * 1900 + [f"rare{i}" for i in range(100)]
    both = categorical(encoding="vocabulary"), categorical(encoding="vocabulary", min_count=2)
    made = only(compare(labelled(ad=ads), labelled(ad=ads), *both))
    assert made.unseen == 0
    assert made.note == "5.00 % have values too rare for the vocabulary, which the reference may have or not"


def test_what_one_vocabulary_lacks_is_unseen(log: Path, prepare_set: Prepare) -> None:
    document = {"label": "click", "features": categorical(encoding="vocabulary")}
    pl.DataFrame({"click": [0, 1] * 10, "ad": ["a", "b"] * 10}).write_csv(log / "a.csv")
    pl.DataFrame({"click": [0, 1] * 10, "ad": ["a", "z"] * 10}).write_csv(log / "b.csv")
    made = prepare_set(document, log / "a.csv", test=[log / "b.csv"])
    drift = profile(made, split="test", against=made).drift
    assert drift is not None
    assert only(drift).unseen == 0.5
    assert only(drift).note == ""


def test_of_many_values_the_most_frequent_are_compared(compare: Callable[..., Drift]) -> None:
    ads = [f"a{min(i % 100, i % 61)}" for i in range(ROWS)]
    made = only(compare(labelled(ad=ads), labelled(ad=ads), categorical()))
    assert len(made.bins) == 51
    assert made.psi == 0
    assert made.bins[-1].name.role == "other"
    assert sum(bin.now for bin in made.bins) == pytest.approx(1)


def test_lists_compare_by_element(compare: Callable[..., Drift]) -> None:
    tags = [{"name": "ad", "kind": "multivalued", "max_length": 3}]
    shorter = [{"name": "ad", "kind": "multivalued", "max_length": 2}]
    before, now = labelled(ad=[["a", "b"]] * ROWS), labelled(ad=[["a", "c"], []] * (ROWS // 2))
    made = only(compare(before, now, tags, shorter))
    assert [(bin.name.text, bin.before, bin.now) for bin in made.bins] == [
        ("a", 0.5, 0.5), ("b", 0.5, 0), ("other", 0, 0.5),
    ]  # fmt: skip
    assert (made.unseen, made.missing_before, made.missing_now) == (0.5, 0, 0.5)
    assert made.note == "lists hold at most 2 here and 3 in the reference"


def test_buckets_compare_where_their_edges_agree(compare: Callable[..., Drift]) -> None:
    price = np.random.default_rng(0).normal(50, 10, ROWS)
    given: list[dict[str, Any]] = [
        {"name": "price", "kind": "bucketized", "edges": [40, 60]},
        {"name": "ad", "kind": "categorical"},
        {"name": "both", "kind": "cross", "of": ["price", "ad"]},
    ]
    ids = [{**given[0], "encoding": "vocabulary"}, *given[1:]]
    before, now = labelled(price=price, ad=["x"] * ROWS), labelled(price=price + 20, ad=["x"] * ROWS)
    for made in (compare(before, now, given), compare(before, now, ids, given)):
        bucket, _, cross = made.features
        assert {bin.name.text for bin in bucket.bins} == {"< 40", "40 \u2013 < 60", "\u2265 60"}
        assert bucket.psi == pytest.approx(cross.psi)
        assert bucket.reading == "large"
    fitted = [{"name": "price", "kind": "bucketized", "buckets": 4}, *given[1:]]
    bucket, _, cross = compare(before, now, fitted).features
    assert (bucket.psi, cross.psi, bucket.reading) == (None, None, None)
    assert bucket.note == cross.note
    assert bucket.note.startswith("its buckets have other edges in the reference")


def test_what_the_sets_do_not_share_is_named(compare: Callable[..., Drift]) -> None:
    columns = labelled(ad=["x"] * ROWS, age=[1.0] * ROWS)
    other = [
        {"name": "age", "kind": "bucketized", "edges": [3]},
        {"name": "site", "column": "ad", "kind": "categorical"},
    ]
    made = compare(columns, columns, [*categorical(), *numeric()], other)
    assert (made.only_here, made.only_before) == (("site",), ("ad",))
    assert only(made).note == "it is bucketized here and numeric in the reference"
    with pytest.raises(DataError, match="share no feature; compare sets of one log"):
        compare(columns, columns, categorical(), numeric())


def test_crosses_of_other_features_do_not_compare(compare: Callable[..., Drift]) -> None:
    parts = [{"name": name, "column": "ad", "kind": "categorical"} for name in ("a", "b", "c")]
    crosses = [[*parts, {"name": "x", "kind": "cross", "of": ["a", other]}] for other in ("b", "c")]
    made = compare(labelled(ad=["x"] * ROWS), labelled(ad=["x"] * ROWS), *crosses)
    assert made.features[-1].note == "it crosses a and c here and a and b in the reference"


def test_label_rates_are_compared(compare: Callable[..., Drift]) -> None:
    made = compare(labelled(ad=["x"] * ROWS), {"click": [0, 0, 0, 1] * 10, "ad": ["x"] * 40}, categorical())
    assert (made.before.rate, made.now.rate) == (0.5, 0.25)
    assert made.reference.endswith("before")
