"""Check the counterfactual estimates on Open Bandit: one policy's click rate from the other policy's log.

    python -m benchmarks.counterfactual --data ../shared/data/open-bandit

Writes a dated report into benchmarks/reports.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from benchmarks import _report
from evaluation.counterfactual.report import CounterfactualReport, counterfactual
from evaluation.estimate import Estimate
from evaluation.interval import Interval, quantile, two_sided_p

Floats = npt.NDArray[np.float64]

CAMPAIGNS = ("men", "women")
_POSITIONS = 3
_FOLDS = 5
_SEED = 2020
_CLIP = 100.0


@dataclass(frozen=True)
class Log:
    """One policy's log of one campaign; arrays have shape ``(rows,)``.

    Attributes:
        items: Items that the campaign has.
        item: Shown, from 0.
        position: On the page, from 0.
        click: 1 or 0.
        propensity: Of the shown item at its position.
    """

    items: int
    item: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    click: npt.NDArray[np.int64]
    propensity: Floats

    @classmethod
    def read(cls, folder: Path, policy: str, campaign: str) -> "Log":
        """The log of a policy on a campaign."""
        rows = pl.read_parquet(folder / f"{policy}_{campaign}.parquet")
        return cls(
            items=pl.read_parquet(folder / f"items_{campaign}.parquet").height,
            item=rows["item_id"].to_numpy(),
            position=rows["position"].to_numpy() - 1,
            click=rows["click"].to_numpy(),
            propensity=rows["propensity_score"].to_numpy(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with Open Bandit's parquet files")
    options = parser.parse_args()
    lines: list[str] = []
    held = estimates = 0
    for campaign in CAMPAIGNS:
        random, bts = (Log.read(options.data, policy, campaign) for policy in ("random", "bts"))
        uniform = np.full((_POSITIONS, random.items), 1 / random.items)
        for title, log, policy, truth in (
            (f"{campaign}: `bts` from the log of `random`", random, policy_of(bts), bts),
            (f"{campaign}: `random` from the log of `bts`", bts, uniform, random),
        ):
            reports = judge(log, policy)
            lines += section(title, reports, truth)
            found = [e.interval for e in reports[0].estimates.values() if e.interval is not None]
            held += sum(interval.holds(float(truth.click.mean())) for interval in found)
            estimates += len(found)
    summary = f"With weights as they are, {held} of {estimates} intervals hold the observed rate."
    _report.write("counterfactual", "Counterfactual estimates on Open Bandit", [*_HEAD, "", summary, *lines])


def policy_of(log: Log) -> Floats:
    """The policy's mean probabilities by position and item, shape ``(positions, items)``: the shares of its rows."""
    counts = np.zeros((_POSITIONS, log.items))
    np.add.at(counts, (log.position, log.item), 1)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def judge(log: Log, policy: Floats) -> list[CounterfactualReport]:
    """Estimate a policy's click rate from a log, with a reward model cross-fitted on that log.

    Returns:
        The report with all weights as they are and, where some pass the clip, the one with them cut.
    """
    predicted, predicted_target = np.zeros((2, log.click.size))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for train, rest in folds.split(log.click, log.click):
        rates = reward_model(log, train)
        predicted[rest] = rates[log.position[rest], log.item[rest]]
        predicted_target[rest] = (policy * rates).sum(axis=1)[log.position[rest]]
    target = policy[log.position, log.item]
    plain, clipped = (
        counterfactual(log.click, log.propensity, target, predicted, predicted_target, clip=clip)
        for clip in (None, _CLIP)
    )
    return [plain, clipped] if clipped.clipped else [plain]


def reward_model(log: Log, rows: npt.NDArray[np.int64]) -> Floats:
    """Click probabilities by position and item, shape ``(positions, items)``, from a logistic regression on both."""
    eye = np.eye(_POSITIONS), np.eye(log.items)
    features = np.hstack([eye[0][log.position[rows]], eye[1][log.item[rows]]])
    model = LogisticRegression(max_iter=1_000).fit(features, log.click[rows])
    cells = [np.concatenate([eye[0][p], eye[1][i]]) for p in range(_POSITIONS) for i in range(log.items)]
    rates: Floats = model.predict_proba(np.array(cells))[:, 1].reshape(_POSITIONS, log.items)
    return rates


