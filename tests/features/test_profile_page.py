"""The page: whole, safe against what logs hold, the same every time, and readable without a network."""

import re
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.datasets.prepared import PreparedSet
from features.profile.findings import findings
from features.profile.page import page
from features.profile.profile import profile
from features.profile.text import interval, number

Prepare = Callable[..., PreparedSet]
ROOT = Path(__file__).parents[2]
ROWS = 1000
NASTY = '<script>alert("1")</script>'
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags and attributes of a page; fails where a tag is not closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def html(log: Path, prepare_set: Prepare) -> str:
    """A page about features of every kind, with all that can be wrong with them."""
    sets = []
    for day in range(2):
        draw = np.random.default_rng(day)
        click = draw.integers(0, 2, ROWS)
        frame = pl.DataFrame(
            {
                "click": click,
                "time": pl.Series(range(ROWS)) * 60 + 1_767_571_200 + 86_400 * day,
                "device": [NASTY if i % 3 else "phone" for i in range(ROWS)],
                "city": [f"c{i % 20 + 5 * day}\u202e\x00" for i in range(ROWS)],
                "price": draw.normal(10 + 5 * day, 2, ROWS),
                "dwell": pl.Series(draw.normal(0, 1, ROWS)).set(pl.Series(click == 0), None),
                "tags": [[NASTY, "x"][: i % 3] for i in range(ROWS)],
                "constant": "x",
                "empty": pl.Series([None] * ROWS, dtype=pl.String),
            }
        )
        frame.write_parquet(log / f"{day}.parquet")
        schema = {
            "label": "click",
            "timestamp": "time",
            "features": [
                {"name": "device", "kind": "categorical"},
                {"name": "city", "kind": "categorical", "encoding": "vocabulary"},
                {"name": "price", "kind": "numeric", "transforms": ["log1p", "standardize"]},
                {"name": "bucket", "column": "price", "kind": "bucketized", "buckets": 4},
                {"name": "dwell", "kind": "numeric"},
                {"name": "filled", "column": "dwell", "kind": "numeric", "missing": 0},
                {"name": "tags", "kind": "multivalued"},
                {"name": "both", "kind": "cross", "of": ["device", "bucket"]},
                {"name": "constant", "kind": "categorical"},
                {"name": "empty", "kind": "categorical"},
            ],
        }
        sets.append(prepare_set(schema, log / f"{day}.parquet", output=f"day{day}", split={"by": "time"}))
    made = profile(sets[1], against=sets[0])
    text = page(made, findings(made))
    assert page(made, findings(made)) == text
    again = profile(sets[1], against=sets[0])
    assert page(again, findings(again)) == text
    return text


def test_the_page_is_whole_and_needs_nothing_else(html: str) -> None:
    parsed = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert not re.search(r"https?:|url\(|@import|src=|None|nan\b", html)
    ids = [value for name, value in parsed.attributes if name == "id"]
    links = [value for name, value in parsed.attributes if name == "href"]
    assert len(ids) == len(set(ids)) == 10
    assert {f"#{id}" for id in ids} == set(links)


def test_values_of_the_log_are_only_text(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in html
    assert "\x00" not in html
    assert "\u202e" not in html
    assert re.search(r"c\d+\\u202e\\x00", html)


def test_what_needs_attention_comes_first(html: str) -> None:
    ranks = [html.index(f'id="f-{name}"') for name in ("dwell", "constant", "bucket", "tags")]
    assert ranks == sorted(ranks)
    severities = re.findall(r'<li><span class="badge (\w+)">', html)
    assert severities == sorted(severities, key=["high", "medium", "low"].index)
    assert set(severities) == {"high", "medium", "low"}
    assert html.index("What to look at") < html.index("Over time") < html.index("Drift from")


def test_plots_stay_inside_their_frames(html: str) -> None:
    frames = re.findall(r'<svg viewBox="0 0 (\d+) 1".*?</svg>', html, flags=re.DOTALL)
    assert len(frames) > 20
    for plot in re.findall(r"<svg viewBox.*?</svg>", html, flags=re.DOTALL):
        width = float(plot.split('"')[1].split()[2])
        for name, place in re.findall(r'\b([xy][12]?)="([^"]*)"', plot):
            assert 0 <= float(place) <= (width if name[0] == "x" else 1) + 1e-9, plot
    shares = [float(share) for share in re.findall(r"width: ([\d.]+)%; background", html)]
    assert shares
    assert max(shares) <= 100


def test_nothing_to_look_at_is_said(log: Path, prepare_set: Prepare) -> None:
    pl.DataFrame({"click": [0, 1] * 500, "ad": ["a", "b", "c"] * 333 + ["a"]}).write_csv(log / "a.csv")
    made = profile(prepare_set({"label": "click", "features": [{"name": "ad", "kind": "categorical"}]}, log / "a.csv"))
    html = page(made, findings(made))
    Page(html)
    assert "Nothing stands out." in html
    assert "Over time" not in html
    assert "Drift" not in html


def test_the_wheel_holds_the_template() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = project["tool"]["setuptools"]["package-data"]["features.profile"]
    beside = [path.name for path in (ROOT / "features" / "profile").iterdir() if path.is_file()]
    assert sorted(name for name in beside if not name.endswith(".py")) == sorted(named)


def test_numbers_in_words() -> None:
    assert [number(value) for value in (0, 12, 0.04213, -1234.5678, 65535, 1e12, 24.9999998)] == [
        "0", "12", "0.04213", "-1235", "65,535", "1e+12", "25",
    ]  # fmt: skip
    assert interval(3, 3) == "3"
