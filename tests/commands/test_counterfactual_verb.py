"""plexrank counterfactual: from a log, or from all candidates' scores, to estimates and warnings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.commands.conftest import Plexrank

REQUESTS, ADS = 20_000, 4
RATES = np.array([0.05, 0.1, 0.2, 0.4])
SHOWS = np.array([0.4, 0.3, 0.2, 0.1])
WANTS = np.array([0.1, 0.2, 0.3, 0.4])


def _log() -> pl.DataFrame:
    """One ad of four is shown, with odds that are written down; the new policy would prefer the better ones."""
    random = np.random.default_rng(11)
    ad = random.choice(ADS, REQUESTS, p=SHOWS)
    return pl.DataFrame(
        {
            "request": np.arange(REQUESTS),
            "ad": ad,
            "label": (random.random(REQUESTS) < RATES[ad]).astype(int),
            "p": SHOWS[ad],
            "q": WANTS[ad],
            "guess": RATES[ad],
            "guess_of_new": np.full(REQUESTS, RATES @ WANTS),
        }
    )


def _candidates(scores: np.ndarray) -> pl.DataFrame:
    """The same log with a row for every ad; what was not shown has neither label nor odds."""
    every = pl.DataFrame({"ad": np.arange(ADS), "score": scores})
    shown = _log().select("request", "ad", "label", "p", shown=pl.lit(1))
    rows = shown.select("request").join(every, how="cross").join(shown, on=["request", "ad"], how="left")
    return rows.with_columns(pl.col("shown").fill_null(0))


def _estimates(plexrank: Plexrank, *arguments: str | Path) -> dict[str, Any]:
    done = plexrank("counterfactual", *arguments, "--propensity", "p", "--json", "-")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_from_probabilities(plexrank: Plexrank, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    _log().write_csv(path) if suffix == ".csv" else _log().write_parquet(path)
    found = _estimates(plexrank, path, "--target", "q", "--predicted", "guess", "--predicted-target", "guess_of_new")
    assert found["estimates"].keys() == {"ips", "snips", "doubly_robust"}
    for estimate in found["estimates"].values():
        assert estimate["interval"]["low"] < RATES @ WANTS < estimate["interval"]["high"]
    assert found["rows"] == REQUESTS
    assert found["warnings"] == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_from_scores_of_all_candidates(plexrank: Plexrank, tmp_path: Path, suffix: str) -> None:
    """A softmax of the logarithms of the odds is the policy of those odds."""
    path = tmp_path / f"candidates{suffix}"
    rows = _candidates(np.log(WANTS)).sample(fraction=1.0, shuffle=True, seed=1)
    rows.write_csv(path) if suffix == ".csv" else rows.write_parquet(path)
    found = _estimates(plexrank, path, "--score", "score", "--policy", "softmax")
    _log().write_parquet(tmp_path / "log.parquet")
    expected = _estimates(plexrank, tmp_path / "log.parquet", "--target", "q")
    for name, estimate in expected["estimates"].items():
        assert found["estimates"][name]["value"] == pytest.approx(estimate["value"], rel=1e-9)


def test_a_greedy_ranker_is_judged_by_what_it_would_have_shown(plexrank: Plexrank, tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    _candidates(RATES).write_parquet(path)
    found = _estimates(plexrank, path, "--score", "score")
    own = _log().filter(ad=3)
    assert found["estimates"]["snips"]["value"] == pytest.approx(own["label"].mean(), rel=1e-9)
    assert found["effective_rows"] == pytest.approx(own.height, rel=1e-9)


def test_tables_and_warnings(plexrank: Plexrank, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    _log().with_columns(p=pl.col("p") * 0.5).write_parquet(path)
    done = plexrank("counterfactual", path, "--propensity", "p", "--target", "q", "--json", tmp_path / "o.json")
    assert done.code == 0, done.err
    assert "snips" in done.out
    assert "Careful:" in done.out
    assert json.loads((tmp_path / "o.json").read_text())["warnings"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --target"),
        (("--target", "q", "--score", "q"), "give either --target"),
        (("--target", "q", "--predicted", "guess"), "belong together"),
        (("--target", "r"), "no column 'r'"),
        (("--target", "ad"), "is outside 0 to 1"),
        (("--score", "q", "--shown", "ad"), "column 'ad' is neither 0 nor 1"),
        (("--score", "q", "--shown", "none"), "has 0 candidates with none = 1"),
        (("--target", "q", "--clip", "0"), "clipped to a number above 0"),
        (("--score", "q", "--shown", "one", "--policy", "softmax", "--temperature", "0"), "temperature"),
    ],
)
def test_a_mistake_gets_one_sentence(
    plexrank: Plexrank, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "log.parquet"
    _log().with_columns(one=1, none=0).write_parquet(path)
    done = plexrank("counterfactual", path, "--propensity", "p", *arguments)
    assert done.code == 2
    assert words in done.err


def test_a_propensity_of_zero_is_refused(plexrank: Plexrank, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    _log().with_columns(p=0.0).write_parquet(path)
    done = plexrank("counterfactual", path, "--propensity", "p", "--target", "q")
    assert done.code == 2
    assert "is not above 0" in done.err


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["0", "1"]), pl.Binary])
def test_candidates_may_hold_text_of_any_kind(plexrank: Plexrank, tmp_path: Path, dtype: Any) -> None:
    candidates = _candidates(RATES)
    candidates.write_parquet(tmp_path / "plain.parquet")
    candidates.with_columns(pl.col("label", "shown").cast(pl.String).cast(dtype)).write_parquet(
        tmp_path / "text.parquet"
    )
    plain, text = (_estimates(plexrank, tmp_path / f"{name}.parquet", "--score", "score") for name in ("plain", "text"))
    assert plain.pop("log") != text.pop("log")
    assert plain == text
