"""The page: whole, safe against what logs hold, the same every time, and readable without a network."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import pytest

from common.text import printable
from evaluation.interval import Interval
from evaluation.page._meanings import MEANINGS, TILES
from evaluation.page._scale import Scale
from evaluation.page._text import ends, number, percent
from evaluation.page.page import page
from evaluation.report.evaluation import Evaluation
from evaluation.report.names import DIRECTIONS
from evaluation.report.slices import SliceTable
from tests.evaluation.sample import LEVEL, MOST_SLICES, OUTCOMES, PROVENANCE, comparison, evaluation, judged, undefined

ROOT = Path(__file__).parents[2]
NASTY = '<script>alert("1")</script>'
VOID = {"meta", "br", "hr", "img", "input", "link"}
PLOTS = [
    "differences", "roc", "precision-recall", "reliability", "scores", "lift",
    "slices-0-auc", "slices-0-calibration-ratio", "time-auc", "time-calibration-ratio",
]  # fmt: skip


@dataclasses.dataclass
class Figure:
    """A figure of a page: its attributes, its svg's, and its text by the tag it is in."""

    attributes: dict[str, str | None]
    svg: dict[str, str | None] | None = None
    text: dict[str, list[str]] = dataclasses.field(default_factory=dict)


class Page(HTMLParser):
    """Tags, ids, text and figures of a page; fails where a tag is not closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.figures: list[Figure] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "figure":
            self.figures.append(Figure(dict(attributes)))
        if tag == "svg" and "figure" in self.open:
            self.figures[-1].svg = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.text.append(data.strip())
            if "figure" in self.open:
                self.figures[-1].text.setdefault(self.open[-1], []).append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value or "" for attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def html() -> str:
    return page(evaluation(), comparison(), OUTCOMES, PROVENANCE)


def test_the_page_is_whole_and_needs_nothing_else(html: str) -> None:
    parsed = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert not re.search(r"https?:|url\((?!#)|@import|src=|\bNone\b|\bnan\b|\binf\b", html)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    pointed_at = [value.removeprefix("#") for value in parsed.values("href")]
    pointed_at += re.findall(r"url\(#(\w+)\)", html) + parsed.values("aria-labelledby")
    assert set(pointed_at) <= set(ids)


def test_every_plot_has_a_name_axes_and_a_sentence(html: str) -> None:
    figures = Page(html).figures
    assert [figure.attributes["id"] for figure in figures] == PLOTS
    for figure in figures:
        assert figure.svg is not None
        assert figure.attributes["aria-labelledby"] == f"{figure.attributes['id']}-title"
        assert figure.svg["role"] == "img"
        assert len(figure.svg["aria-label"] or "") > 30
        assert len(figure.text["h3"][0]) > 5
        (sentence,) = figure.text["figcaption"]
        assert re.fullmatch(r"[A-Z][^.]{60,}\.", re.sub(r"\d\.\d", "0", sentence))
        labels = [text for text in figure.text["text"] if re.search(r"[a-z]{3}", text)]
        assert len(labels) >= 2
        assert figure.text["span"]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("roc", {"false positive rate (% of label 0)", "true positive rate (% of label 1)"}),
        ("precision-recall", {"recall (% of label 1)", "precision (% of rows taken)"}),
        ("reliability", {"mean prediction (%)", "observed rate of label 1 (%)"}),
        ("scores", {"score (predicted probability)", "share of the label's rows (% a bin)"}),
        ("lift", {"rows, highest scores first (%)", "lift (\u00d7)", "label 1 found (%)"}),
        ("slices-0-calibration-ratio", {"predicted / observed (log scale)", "device"}),
        ("time-auc", {"AUC (no unit)", "time (start of each span, UTC)", "2026-01-01"}),
        ("differences", {"difference of AUC (no unit)", "first less second", "finalmlp \u2212 dcnv2"}),
    ],
)
def test_axes_have_units(html: str, name: str, labels: set[str]) -> None:
    figure = Page(html).figures[PLOTS.index(name)]
    assert labels <= set(figure.text["text"])


def test_the_order_is_gate_tiles_comparison_plots_metrics_slices_time(html: str) -> None:
    order = [
        "finalmlp@3f2c",
        "Gate: 1 of 2 rules broken",
        'class="tiles"',
        "goes live",
        'id="roc"',
        "<h2>Metrics",
        "By device",
    ]
    places = [html.index(text) for text in (*order, "<h2>Over time")]
    assert places == sorted(places)


def test_colours_are_the_pages(html: str) -> None:
    svgs = re.findall(r'<svg class="drawn".*?</svg>', html, flags=re.DOTALL)
    assert len(svgs) == len(PLOTS)
    style = html[html.index("<style>") : html.index("</style>")]
    light, dark = style.split("@media (prefers-color-scheme: dark)")[0], style.split("prefers-color-scheme: dark")[1]
    used = {name for svg in svgs for name in re.findall(r"var\(--(\w+)\)", svg)}
    assert {"ink", "rows", "rate", "high"} <= used
    for name in used:
        assert f"--{name}: #" in light
        assert f"--{name}: #" in dark
    assert not re.search(r"#[0-9a-f]{6}[;\"]|font-family|<style", "".join(svgs))


def test_the_same_evaluation_gives_the_same_bytes(html: str) -> None:
    assert page(evaluation(), comparison(), OUTCOMES, PROVENANCE) == html
    assert page(evaluation(rows=10_000)) != page(evaluation())


def test_a_users_own_settings_of_matplotlib_change_nothing(html: str) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 5, "xtick.direction": "in", "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert page(evaluation(), comparison(), OUTCOMES, PROVENANCE) == html
        assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_when_a_page_is_made() -> None:
    code = "import sys, evaluation.page.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_values_of_the_log_are_only_text() -> None:
    devices = [
        NASTY,
        "\u65e5\u672c\u8a9e" * 20,
        "$x^2$ \\frac{",
        "",
        "a\u202eb\x00c",
        "w" * 500,
        "text001",
        "&amp; #003",
    ]
    made = evaluation(devices=devices, title=f"{NASTY} & more")
    html = page(made, comparison((NASTY, "b")), [dataclasses.replace(OUTCOMES[0], found=NASTY)], {NASTY: NASTY})
    parsed = Page(html)
    assert "script" not in parsed.tags
    assert not set("\x00\u202e") & set(html)
    shown = " ".join(parsed.text)
    for text in ("$x^2$ \\frac{", "a\\u202eb\\x00c", "w" * 59 + "\u2026", "text001", "&amp; #003", NASTY):
        assert text in shown
    names = parsed.figures[PLOTS.index("slices-0-auc")].text["text"]
    known = [printable(some.value, longest=20) for some in made.slices[0].slices]
    assert len(known) == len(devices)
    assert [name for name in names if name in known] == known


def test_what_is_undefined_says_why() -> None:
    parsed = Page(page(undefined()))
    drawn = [figure.attributes["id"] for figure in parsed.figures if figure.svg]
    assert drawn == ["scores"]
    for figure in parsed.figures:
        if figure.svg is None:
            (reason,) = figure.text["p"]
            assert reason.startswith("Not drawn: ")
    text = " ".join(parsed.text)
    assert len(set(re.findall(r"undefined: \w+ [^.]{20,}", text))) > 5
    assert "gauc needs a group" in text
    assert not re.search(r"\b(nan|None)\b", text)


@pytest.mark.parametrize(
    ("clicks", "scale", "undrawn"),
    [
        (0, 1.0, {"roc", "precision-recall", "lift", "slices-0-auc", "slices-0-calibration-ratio", "time-auc",
                  "time-calibration-ratio"}),
        (1, 1.0, {"roc", "slices-0-auc", "time-auc"}),
        (None, 0.0, {"slices-0-calibration-ratio", "time-calibration-ratio"}),
        (None, 1e-300, set()),
        (None, 1e301, {"reliability", "scores", "slices-0-calibration-ratio", "time-calibration-ratio"}),
    ],
    ids=["every label 0", "every label 1", "every score 0", "scores next to 0", "scores without end"],
)  # fmt: skip
def test_a_page_is_made_of_whatever_can_be_judged(clicks: int | None, scale: float, undrawn: set[str]) -> None:
    draw = np.random.default_rng(0)
    labels = draw.random(200) < 0.3 if clicks is None else np.full(200, clicks == 1)
    devices, times = pl.Series(["phone", "tablet"] * 100), np.arange(200) * 3_600_000_000
    html = page(judged("made", labels, draw.random(200) * scale, None, devices, times))
    figures = Page(html).figures
    assert [figure.attributes["id"] for figure in figures] == PLOTS[1:]
    assert {figure.attributes["id"] for figure in figures if not figure.svg} == undrawn
    assert not re.search(r"\b(nan|None)\b", html)


def test_a_reason_is_found_where_no_metric_gives_one() -> None:
    made = evaluation(devices=(), days=0)
    curves = dataclasses.replace(made.curves, roc=None, precision_recall=None, reliability=None, lift=None)
    without = Page(page(dataclasses.replace(made, curves=curves)))
    assert {text for figure in without.figures for text in figure.text.get("p", ())} == {
        "Not drawn: the data leave it undefined."
    }
    one_class = dataclasses.replace(made.report, label_rate=1.0)
    whole = Page(page(dataclasses.replace(made, curves=curves, report=one_class)))
    assert "Not drawn: every label is 1." in whole.figures[0].text["p"]


def test_without_slices_times_comparison_and_gate_there_is_no_word_of_them() -> None:
    html = page(evaluation(devices=(), days=0))
    assert [figure.attributes["id"] for figure in Page(html).figures] == PLOTS[1:6]
    for word in ("Gate", "Comparison", "flagged", "Over time"):
        assert word not in re.sub(r"<style>.*</style>", "", html, flags=re.DOTALL)


def test_a_column_without_values_says_so() -> None:
    empty = SliceTable("device", (), 0, LEVEL)
    html = page(dataclasses.replace(evaluation(), slices=(empty,), times=empty))
    assert "No row has a value of this column." in html
    assert "No row has a time." in html


def test_flagged_slices_are_named_and_marked(html: str) -> None:
    table = evaluation().slices[0]
    flagged = [some.value for some in table.slices if some.flagged]
    assert flagged
    assert f"{len(flagged)} of 5 values flagged: {', '.join(flagged)}." in html
    marks = sum(len(some.flagged) for some in (*table.slices, *_times(evaluation()).slices))
    assert html.count('<span class="badge high">flagged</span>') == marks


def test_what_is_better_depends_on_the_metric(html: str) -> None:
    words = re.findall(r"<b>(\S+?)</b> <span class=\"badge \w+\">(better|worse)</span>", html)
    assert ("+0.00800", "better") in words
    assert ("\u22120.00800", "worse") in words
    # Lower logloss is better.
    made = comparison(("a", "b"))
    (loss,) = [some for some in made.differences if (some.metric, some.first) == ("logloss", "a")]
    lower = dataclasses.replace(loss, value=-0.02, interval=Interval(-0.03, -0.01, LEVEL, "paired"))
    html = page(evaluation(), dataclasses.replace(made, differences=(lower,), slices=()))
    assert re.findall(r"<b>(\S+?)</b> <span class=\"badge \w+\">(better|worse)</span>", html) == [
        ("\u22120.02000", "better")
    ]
    assert "the models have no AUC to compare" in html


def test_many_slices_are_cut_in_the_plot_and_folded_in_the_table() -> None:
    made = evaluation(devices=[f"device {i}" for i in range(62)], days=0)
    html = page(made)
    values = [some.value for some in made.slices[0].slices]
    figure = Page(html).figures[-2]
    assert figure.text["h3"] == ["AUC by device, the 20 largest"]
    assert [text for text in figure.text["text"] if text.startswith("device ")] == values[:20]
    assert "<summary>10 more</summary>" in html
    assert re.findall(r'<td class="name" title="(device \d+)"', html) == values
    assert len(values) == MOST_SLICES
    assert "2 further values are left out" in html


def test_predictions_far_apart_are_drawn_on_logarithmic_axes() -> None:
    made = evaluation()
    assert made.curves.reliability is not None
    figure = Page(page(made)).figures[PLOTS.index("reliability") - 1]
    ticks = [float(text) for text in figure.text["text"] if re.fullmatch(r"[\d.]+", text)]
    assert max(ticks) / min(ticks) > 10
    same = tuple(dataclasses.replace(some, mean_score=0.03 + some.mean_score / 50) for some in made.curves.reliability)
    near = dataclasses.replace(made, curves=dataclasses.replace(made.curves, reliability=same))
    figure = Page(page(near)).figures[PLOTS.index("reliability") - 1]
    assert "0" in figure.text["text"]


def test_bins_without_label_1_have_a_mark_of_their_own() -> None:
    made = evaluation()
    assert made.curves.reliability is not None
    none = dataclasses.replace(made.curves.reliability[0], rate=0.0, interval=Interval(0.0, 0.004, LEVEL, "Wilson"))
    curves = dataclasses.replace(made.curves, reliability=(none, *made.curves.reliability[1:]))
    assert "no label 1 in the bin" not in page(made)
    assert "no label 1 in the bin" in page(dataclasses.replace(made, curves=curves))


def test_every_metric_has_a_meaning() -> None:
    assert MEANINGS.keys() == DIRECTIONS.keys()
    assert set(TILES) <= MEANINGS.keys()


def test_an_interval_leaves_its_points_apart() -> None:
    intervals = [Interval(0.69, 0.71, LEVEL, ""), Interval(0.71, 0.73, LEVEL, ""), Interval(0.01, 0.99, LEVEL, "")]
    scale = Scale.around([0.7, 0.72, 0.6], intervals)
    assert scale is not None
    assert 0.4 < scale.low < 0.6 < 0.72 < scale.high < 0.9
    assert scale.place(0.0) == 0
    assert scale.place(1.0) == 1
    assert scale.place(0.7) < scale.place(0.72)
    assert Scale.around([], intervals) is None
    assert Scale.around([0.0], [], logarithmic=True) is None


@pytest.mark.parametrize(("low", "high"), [(0.97, 1.04), (0.5, 3), (0.2, 9), (0.01, 30), (1e-5, 100)])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_ticks_are_few_and_round(low: float, high: float, logarithmic: bool) -> None:
    ticks = Scale(low, high, logarithmic).ticks()
    assert 2 <= len(ticks) <= 9
    assert ticks == sorted(ticks)
    assert low <= ticks[0] < ticks[-1] <= high
    assert all(len(f"{tick:g}") <= 5 for tick in ticks)
    places = np.array([Scale(low, high, logarithmic).place(tick) for tick in ticks])
    assert np.diff(places).min() > 0.05


def test_the_wheel_holds_the_pages_template() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = project["tool"]["setuptools"]["package-data"]["evaluation.page"]
    beside = [path.name for path in (ROOT / "evaluation" / "page").iterdir() if path.is_file()]
    assert sorted(name for name in beside if not name.endswith(".py")) == sorted(named)


def test_numbers_and_texts_of_the_page() -> None:
    assert [number(value) for value in (0, 0.742149, 0.0482, 12, 65535, -0.5, 4.2e-7)] == [
        "0", "0.7421", "0.04820", "12.0000", "65,535", "\u22120.5000", "4.200e\u221207",
    ]  # fmt: skip
    assert [number(value, signed=True) for value in (0.0042, -0.0001, 0.0, -4.2e-7)] == [
        "+0.00420", "\u22120.00010", "+0.00000", "\u22124.2e\u221207",
    ]  # fmt: skip
    assert ends(Interval(0.739, 0.7452, LEVEL, "")) == "0.7390 to 0.7452"
    assert percent(0.0004) == "0.0400\u00a0%"


def _times(made: Evaluation) -> SliceTable:
    assert made.times is not None
    return made.times


def test_many_differences_by_slice_are_folded() -> None:
    plain = comparison()
    many = tuple((column, f"{value}{i}", some) for i in range(30) for column, value, some in plain.slices)
    made = evaluation(rows=2000, devices=(), days=0)
    html = page(made, dataclasses.replace(plain, slices=many))
    assert "<summary>40 more</summary>" in html
    assert html.index("phone15") < html.index("<summary>40 more") < html.index("desktop29")
    assert "<details" not in page(made, plain)


def test_a_difference_names_both_models() -> None:
    made = evaluation(rows=2000, devices=(), days=0)
    html = page(made, comparison(("today.parquet", "live.parquet")))
    assert ">today.parqu\u2026 \u2212 live.parquet<" in html
