"""The linear layer that the rankers share."""

from torch import nn


class Linear(nn.Linear):
    """A linear layer that starts as the published recipes have it: weights Xavier-normal, bias 0."""

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        nn.init.xavier_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
