"""The page of an explanation: whole, safe against what schemas hold, light and dark."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from evaluation.page._heat_map import LARGE, heat_map
from evaluation.page.explanation import explanation_page
from tests.evaluation.made_explanation import explanation
from tests.evaluation.test_page import Page
from tests.evaluation.test_page_in_browser import _CHROMIUM, show

NASTY = '<script>alert("1")</script>'
NOTES = ["Correlated features stand in for one another."]
FACTS = {"artifact": "runs/today/artifact", "split": "valid"}


@pytest.fixture(scope="module")
def html() -> str:
    return explanation_page(explanation(), NOTES, FACTS)


def test_the_page_is_whole_and_needs_nothing_else(html: str) -> None:
    parsed = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert not re.search(r"https?:|url\((?!#)|@import|src=|\bNone\b|\bnan\b|\binf\b", html)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert set(parsed.values("aria-labelledby")) <= set(ids)
    for text in (*NOTES, *FACTS.values(), "4 of 5", "seed-9"):
        assert text in html
    assert html == explanation_page(explanation(), NOTES, FACTS)


def test_every_plot_has_a_name_words_and_a_sentence(html: str) -> None:
    figures = Page(html).figures
    assert [figure.attributes["id"] for figure in figures] == [
        "auc-drop", "logloss-rise", "groups", "interactions", "reliance-ranges", "strength-ranges", "strength-mean",
        "strength-spread", "score-ranges", "attention", "attention-layer-0", "attention-layer-1", "attention-0-0",
        "attention-0-1", "attention-1-0", "attention-1-1", "row-17-layer-0", "row-17-layer-1",
    ]  # fmt: skip
    for figure in figures:
        assert figure.svg is not None
        assert figure.svg["role"] == "img"
        assert len(figure.svg["aria-label"] or "") > 30
        (sentence,) = figure.text["figcaption"]
        assert re.fullmatch(r"[A-Z][^.]{60,}\.", sentence)
        assert figure.text["span"]


def test_the_numbers_of_the_tables_are_those_found(html: str) -> None:
    subject = explanation().subject
    for some in subject.features:
        assert f"{some.auc_drop.value:+.5f}" in html
    assert f"{subject.pairs[0].strength.value:.4f}" in html


def test_one_model_has_no_ranges_and_no_attention_no_heat() -> None:
    ids = Page(explanation_page(explanation(models=1, fields=0))).values("id")
    assert not any("ranges" in some or some.startswith("attention") for some in ids)
    assert "interactions" in ids


def test_without_pairs_and_with_nothing_kept_the_page_says_so() -> None:
    some = explanation()
    alone = dataclasses.replace(
        some,
        subject=dataclasses.replace(some.subject, pairs=()),
        others=(),
        rashomon=dataclasses.replace(some.rashomon, epsilon=0.0),
    )
    html = explanation_page(alone)
    assert "Only one model is left" in html
    assert 'id="interactions"' not in html


def test_names_of_features_cannot_break_the_page() -> None:
    names = (NASTY, "\u5e83\u544a", "a" * 90, "$x_1$")
    html = explanation_page(explanation(names), [NASTY], {NASTY: NASTY})
    assert "<script" not in html
    Page(html)


def test_a_heat_map_shades_what_is_great() -> None:
    values = np.array([[np.nan, 1.0], [0.25, 0.0]])
    svg = heat_map("h", "words", ["x", "y"], values, rows="row", columns="column")
    opacities = sorted(float(found) for found in re.findall(r"opacity: ([\d.]+)", svg))
    assert opacities == pytest.approx([0.65 / 4, 0.65], abs=1e-3)
    assert re.findall(r">(\d\.\d\d)<", svg) == ["1.00", "0.25", "0.00"]
    empty = heat_map("h", "words", ["x", "y"], np.zeros((2, 2)), rows="row", columns="column")
    assert "opacity" not in empty


@pytest.mark.skipif(_CHROMIUM is None, reason="there is no chromium on the PATH (Debian: chromium)")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_shows_offline_in_light_and_dark(html: str, tmp_path: Path, dark: bool) -> None:
    seen = show(html, tmp_path, dark=dark)
    assert (seen.console, seen.requests) == ([], [])
    ground = np.median(seen.pixels, axis=(0, 1))
    assert (ground < 0.2).all() if dark else (ground > 0.9).all()
    assert 0.001 < (np.ptp(seen.pixels, axis=2) > 0.25).mean() < 0.2


@pytest.mark.skipif(_CHROMIUM is None, reason="there is no chromium on the PATH (Debian: chromium)")
def test_nothing_reaches_beyond_a_narrow_window(tmp_path: Path) -> None:
    html = explanation_page(explanation(fields=LARGE + 6), NOTES, FACTS)
    assert 'class="broad"' in html
    pixels = show(html, tmp_path, width=400, height=9000).pixels
    assert np.ptp(pixels[:, -8:], axis=(0, 1)).max() == 0
