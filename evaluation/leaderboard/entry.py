"""An entry of a leaderboard: runs that differ only in seed, or that share a setting."""

from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from common.errors import ConfigError, did_you_mean
from evaluation.leaderboard.run import Run
from evaluation.leaderboard.summary import Summary


@dataclass(frozen=True)
class Entry:
    """A line of a leaderboard.

    Attributes:
        name: What tells it from the others of its board.
        runs: Its runs, at least one, by seed.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def model(self) -> str:
        """The ranker's name; of several rankers, all of them."""
        return ", ".join(dict.fromkeys(run.model for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, one a run."""
        return tuple(run.seed for run in self.runs)

    @property
    def parameters(self) -> tuple[int, int]:
        """The fewest and the most parameters of a run; the same number twice where runs differ only in seed."""
        counts = [run.parameters for run in self.runs]
        return min(counts), max(counts)

    @property
    def epochs(self) -> tuple[int, int]:
        """The fewest and the most epochs of a run."""
        counts = [run.epochs for run in self.runs]
        return min(counts), max(counts)

    @property
    def samples_per_second(self) -> float | None:
        """Training rows a second: the median over all epochs of all runs; None where none is known."""
        return median(speed for run in self.runs for speed in run.speeds) if any(r.speeds for r in self.runs) else None

    @property
    def seconds(self) -> float | None:
        """Training time of a run without validation, on average; None where one is not known."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return fmean(known) if len(known) == len(self.runs) else None

    def metrics(self, split: str) -> tuple[str, ...]:
        """The metrics that every run's report of a split has, in their order."""
        first, *others = [[metric.name for metric in run.reports[split].metrics] for run in self.runs]
        return tuple(name for name in first if all(name in names for names in others))

    def summary(self, split: str, metric: str) -> Summary:
        """A metric of a split, over the runs.

        Raises:
            ConfigError: Not every run has the metric.
        """
        known = self.metrics(split)
        if metric not in known:
            raise ConfigError(f"{self.name} has no {metric!r} on {split}; {did_you_mean(metric, known)}")
        return Summary.of([run.reports[split].metric(metric) for run in self.runs])

    def to_json_dict(self, split: str) -> dict[str, Any]:
        """The entry in types that strict JSON knows, with the metrics of a split."""
        return {
            "name": self.name,
            "model": self.model,
            "seeds": list(self.seeds),
            "parameters": list(self.parameters),
            "metrics": {name: self.summary(split, name).to_json_dict() for name in self.metrics(split)},
            "valid_auc": self.summary("valid", "auc").to_json_dict(),
            "epochs": list(self.epochs),
            "samples_per_second": self.samples_per_second,
            "seconds": self.seconds,
            "runs": [run.to_json_dict(split) for run in self.runs],
        }
