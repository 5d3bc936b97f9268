"""The leaderboard's page: whole, safe against names, and showing what its numbers are."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.leaderboard.leaderboard import Leaderboard
from evaluation.leaderboard.reference import Reference
from evaluation.leaderboard.run import Run
from evaluation.page._leaderboard_plots import spread
from evaluation.page.leaderboard import leaderboard_page
from tests.evaluation.leaderboard_sample import MODELS, field, run
from tests.evaluation.test_page import Page

NASTY = '<script>alert("1")</script>'
REFERENCES = (
    Reference(name="finalmlp", metrics={"auc": 0.986072, "logloss": 0.148415}, source="BARS, one run, chosen on test"),
    Reference(name="lr", metrics={"auc": 0.935584}, source="BARS, one run"),
)


def page_of(*runs: Run, split: str = "test") -> str:
    return leaderboard_page(Leaderboard.of(runs, split=split))


@pytest.fixture(scope="module")
def html() -> str:
    runs = [*field(), run("gdcn", 2021, auc=0.9844, logloss=0.149, parameters=400_000)]
    return leaderboard_page(Leaderboard.of(runs, references=REFERENCES), ["runs/dcn_2021 is left out: not finished"])


def test_the_page_is_whole_and_needs_nothing_else(html: str) -> None:
    parsed = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert not re.search(r"https?:|url\((?!#)|@import|src=|\bNone\b|\bnan\b|\binf\b", html)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert html == leaderboard_page(
        Leaderboard.of(
            [*field(), run("gdcn", 2021, auc=0.9844, logloss=0.149, parameters=400_000)], references=REFERENCES
        ),
        ["runs/dcn_2021 is left out: not finished"],
    )


def test_every_entry_and_every_run_stands_there(html: str) -> None:
    board = Leaderboard.of(field()).boards[0][0]
    for entry in board.entries:
        found = entry.summary("test", "auc")
        assert found.mean is not None
        assert found.interval is not None
        assert f"<b>{found.mean:.5f}</b><span>{found.interval.as_text()}</span><span>std {found.std:.5f}</span>" in html
        for some in entry.runs:
            assert f'title="{some.folder}"' in html
    assert "one run, over rows: DeLong, logit" in html
    assert "runs/dcn_2021 is left out: not finished" in html
    assert "no choice of a model" in html


def test_every_plot_has_its_entries_and_a_sentence(html: str) -> None:
    figures = Page(html).figures
    assert [figure.attributes["id"] for figure in figures] == ["runs-0-auc", "runs-0-logloss", "speed-0", "size-0"]
    for figure in figures:
        assert figure.svg is not None
        assert len(figure.svg["aria-label"] or "") > 30
        (sentence,) = figure.text["figcaption"]
        assert re.fullmatch(r"[A-Z][^.]{60,}\.", sentence)
        assert set(figure.text["text"]) > {*MODELS, "gdcn"}
        assert "one run: over rows" in figure.text["span"]
    assert ["published" in figure.text["span"] for figure in figures] == [True, True, False, False]


def test_an_entry_far_off_leaves_the_others_apart(html: str) -> None:
    auc = Page(html).figures[0]
    assert "0.9354" in auc.text["text"]
    ticks = [float(text) for text in auc.text["text"] if re.fullmatch(r"0\.98\d+", text)]
    assert len(ticks) > 2
    assert "a triangle is an entry" in auc.text["figcaption"][0]
    near = Page(page_of(*(some for some in field() if some.model not in ("lr", "fm")))).figures[0]
    assert "a triangle is an entry" not in near.text["figcaption"][0]


def test_published_figures_and_differences_are_listed(html: str) -> None:
    mean = Leaderboard.of(field()).boards[0][0].entries
    lr = next(entry for entry in mean if entry.name == "lr").summary("test", "auc").mean
    assert lr is not None
    difference = f"{lr - 0.935584:+.5f}".replace("-", "\u2212")
    assert f"<b>{difference}</b>" in html
    assert "BARS, one run, chosen on test" in html


def test_tables_of_different_data_are_apart() -> None:
    html = page_of(run("a"), run("b", rows=50_000, settings={"data": "data/other"}))
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["data/frappe-prepared", "data/other"]
    # One entry has nothing to be drawn against.
    assert re.findall(r'<figure .*?id="(.*?)"', html) == [
        "runs-0-auc", "runs-0-logloss", "runs-1-auc", "runs-1-logloss",
    ]  # fmt: skip


def test_what_is_not_known_is_a_dash_or_a_reason() -> None:
    html = page_of(run("a", auc=None, speeds=(), seconds=None), run("b", auc=None, speeds=(), seconds=None))
    assert html.count("undefined: all labels are 0") == 2
    assert "Not drawn: all labels are 0" in html
    assert "Not drawn: no entry has both an AUC and a known training speed." in html
    assert '<td class="num">\u2013</td>' in html


def test_names_cannot_break_the_page() -> None:
    html = page_of(run(NASTY.replace("/", "|"), 1), run("\u65e5\u672c", 1, settings={"data": NASTY}))
    parsed = Page(html)
    assert "script" not in parsed.tags
    assert any("alert" in text for text in parsed.text)
    assert "\u65e5\u672c" in parsed.text


def test_by_valid_the_test_split_is_not_shown() -> None:
    html = page_of(run(auc=0.71234, valid_auc=0.76543), split="valid")
    assert "0.76543" in html
    assert "0.71234" not in html
    assert "no choice of a model" not in html


@given(st.lists(st.floats(0, 1), max_size=20).map(sorted), st.floats(0.001, 0.05))
def test_names_beside_a_plot_keep_apart_and_in_order(places: list[float], gap: float) -> None:
    found = spread(places, gap)
    assert len(found) == len(places)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(found))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in found)
    if all(b - a >= gap for a, b in itertools.pairwise(places)):
        assert found == pytest.approx(places, abs=1e-9)
