"""The leaderboard as one html page that needs nothing else: no script, no network, light and dark."""

from collections.abc import Sequence

from evaluation.leaderboard.leaderboard import Leaderboard
from evaluation.page._leaderboard_plots import METRICS, leaderboard_plots
from evaluation.page._template import render

_TEMPLATE = "leaderboard.html.jinja"


def leaderboard_page(leaderboard: Leaderboard, left_out: Sequence[str] = ()) -> str:
    """The page's html.

    Args:
        leaderboard: What is shown.
        left_out: What is not, and why: a sentence each.

    Returns:
        The same text for the same arguments.
    """
    return render(
        _TEMPLATE,
        leaderboard=leaderboard,
        boards=[
            (board, published, leaderboard_plots(board, published, leaderboard.split, place))
            for place, (board, published) in enumerate(leaderboard.boards)
        ],
        metrics=METRICS,
        left_out=left_out,
    )
