"""When to lower the learning rate, and when to stop."""

from dataclasses import dataclass

_GAIN = 1e-6  # a smaller rise is no gain


@dataclass
class Plateau:
    """The published recipes' rule: an epoch without gain lowers the learning rate; several in a row end training.

    Attributes:
        patience: Epochs in a row without gain that end training.
        best: The best value so far.
        best_epoch: Its epoch, from 1; 0 before the first.
        without_gain: Epochs in a row without gain.
    """

    patience: int
    best: float = float("-inf")
    best_epoch: int = 0
    without_gain: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Judge an epoch.

        Args:
            epoch: Its number, from 1.
            value: What is monitored; more is better.

        Returns:
            Whether it gained on the best so far.
        """
        if value > self.best + _GAIN:
            self.best, self.best_epoch, self.without_gain = value, epoch, 0
            return True
        self.without_gain += 1
        return False

    def progress(self) -> dict[str, float]:
        """All but the patience, to go on from."""
        return {"best": self.best, "best_epoch": self.best_epoch, "without_gain": self.without_gain}

    @property
    def exhausted(self) -> bool:
        """Whether training should stop."""
        return self.without_gain >= self.patience
