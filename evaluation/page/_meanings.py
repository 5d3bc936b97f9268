"""What the metrics are called on the page, and what each means."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """A metric for people.

    Attributes:
        title: Its name.
        text: What it means, in half a sentence.
    """

    title: str
    text: str


MEANINGS: dict[str, Meaning] = {
    "auc": Meaning("AUC", "how often a random row of label 1 scores above a random row of label 0, ties half"),
    "gauc": Meaning("GAUC", "the AUC within each group, weighted by the group's rows"),
    "gauc_positives": Meaning("GAUC by positives", "the AUC within each group, weighted by its rows of label 1"),
    "gauc_plain": Meaning("GAUC, plain", "the AUC within each group, every group counted once"),
    "pr_auc": Meaning("PR-AUC", "mean precision over all recalls; by chance it is the label rate"),
    "ndcg": Meaning("NDCG", "how high label 1 stands within a request, against the best order; 1 is the best order"),
    "mrr": Meaning("MRR", "one over the place of the first label 1 in a request, on average"),
    "hit_rate": Meaning("Hit rate", "share of requests with a label 1 among their first candidates"),
    "logloss": Meaning("Logloss", "mean surprise at the labels, in nats"),
    "normalised_entropy": Meaning(
        "Normalised entropy", "logloss over that of always saying the label rate; below 1 helps"
    ),
    "brier": Meaning("Brier score", "mean squared distance of the prediction from the label"),
    "calibration_ratio": Meaning("Calibration", "label 1 predicted over label 1 observed; 1 is calibrated"),
    "ece": Meaning("ECE", "mean distance of prediction and observed rate, over bins of equal mass"),
    "ece_equal_width": Meaning("ECE, equal width", "the same over bins of equal width, which few rows may fill"),
}

TILES = ("auc", "gauc", "logloss", "normalised_entropy", "calibration_ratio", "ece")
"""The metrics that stand on top of the page."""


def title_of(name: str) -> str:
    """A metric's title; its k, if it has one, stays: NDCG@10."""
    base, at, k = name.partition("@")
    return MEANINGS[base].title + at + k


def meaning_of(name: str) -> str:
    """What a metric means."""
    return MEANINGS[name.partition("@")[0]].text