def section(title: str, reports: list[CounterfactualReport], truth: Log) -> list[str]:
    """A table of the estimates beside the click rate that the judged policy had in its own log."""
    rows, clicks = truth.click.size, int(truth.click.sum())
    observed = Estimate(clicks / rows, _wilson(clicks, rows))
    lines = [
        "",
        f"## {title}",
        "",
        "| | CTR, % | 95 % interval, % | observed CTR inside | difference from observed, % | p of no difference |",
        "|---|---|---|---|---|---|",
        f"| observed, {clicks} clicks of {rows:,} rows | {_percent(observed)} | | | |",
        f"| the log's own policy, for comparison | {_percent(reports[0].logged_rate)} | | | |",
    ]
    for report in reports:
        for name, estimate in report.estimates.items():
            assert estimate.interval is not None
            apart = estimate.value - observed.value
            error = (estimate.interval.high - estimate.interval.low) / 2 / quantile(estimate.interval.level)
            p_value = two_sided_p(apart, math.hypot(error, math.sqrt(observed.value * (1 - observed.value) / rows)))
            inside = "yes" if estimate.interval.holds(observed.value) else "NO"
            shown = name if report.clip is None else f"{name}, weights cut to {report.clip:g}"
            lines.append(f"| {shown} | {_percent(estimate)} | {inside} | {100 * apart:+.3f} | {p_value:.2f} |")
    for report in reports:
        weight = report.mean_weight
        assert weight.interval is not None
        lines += [
            "",
            f"{'Weights as they are' if report.clip is None else f'Weights cut to {report.clip:g}'}: effective rows",
            f"{report.effective_rows:,.0f} of {report.rows:,}, effective clicks {report.effective_clicks:.1f}, mean",
            f"weight before cutting {weight.value:.3f} [{weight.interval.low:.3f}, {weight.interval.high:.3f}], the",
            f"heaviest row has {report.largest_share:.2%} of all weight.",
            "",
            *(f"- Warning: {warning}" for warning in report.warnings),
        ]
    return lines


def _percent(estimate: Estimate) -> str:
    assert estimate.interval is not None
    return f"{100 * estimate.value:.3f} | [{100 * estimate.interval.low:.3f}, {100 * estimate.interval.high:.3f}]"


def _wilson(clicks: int, rows: int) -> Interval:
    z2 = quantile(0.95) ** 2
    middle = (clicks + z2 / 2) / (rows + z2)
    reach = math.sqrt(z2 * (clicks * (rows - clicks) / rows + z2 / 4)) / (rows + z2)
    return Interval(middle - reach, middle + reach, 0.95, "Wilson")


_HEAD = f"""\
Two policies served each campaign over the same week and wrote their own logs: `random` shows all items alike, `bts` is
a Bernoulli Thompson sampler. From the log of one we estimate the click rate of the other, and hold it against the rate
observed in the other's own log. The logs are the 10,000-row samples.

**What is given and what is estimated.** Logged propensities are used as they are; those of `bts` are themselves Monte
Carlo estimates of the data's authors (Saito et al. 2021). For `bts` from `random`, the probabilities of `bts` are not
logged on the rows of `random`: they are taken as the shares of items by position in the log of `bts`, unsmoothed, which
is unbiased for its mean policy over the week. Clicks of `bts` are not used. Two things are left out: `bts` changes
from batch to batch, so its observed rate equals that of its mean policy only as far as click rates do not move along
with the policy within the week; and the shares are noisy, which the intervals do not know. For `random` from `bts`
nothing is estimated: the target is 1 / items.

**Reward model** of the doubly robust estimate: logistic regression on item and position (scikit-learn's defaults),
cross-fitted in {_FOLDS} folds of the log that is used. Intervals are normal, of level 95 %; the last column tests
estimate against observation with the noise of both. Where weights above {_CLIP:g} occur, a second set has them cut.

Four comparisons on few clicks are a sanity check, not a proof: `tests/evaluation/test_counterfactual.py` shows
unbiasedness and coverage on simulated logs.""".splitlines()


if __name__ == "__main__":
    main()
