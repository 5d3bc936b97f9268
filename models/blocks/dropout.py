"""Dropout whose draws cost a CPU little.

Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15.

On a CPU torch draws a number at a time, 10 ns and more each, which can take longer than the rest of a perceptron. Here
a draw of 64 bits serves four numbers; a rate is therefore a multiple of 2^-16 there.

A layer that drops what a ReLU gives out drops before it: as no number is scaled below 0, that is the same, and the
compiled backward pass reads the sign of what is kept anyway, not of a mask of its own (benchmarks/blocks).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 2**16  # of 16 bits


class Dropout(nn.Module):
    """Drops each number in training, independently, and scales the others up to the same mean.

    Args:
        rate: Share that is dropped; under 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of a tensor of any shape."""
        return dropout(x, self.rate) if self.training else x

    def extra_repr(self) -> str:
        """The rate, as modules print their settings."""
        return f"rate={self.rate}"


def dropout(x: Tensor, rate: float) -> Tensor:
    """Drop numbers of ``x``, a tensor of any shape, by a rate under 1."""
    if rate == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    mask, scale = keep_mask(x, rate)
    return x * mask * scale


def keep_mask(x: Tensor, rate: float) -> tuple[Tensor, float]:
    """Which numbers of ``x``, on a CPU, to keep: 1 or 0 in its shape and type; and what to scale those by."""
    dropped = round(rate * _LEVELS)
    mask = torch.empty_like(x)  # of bools, compiled code would not be vectorised
    _draw(mask, dropped)
    return mask, _LEVELS / max(1, _LEVELS - dropped)


# It fills a tensor, as the compiler may take two calls that return one for the same.
@torch.library.custom_op("plexrank::draw_mask", mutates_args=("mask",))
def _draw(mask: Tensor, dropped: int) -> None:
    """Make each number of a mask 0 with a probability of ``dropped`` levels, else 1."""
    draws = torch.empty(-(-mask.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    levels = draws.view(torch.int16)[: mask.numel()].view(mask.shape)
    mask.copy_(levels >= dropped - _LEVELS // 2)
