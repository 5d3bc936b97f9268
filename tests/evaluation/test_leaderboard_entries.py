"""Leaderboards: which runs are one entry, what their means and intervals are, and what is never mixed."""

import dataclasses
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from common.errors import ConfigError
from evaluation.interval import Interval
from evaluation.leaderboard.board import Board, boards
from evaluation.leaderboard.leaderboard import Leaderboard, distinct
from evaluation.leaderboard.reference import Reference, beside, load_references, unmatched
from evaluation.leaderboard.run import Run
from evaluation.leaderboard.summary import Summary
from evaluation.report.metric import Metric
from tests.evaluation.leaderboard_sample import MODELS, SEEDS, field, report, run


def only(runs: list[Run], *, split: str = "test", sort: str = "auc", by: str | None = None) -> Board:
    (board,) = boards(runs, split=split, sort=sort, by=by)
    return board


def names(board: Board) -> list[str]:
    return [entry.name for entry in board.entries]


@given(st.lists(st.floats(0.5, 1.0), min_size=3, max_size=12, unique=True))
def test_mean_deviation_and_interval_are_those_of_scipy(values: list[float]) -> None:
    found = Summary.of([Metric("auc", value) for value in values])
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    if found.interval is not None:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert found.interval.high - found.interval.low == pytest.approx(high - low, rel=0.01)
        assert found.interval.method == f"Student's t over {len(values)} runs"
    assert not found.over_rows


def test_one_run_has_the_interval_of_its_report() -> None:
    own = Interval(0.7, 0.8, 0.95, "DeLong, logit")
    found = Summary.of([Metric("auc", 0.75, own)])
    assert found == Summary((0.75,), 0.75, None, own)
    assert found.over_rows


def test_what_is_undefined_in_a_run_or_equal_in_all_says_so() -> None:
    found = Summary.of([Metric("auc", 0.7), Metric("auc", None, reason="one class"), Metric("auc", 0.8)])
    assert (found.mean, found.interval, found.reason) == (None, None, "one class")
    same = Summary.of([Metric("auc", 0.7)] * 3)
    assert same.mean == pytest.approx(0.7)
    assert (same.interval, same.reason) == (None, "all runs are equal")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lr_7", "lr"), ("lr-7", "lr"), ("lr_seed7", "lr"), ("lr_seed_7", "lr"), ("lr.7", "lr"), ("lr/7", "lr"),
        ("lr/seed7", "lr"), ("lr", "lr"), ("lr17", "lr17"), ("lr_17", "lr_17"), ("dim_7_x", "dim_7_x"),
    ],
)  # fmt: skip
def test_an_entry_is_named_as_its_folder_without_the_seed(folder: str, name: str) -> None:
    assert run(seed=7, folder=Path("runs") / folder).name == name


def test_runs_that_differ_only_in_seed_are_one_entry() -> None:
    runs = field()
    board = only(runs)
    assert len(board.entries) == len(MODELS)
    for entry in board.entries:
        mine = [some for some in runs if some.model == entry.name]
        assert entry.seeds == SEEDS
        aucs = [some.reports["test"].metric("auc").value or 0.0 for some in mine]
        assert entry.summary("test", "auc").mean == pytest.approx(fmean(aucs), rel=1e-12)
        assert entry.summary("test", "auc").std == pytest.approx(stdev(aucs), rel=1e-12)
        assert entry.samples_per_second == median(speed for some in mine for speed in some.speeds)
        assert entry.seconds == pytest.approx(fmean(some.seconds or 0.0 for some in mine))
        assert entry.parameters == (mine[0].parameters, mine[0].parameters)
        assert entry.epochs == (min(some.epochs for some in mine), max(some.epochs for some in mine))


