"""A search for the best settings as one html page that needs nothing else: no script, no network, light and dark."""

from collections.abc import Mapping

from evaluation.page._search_plots import axis_plots, search_plots
from evaluation.page._template import render
from evaluation.search.search import Search
from evaluation.search.trial import value_text


def search_page(search: Search, provenance: Mapping[str, str]) -> str:
    """The page's html.

    Args:
        search: What has been found.
        provenance: What it rests on, such as paths: texts by name.

    Returns:
        The same text for the same arguments.
    """
    states = [trial.state for trial in search.trials]
    return render(
        "search.html.jinja",
        search=search,
        best=search.best,
        own=None if search.own is None else search.trials[search.own],
        counts={state: states.count(state) for state in ("finished", "pruned", "failed", "running")},
        provenance=provenance,
        plots=search_plots(search),
        axes=axis_plots(search),
        text=value_text,
    )
