"""plexrank evaluate on prediction files of any system: numbers, slices, gates, pages, one sentence for a mistake."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from tests.commands.conftest import Plexrank

ROWS = 3000


def _frame(seed: int = 3) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    truth = random.beta(1, 4, ROWS)
    return pl.DataFrame(
        {
            "request": np.arange(ROWS) // 5,
            "ad": np.arange(ROWS) % 5,
            "user": [f"u{i}" for i in random.integers(0, 100, ROWS)],
            "country": random.choice(["de", "fr", "es"], ROWS),
            "day": [f"2026-11-{1 + i * 10 // ROWS:02} 12:00:00" for i in range(ROWS)],
            "weight": random.choice([0.5, 1.0, 2.0], ROWS),
            "click": (random.random(ROWS) < truth).astype(int),
            "p": np.clip(truth + random.normal(0, 0.05, ROWS), 0.001, 0.999),
            "truth": truth,
        }
    )


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    _frame().write_parquet(path)
    return path


NAMED = ("--label", "click", "--score", "p")


def _json(plexrank: Plexrank, *arguments: str | Path) -> dict[str, Any]:
    done = plexrank("evaluate", *NAMED, *arguments, "--json", "-")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_numbers_are_those_of_scikit_learn(plexrank: Plexrank, scores: Path) -> None:
    frame = _frame()
    metrics = _json(plexrank, "--predictions", scores)["metrics"]
    assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(frame["click"], frame["p"]), abs=1e-12)
    assert metrics["logloss"]["value"] == pytest.approx(log_loss(frame["click"], frame["p"]), abs=1e-12)
    assert metrics["pr_auc"]["value"] == pytest.approx(average_precision_score(frame["click"], frame["p"]), abs=1e-12)
    interval = metrics["auc"]["interval"]
    assert interval["low"] < metrics["auc"]["value"] < interval["high"]
    assert metrics["gauc"]["value"] is None
    assert metrics["gauc"]["reason"] == "gauc needs a group for each row, and none is declared"


def test_a_csv_gives_the_same_report_to_the_last_byte(plexrank: Plexrank, scores: Path) -> None:
    csv = scores.with_suffix(".csv")
    _frame().write_csv(csv)
    everything = (
        "--group", "user", "--request", "request", "--weight", "weight", "--time", "day", "--by", "country",
        "--truth", "truth", "--bootstrap", "20",
    )  # fmt: skip
    of_parquet = _json(plexrank, "--predictions", scores, *everything)
    of_csv = _json(plexrank, "--predictions", csv, *everything)
    assert of_csv.pop("predictions") != of_parquet.pop("predictions")
    assert of_csv == of_parquet


def test_rows_in_any_order_and_any_memory_give_the_same_report(plexrank: Plexrank, scores: Path) -> None:
    shuffled = scores.with_name("shuffled.parquet")
    _frame().sample(fraction=1.0, shuffle=True, seed=1).write_parquet(shuffled, row_group_size=100)
    more = ("--group", "user", "--weight", "weight", "--by", "country", "--bootstrap", "20")
    first = _json(plexrank, "--predictions", scores, *more)
    again = _json(plexrank, "--predictions", shuffled, *more, "--memory-mb", "16")
    del first["predictions"], again["predictions"]
    assert first == again


def test_every_kind_of_column(plexrank: Plexrank, scores: Path) -> None:
    found = _json(
        plexrank, "--predictions", scores, "--group", "user", "--request", "request", "--time", "day",
        "--by", "country", "--by", "ad", "--truth", "truth", "--k", "3",
    )  # fmt: skip
    metrics = found["metrics"]
    assert {"gauc", "gauc_positives", "gauc_plain", "ndcg@3", "mrr", "hit_rate@3"} <= metrics.keys()
    assert all(metric["value"] is not None for metric in metrics.values())
    assert [table["column"] for table in found["slices"]] == ["country", "ad"]
    frame = _frame()
    for some in found["slices"][0]["slices"]:
        own = frame.filter(country=some["value"])
        assert some["rows"] == own.height
        assert some["metrics"]["auc"]["value"] == pytest.approx(roc_auc_score(own["click"], own["p"]), abs=1e-12)
    assert [some["value"] for some in found["times"]["slices"]] == [f"2026-11-{day:02}" for day in range(1, 11)]
    assert found["attainable_auc"] == pytest.approx(roc_auc_score(frame["click"], frame["truth"]), abs=1e-12)


def test_a_bootstrap_by_user_gives_other_intervals(plexrank: Plexrank, scores: Path) -> None:
    plain = _json(plexrank, "--predictions", scores, "--group", "user")["metrics"]["auc"]
    drawn = _json(plexrank, "--predictions", scores, "--group", "user", "--bootstrap", "50")["metrics"]["auc"]
    assert plain["value"] == drawn["value"]
    assert "DeLong" in plain["interval"]["method"]
    assert "bootstrap" in drawn["interval"]["method"]
    assert drawn["interval"]["low"] < drawn["value"] < drawn["interval"]["high"]


def test_tables_and_files(plexrank: Plexrank, scores: Path, tmp_path: Path) -> None:
    done = plexrank(
        "evaluate", *NAMED, "--predictions", scores, "--by", "country", "--json", tmp_path / "o.json",
        "--report", tmp_path / "o.html",
    )  # fmt: skip
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "o.json").read_text())
    assert f"{document['metrics']['auc']['value']:.5f}" in done.out
    assert "by country" in done.out
    page = (tmp_path / "o.html").read_text()
    assert "<svg" in page
    assert f"{document['metrics']['auc']['value']:.4f}"[:6] in page


def test_a_raw_score_is_ranked_and_not_called_a_probability(plexrank: Plexrank, tmp_path: Path) -> None:
    frame = _frame()
    logits = frame.with_columns(p=(pl.col("p") / (1 - pl.col("p"))).log())
    logits.write_parquet(tmp_path / "logits.parquet")
    metrics = _json(plexrank, "--predictions", tmp_path / "logits.parquet")["metrics"]
    assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(frame["click"], frame["p"]), abs=1e-12)
    for name in ("logloss", "brier", "calibration_ratio", "ece"):
        assert metrics[name]["value"] is None
        assert "probabilities from 0 to 1" in metrics[name]["reason"]


def test_one_class_is_reported_as_undefined(plexrank: Plexrank, tmp_path: Path) -> None:
    _frame().with_columns(click=0).write_parquet(tmp_path / "none.parquet")
    done = plexrank(
        "evaluate", *NAMED, "--predictions", tmp_path / "none.parquet", "--by", "country", "--group", "user",
        "--report", tmp_path / "none.html", "--json", tmp_path / "none.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "none.json").read_text())["metrics"]
    assert metrics["auc"]["value"] is None
    assert "all 3000 labels are 0" in metrics["auc"]["reason"]
    assert metrics["gauc"]["value"] is None
    assert metrics["logloss"]["value"] > 0


def test_a_gate_has_an_exit_code(plexrank: Plexrank, scores: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{metric: auc, at_least: 0.6}, {metric: auc, at_least: 0.55, column: country}]")
    passed = plexrank("evaluate", *NAMED, "--predictions", scores, "--by", "country", "--gate", rules)
    assert passed.code == 0
    assert "auc is at least 0.6" in passed.out
    rules.write_text("rules: [{metric: auc, at_least: 0.6}, {metric: auc, at_least: 0.99}]")
    broken = plexrank("evaluate", *NAMED, "--predictions", scores, "--gate", rules, "--json", tmp_path / "o.json")
    assert broken.code == 1
    assert "broken" in broken.out
    assert [rule["passed"] for rule in json.loads((tmp_path / "o.json").read_text())["gate"]] == [True, False]


def test_against_another_model(plexrank: Plexrank, scores: Path, tmp_path: Path) -> None:
    frame = _frame()
    noise = np.random.default_rng(9).normal(0, 0.2, ROWS)
    worse = frame.with_columns(p=np.clip(frame["p"].to_numpy() + noise, 0.001, 0.999))
    worse.sample(fraction=1.0, shuffle=True, seed=2).write_csv(tmp_path / "worse.csv")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{metric: auc, versus_other: better}, {metric: logloss, versus_other: not_worse}]")
    by_key = ("--key", "request", "--key", "ad")
    arguments = ("--compare", tmp_path / "worse.csv", *by_key, "--by", "country", "--group", "user")
    found = _json(plexrank, "--predictions", scores, *arguments, "--gate", rules)
    first = found["comparison"]["differences"][0]
    expected = roc_auc_score(frame["click"], frame["p"]) - roc_auc_score(worse["click"], worse["p"])
    assert (first["metric"], first["value"]) == ("auc", pytest.approx(expected, abs=1e-12))
    assert [rule["passed"] for rule in found["gate"]] == [True, True]
    assert found["comparison"]["best"] == "scores.parquet"
    assert {some["slice"] for some in found["comparison"]["slices"]} == {"de", "fr", "es"}
    turned = plexrank(
        "evaluate", *NAMED, "--predictions", tmp_path / "worse.csv", "--compare", scores, *by_key, "--gate", rules
    )
    assert turned.code == 1
    assert "scores.parquet stays live" in turned.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --artifact with --data, or --predictions"),
        (("--predictions", "{scores}", "--artifact", "run"), "give either"),
        (("--predictions", "none.csv"), "no file matches none.csv"),
        (("--predictions", "{scores}", "--group", "usr"), "no column 'usr'; did you mean 'user'?"),
        (("--predictions", "{scores}", "--bootstrap", "9"), "add --group"),
        (("--predictions", "{scores}", "--group", "truth"), "group column 'truth' holds floats"),
        (("--predictions", "{scores}", "--compare", "{half}"), "has 3,000 rows but"),
        (("--predictions", "{scores}", "--compare", "{half}", "--key", "request", "--key", "ad"), "has no row with"),
        (("--predictions", "{scores}", "--compare", "{copy}", "--key", "user"), "twice; name columns that tell rows"),
        (("--predictions", "{scores}", "--level", "95"), "a confidence level must be between 0 and 1"),
        (("--predictions", "{scores}", "--report", "page.txt"), "page.txt is no .html"),
        (("--predictions", "{scores}", "--json", "no/o.json"), "no is no folder"),
        (("--predictions", "{scores}", "--json", "{scores}"), "scores.parquet is no .json"),
        (("--predictions", "{scores}", "--compare", "{scores}"), "a model is given twice"),
        (("--predictions", "{scores}", "--label", "truth", "--gate", "{rules_by}"), "add --by country"),
        (("--predictions", "{scores}", "--gate", "{rules}"), "there is no metric 'auk'; did you mean 'auc'?"),
        (("--predictions", "{scores}", "--gate", "none.yaml"), "none.yaml does not exist"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(
    plexrank: Plexrank, scores: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    half, rules = tmp_path / "half.parquet", tmp_path / "rules.yaml"
    copy, rules_by = tmp_path / "copy.parquet", tmp_path / "rules_by.yaml"
    rules_by.write_text("rules: [{metric: auc, at_least: 0.5, column: country}]")
    shutil.copy(scores, copy)
    _frame().head(ROWS // 2).write_parquet(half)
    rules.write_text("rules: [{metric: auk, at_least: 0.5}]")
    done = plexrank(
        "evaluate",
        *NAMED,
        *(some.format(scores=scores, half=half, copy=copy, rules=rules, rules_by=rules_by) for some in arguments),
    )
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("p", float("nan"), "row 8: score (column 'p') 'nan' is no finite number"),
        ("weight", -1.0, "row 8: weight (column 'weight') '-1.0' is negative"),
        ("click", 2, "row 8: label (column 'click') '2' is neither 0 nor 1"),
    ],
)
def test_a_wrong_value_is_named(plexrank: Plexrank, tmp_path: Path, column: str, value: Any, words: str) -> None:
    frame = _frame()
    values = frame[column].to_list()
    values[7] = value
    path = tmp_path / "scores.parquet"
    frame.with_columns(pl.Series(column, values)).write_parquet(path)
    done = plexrank("evaluate", *NAMED, "--weight", "weight", "--predictions", path)
    assert done.code == 2
    assert f"{path} {words}" in done.err


def test_values_of_the_log_do_not_spoil_the_tables(plexrank: Plexrank, tmp_path: Path) -> None:
    odd = ["[bold]", "two\nlines", "\x1b[31mred", "", "x" * 300]
    frame = _frame().with_columns(country=pl.Series([odd[i % len(odd)] for i in range(ROWS)]))
    frame.write_parquet(tmp_path / "odd.parquet")
    done = plexrank("evaluate", *NAMED, "--predictions", tmp_path / "odd.parquet", "--by", "country")
    assert done.code == 0, done.err
    for shown in ("[bold]", r"two\nlines", r"\x1b[31mred", "''", "x" * 50):
        assert shown in done.out
    assert "\x1b[31mred" not in done.out
    assert "x" * 61 not in done.out


def test_a_table_says_where_the_other_slices_are(plexrank: Plexrank, scores: Path) -> None:
    done = plexrank("evaluate", *NAMED, "--predictions", scores, "--by", "user", "--slices", "30")
    assert "by user, 10 more are in --json and --report, 70 are left out: give more --slices" in done.out


def test_the_page_has_what_is_attainable(plexrank: Plexrank, scores: Path, tmp_path: Path) -> None:
    found = _json(plexrank, "--predictions", scores, "--truth", "truth", "--report", tmp_path / "o.html")
    assert f"{found['attainable_auc']:.5f}" in (tmp_path / "o.html").read_text()


def test_a_pipe_takes_json_whatever_its_name(plexrank: Plexrank, scores: Path) -> None:
    assert plexrank("evaluate", *NAMED, "--predictions", scores, "--json", "/dev/null").code == 0


def test_csv_and_parquet_make_one_table(plexrank: Plexrank, scores: Path, tmp_path: Path) -> None:
    frame = _frame().with_columns(user=pl.col("request") % 50)
    folder = tmp_path / "mixed"
    folder.mkdir()
    frame.head(ROWS // 2).write_parquet(folder / "1.parquet")
    frame.tail(ROWS // 2).write_csv(folder / "2.csv")
    frame.write_parquet(scores)
    mixed, whole = (_json(plexrank, "--predictions", some, "--group", "user")["metrics"] for some in (folder, scores))
    assert mixed == whole