def test_any_other_setting_makes_another_entry_named_by_it() -> None:
    runs = [
        *(run(seed=seed) for seed in (1, 2)),
        *(run(seed=seed, settings={"embedding.dim": 16}) for seed in (1, 2)),
        run("fm", 1),
    ]
    assert sorted(names(only(runs))) == ["fm", "lr (dim 10)", "lr (dim 16)"]
    twice = [run(settings={"model.hidden": [4], "other.hidden": 1}), run(settings={"model.hidden": None})]
    assert sorted(names(only(twice))) == [
        "lr (model.hidden [4], other.hidden 1)", "lr (model.hidden not set, other.hidden not set)",
    ]  # fmt: skip


def test_of_the_machine_only_precision_and_ranks_part_runs() -> None:
    slow = run(seed=2, settings={"machine.threads": 1}, machine=("device cpu", "precision fp32", "compile on"))
    (entry,) = only([run(seed=1), slow]).entries
    assert entry.seeds == (1, 2)
    half = run(seed=2, machine=("device cpu", "precision bf16"))
    assert sorted(names(only([run(seed=1), half]))) == ["lr (precision bf16)", "lr (precision fp32)"]
    assert sorted(names(only([run(seed=1), run(seed=2, ranks=2)]))) == ["lr (ranks 1)", "lr (ranks 2)"]


def test_different_data_are_never_in_one_table() -> None:
    runs = [
        run("a", rows=100_000),
        run("b", rows=100_000),
        run("c", rows=100_001),
        run("d", rows=100_000, schema_digest="other"),
        run("e", rows=100_000, reports={"valid": report(rows=57_722), "test": report(rows=100_000, positives=5)}),
    ]
    assert [names(board) for board in boards(runs, split="test", sort="name")] == [["a", "b"], ["c"], ["d"], ["e"]]
    notes = Leaderboard.of(runs).notes
    assert any("a table for each" in note for note in notes)
    assert not any("a table for each" in note for note in Leaderboard.of(runs[:2]).notes)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("auc", ["b", "c", "a"]), ("logloss", ["a", "b", "c"]), ("valid_auc", ["c", "a", "b"]),
        ("name", ["a", "b", "c"]), ("parameters", ["c", "b", "a"]), ("samples_per_second", ["b", "a", "c"]),
        ("seconds", ["a", "c", "b"]),
    ],
)  # fmt: skip
def test_the_best_comes_first_and_the_unknown_last(sort: str, expected: list[str]) -> None:
    runs = [
        run("a", auc=None, logloss=0.1, valid_auc=0.7, parameters=30, speeds=(5.0,), seconds=1.0),
        run("b", auc=0.8, logloss=0.2, valid_auc=0.6, parameters=20, speeds=(9.0,), seconds=None),
        run("c", auc=0.7, logloss=0.3, valid_auc=0.8, parameters=10, speeds=(), seconds=2.0),
    ]
    assert names(only(runs, sort=sort)) == expected


def test_calibration_is_sorted_by_its_distance_from_1() -> None:
    def calibrated(name: str, ratio: float) -> Run:
        of_test = dataclasses.replace(report(), metrics=(Metric("auc", 0.7), Metric("calibration_ratio", ratio)))
        return run(name, reports={"valid": report(), "test": of_test})

    runs = [calibrated("a", 1.2), calibrated("b", 0.9), calibrated("c", 1.05)]
    assert names(only(runs, sort="calibration_ratio")) == ["c", "b", "a"]


def test_a_key_of_the_run_file_makes_entries() -> None:
    runs = [run("a", 1), run("b", 1, settings={"embedding.dim": 16}), run("c", 1, parameters=9)]
    board = only(runs, sort="name", by="embedding.dim")
    assert [(entry.name, entry.model, entry.parameters) for entry in board.entries] == [
        ("10", "a, c", (9, 5_390)), ("16", "b", (5_390, 5_390)),
    ]  # fmt: skip
    assert any("may differ in more than the seed" in note for note in Leaderboard.of(runs, by="embedding.dim").notes)
    with pytest.raises(
        ConfigError, match=r"no run file here has the key 'embeding\.dim'; did you mean 'embedding\.dim'"
    ):
        only(runs, by="embeding.dim")


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ConfigError, match="entries cannot be sorted by 'acu'; did you mean 'auc'"):
        only([run()], sort="acu")


