"""What a search has found: the best trial, how far its value flatters, and the page."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.page.search import search_page
from evaluation.search.search import Axis, Search
from evaluation.search.trial import State, Trial, value_text

AXES = (
    Axis("optimizer.learning_rate", (1e-4, 1e-2), logarithmic=True),
    Axis("model.mlp1.dropout", (0.0, 0.5)),
    Axis("model.mlp2.dropout", (0.0, 0.5)),
    Axis("model.mlp1.hidden", ([64], [128, 64], "<b>"), chosen=True),
)


def trial(number: int, state: State, *curve: float, hidden: Any = (64,), error: float | None = 0.01) -> Trial:
    values = {
        "optimizer.learning_rate": 0.001 * (1 + number),
        "model.mlp1.dropout": 0.1,
        "model.mlp2.dropout": 0.2,
        "model.mlp1.hidden": hidden if isinstance(hidden, str) else list(hidden),
    }
    return Trial(number, state, values, dict(enumerate(curve, 1)), error if state == "finished" else None, 1.5)


def search(*trials: Trial, monitor: str = "auc", importances: dict[str, float] | None = None) -> Search:
    return Search("run.yaml", monitor, AXES, trials, 0 if trials else None, importances or {})


def test_only_a_finished_trial_is_best() -> None:
    found = search(
        trial(0, "finished", 0.6, 0.7, 0.65), trial(1, "pruned", 0.9), trial(2, "failed"), trial(3, "finished", 0.7)
    )
    assert found.best == found.trials[0]
    assert (found.trials[0].value, found.trials[0].best_epoch) == (0.7, 2)
    assert [some.number for some in found.ranked()] == [0, 3, 1, 2]
    assert found.looks == 5
    assert search(trial(0, "failed")).best is None
    assert search().caution() == ""


def test_what_is_monitored_is_shown_as_people_know_it() -> None:
    found = search(trial(0, "finished", -0.4, -0.3), trial(1, "finished", -0.35), monitor="logloss")
    assert found.best == found.trials[0]
    assert found.lines()[0]["logloss"] == 0.3
    assert found.lines()[0]["epochs"] == [0.4, 0.3]
    assert found.caution().startswith("logloss 0.30000 is the lowest of 3 values on the same valid rows (2 trials")


@given(correlation=st.floats(0, 0.99), looks=st.sampled_from([2, 10, 100]))
def test_the_best_of_many_flatters_by_no_more_than_is_said(correlation: float, looks: int) -> None:
    draw = np.random.default_rng(0)
    own, common = draw.normal(size=(4000, looks)), draw.normal(size=(4000, 1))
    errors = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
    found = search(*(trial(i, "finished", 0.5, error=1.0) for i in range(looks)))
    assert found.flattery is not None
    assert errors.max(axis=1).mean() <= found.flattery + 3 / math.sqrt(4000)
    assert errors.max(axis=1).mean() > 0.35 * found.flattery * math.sqrt(1 - correlation)


def test_one_look_flatters_nothing_and_an_unknown_error_is_not_guessed() -> None:
    assert search(trial(0, "finished", 0.7)).flattery == 0.0
    found = search(trial(0, "finished", 0.7, error=None), trial(1, "pruned", 0.6))
    assert found.flattery is None
    assert "so it looks better than it is; the test split" in found.caution()


def test_names_are_short_where_that_is_clear() -> None:
    text = search().settings_of(trial(0, "finished", 0.7))
    assert text == "learning_rate 0.001, model.mlp1.dropout 0.1, model.mlp2.dropout 0.2, hidden [64]"
    assert [value_text(value) for value in ("a", 12, 0.00012345, None, True)] == [
        "a",
        "12",
        "0.0001234",
        "null",
        "true",
    ]


@pytest.mark.parametrize("monitor", ["auc", "logloss", "auc-logloss"])
def test_the_page_shows_every_plot_and_escapes_what_it_shows(monitor: str) -> None:
    sign = -1 if monitor == "logloss" else 1
    trials = [
        trial(0, "finished", 0.6 * sign, 0.62 * sign),
        trial(1, "finished", 0.63 * sign, hidden="<b>"),
        trial(2, "pruned", 0.3 * sign),
        trial(3, "failed"),
        trial(4, "running", 0.5 * sign),
    ]
    html = search_page(search(*trials, monitor=monitor, importances={axis.key: 0.25 for axis in AXES}), {"run": "<i>"})
    assert html.count('<svg class="drawn"') == 3 + len(AXES)
    assert "<b>" not in re.sub(r"<b>(by up to about )?[\d\u2212.,]+</b>", "", html)
    assert "&lt;b&gt;" in html
    assert "<i>" not in html
    assert html == search_page(
        search(*trials, monitor=monitor, importances={axis.key: 0.25 for axis in AXES}), {"run": "<i>"}
    )


def test_a_search_without_a_value_still_has_a_page() -> None:
    html = search_page(search(trial(0, "failed")), {})
    assert "<svg" not in html
    assert html.count("Not drawn: no trial has been judged.") == 2 + len(AXES)
