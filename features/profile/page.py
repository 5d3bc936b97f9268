"""The profile as one html page that needs nothing else: no script, no network, light and dark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.text import percent, printable
from features.profile.drift import LARGE, MODERATE, FeatureDrift, Moved
from features.profile.feature import QUANTILES, FeatureProfile
from features.profile.findings import SEVERITIES, Finding, Severity
from features.profile.profile import Profile
from features.profile.rates import Rate
from features.profile.text import number

_TEMPLATE = "page.html.jinja"
_MOST_MOVED = 8  # of the values that are compared, in a card
_PSI_END = 0.5  # where the bars of the drift table end


@dataclass(frozen=True)
class _Attention:
    """The findings about one feature, or about the set where ``feature`` is None."""

    severity: Severity
    feature: str | None
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Card:
    """A feature as the page shows it; ``end`` is the label rate at the far end of its axes."""

    feature: FeatureProfile
    drift: FeatureDrift | None
    attention: _Attention | None
    end: float
    moved: tuple[Moved, ...]


def page(profile: Profile, found: Sequence[Finding]) -> str:
    """The page's html.

    Args:
        profile: What was measured.
        found: What to look at (:func:`features.profile.findings.findings`).

    Returns:
        The same text for the same profile.
    """
    attention = _grouped(found)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # values come from logs, and may hold html
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "number": number, "printable": printable, "rate": _rate}
    drifts = [] if profile.drift is None else list(profile.drift.features)
    html = environment.get_template(_TEMPLATE).render(
        profile=profile,
        label=profile.splits[profile.split],
        attention=attention,
        cards=_cards(profile, attention),
        drifts=sorted(drifts, key=lambda drift: -1.0 if drift.psi is None else drift.psi, reverse=True),
        time_end=1.0 if profile.times is None else _end(some.label for some in profile.times.bins),
        quantiles=QUANTILES,
        psi_end=_PSI_END,
        moderate=MODERATE,
        large=LARGE,
    )
    return html.strip() + "\n"


def _grouped(found: Sequence[Finding]) -> list[_Attention]:
    """The findings of each feature together, the gravest first."""
    texts: dict[str | None, list[str]] = {}
    severity: dict[str | None, Severity] = {}
    for finding in found:
        severity.setdefault(finding.feature, finding.severity)
        texts.setdefault(finding.feature, []).append(finding.text)
    return [_Attention(severity[name], name, tuple(some)) for name, some in texts.items()]


def _cards(profile: Profile, attention: Sequence[_Attention]) -> list[_Card]:
    """What needs attention first, else in the order of the schema."""
    by_name = {some.feature: some for some in attention}
    drifts = {} if profile.drift is None else {drift.name: drift for drift in profile.drift.features}
    overall = profile.splits[profile.split]
    cards = []
    for feature in profile.features:
        drift = drifts.get(feature.name)
        bars = feature.top if feature.numbers is None else feature.numbers.bins
        cards.append(
            _Card(
                feature=feature,
                drift=drift,
                attention=by_name.get(feature.name),
                end=_end([overall, *(bar.label for bar in bars)]),
                moved=() if drift is None else _most_moved(drift, ordered=feature.kind == "numeric"),
            )
        )
    return sorted(cards, key=lambda card: SEVERITIES.index(card.attention.severity) if card.attention else 9)


def _most_moved(drift: FeatureDrift, *, ordered: bool) -> tuple[Moved, ...]:
    """All bins of a number in their order; of values those that moved most, that first."""
    if ordered:
        return drift.bins
    return tuple(sorted(drift.bins, key=lambda moved: moved.psi, reverse=True)[:_MOST_MOVED])


def _end(labels: Iterable[Rate]) -> float:
    """A label rate that none of some lies above, with a little room."""
    return min(1.0, 1.2 * max((label.rate or 0.0 for label in labels), default=0.0)) or 1.0


def _rate(label: Rate) -> str:
    return "\u2013" if label.rate is None else percent(label.rate)