def test_an_order_by_test_says_that_it_is_no_choice() -> None:
    def warned(split: str, sort: str) -> bool:
        return any("no choice of a model" in note for note in Leaderboard.of([run()], split=split, sort=sort).notes)

    assert warned("test", "auc")
    assert warned("test", "logloss")
    assert not warned("test", "valid_auc")
    assert not warned("test", "name")
    assert not warned("valid", "auc")


def test_notes_say_what_intervals_are_over_and_what_runs_share() -> None:
    def notes(*runs: Run) -> str:
        return " ".join(Leaderboard.of(runs).notes)

    alone, pair = notes(run()), notes(run(seed=1), run(seed=2))
    assert "a single run" in alone
    assert "over seeds" not in alone
    assert "over seeds" in pair
    assert "a single run" not in pair
    assert "machine" not in pair
    assert "machine alike" in notes(run(seed=1), run(seed=2, machine=("device cuda", "precision fp32")))
    assert "Ended by Ctrl-C before their time: runs/lr_2" in notes(run(seed=1), run(seed=2, interrupted=True))
    assert "auc is undefined of a, b: what has none comes last" in notes(run("a", auc=None), run("b", auc=None), run())
    assert "undefined" not in alone


def test_a_run_that_repeats_another_is_left_out() -> None:
    first, again, other = run(seed=1), run(seed=1, folder=Path("copy/lr_1")), run(seed=2)
    assert distinct([first, again, other]) == ([first, other], [(again, first)])


def test_published_figures_stand_beside_their_entry(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    path.write_text("""
references:
  - {name: lr, metrics: {auc: 0.74, logloss: 0.41}, source: one run}
  - {name: lr, metrics: {auc: 0.76}, source: mean of five}
  - {name: fmm, metrics: {auc: 0.9}, source: nowhere}
""")
    references = load_references(path)
    board = only([run(seed=1), run("fm", 1)])
    found = beside(board, references, "test")
    assert [(some.entry, some.metric, some.published, some.source) for some in found] == [
        ("lr", "auc", 0.74, "one run"), ("lr", "logloss", 0.41, "one run"), ("lr", "auc", 0.76, "mean of five"),
    ]  # fmt: skip
    assert [some.difference for some in found] == pytest.approx([0.01, -0.01, -0.01])
    assert unmatched(references, [board]) == ["published figures of 'fmm' belong to no entry; did you mean 'fm'?"]


def test_published_figures_are_not_put_beside_different_data() -> None:
    found = boards([run(rows=10_000), run(rows=10_001)], split="test", sort="auc")
    with pytest.raises(ConfigError, match="'lr' would stand beside entries on different data; give the runs on one"):
        unmatched([Reference(name="lr", metrics={"auc": 0.7}, source="x")], found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("references: [{name: lr, metrics: {acu: 0.7}, source: x}]", "there is no metric 'acu'; did you mean 'auc'"),
        ("references: [{name: lr, metrics: {}, source: x}]", "metrics"),
        ("references: [{name: lr, metrics: {auc: 0.7}}]", "source is missing"),
        ("reference: []", "unknown key 'reference'; did you mean 'references'"),
    ],
)
def test_a_wrong_file_of_published_figures(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"published\.yaml") as caught:
        load_references(path)
    assert words in str(caught.value)


def test_a_metric_that_an_entry_lacks_is_a_sentence() -> None:
    reference = Reference(name="lr", metrics={"gauc": 0.7}, source="x")
    with pytest.raises(ConfigError, match="lr has no 'gauc' on test"):
        Leaderboard.of([run()], references=[reference])
