"""The page in a real Chromium: it asks the network for nothing, logs nothing, and fits any window, light and dark."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.page.page import page
from tests.evaluation.sample import OUTCOMES, PROVENANCE, comparison, evaluation, undefined

_CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr",
    # Nor may the browser itself reach anything, whatever it asks for on its own account.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_TALL = 6000  # as high as the page, about

pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="there is no chromium on the PATH (Debian: chromium)")


@dataclass(frozen=True)
class Shown:
    """What came of opening a page: its pixels, from 0 to 1, and what it logged and asked for."""

    pixels: NDArray[np.float64]
    console: list[str]
    requests: list[str]


def show(html: str, folder: Path, *, width: int = 1200, height: int = _TALL, dark: bool = False) -> Shown:
    """Open a page in a fresh browser."""
    file, shot, log = folder / "page.html", folder / "page.png", folder / "net.json"
    file.write_text(html, encoding="utf-8")
    assert _CHROMIUM is not None
    done = subprocess.run(
        [
            _CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--log-net-log={log}",
            f"--screenshot={shot}",
            file.as_uri(),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return Shown(
        pixels=np.asarray(matplotlib.image.imread(shot), np.float64)[..., :3],
        console=[line for line in done.stderr.splitlines() if "CONSOLE" in line],
        # The browser's own requests have no origin.
        requests=[some["url"] for some in asked if some["initiator"] != "not an origin"],
    )


@pytest.fixture(scope="module")
def html() -> str:
    return page(evaluation(), comparison(), OUTCOMES, PROVENANCE)


def test_what_a_page_logs_and_asks_for_is_seen(tmp_path: Path) -> None:
    """The control of the tests below."""
    bad = '<!doctype html><script>console.error("oops")</script><img src="http://nowhere.invalid/a.png">'
    seen = show(bad, tmp_path, height=200)
    assert ["oops" in line for line in seen.console] == [True]
    assert seen.requests == ["http://nowhere.invalid/a.png"]
    assert seen.pixels.std() < 0.05


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_shows_offline_in_light_and_dark(html: str, tmp_path: Path, dark: bool) -> None:
    seen = show(html, tmp_path, dark=dark)
    assert seen.console == []
    assert seen.requests == []
    assert seen.pixels.shape == (_TALL, 1200, 3)
    ground = np.median(seen.pixels, axis=(0, 1))
    assert (ground < 0.2).all() if dark else (ground > 0.9).all()
    # Text stands out from the ground, and colours are there, on more than one stretch of the page.
    for stretch in np.array_split(seen.pixels[:4800], 4):
        assert np.abs(stretch - ground).max() > 0.6
    colourful = np.ptp(seen.pixels, axis=2) > 0.25
    assert 0.001 < colourful.mean() < 0.2


@pytest.mark.parametrize("width", [400, 800])
def test_nothing_reaches_beyond_a_narrow_window(html: str, tmp_path: Path, width: int) -> None:
    pixels = show(html, tmp_path, width=width, height=9000).pixels
    assert pixels.shape[1] == width
    assert np.ptp(pixels[:, -8:], axis=(0, 1)).max() == 0


def test_a_page_with_nothing_to_draw_shows_too(tmp_path: Path) -> None:
    seen = show(page(undefined()), tmp_path, height=1500)
    assert (seen.console, seen.requests) == ([], [])
    assert np.abs(seen.pixels - np.median(seen.pixels, axis=(0, 1))).max() > 0.6
