"""Two vectors fused into a logit by a multi-head bilinear form.

Source: Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI, arXiv 2304.00902: its
stream-level fusion.

Shapes: B batch, A1 and A2 widths of the inputs, H heads, a1 and a2 widths of a head.
"""

import math

import torch
from torch import Tensor, nn

from models.blocks.linear import Linear


class BilinearFusion(nn.Module):
    """w1 o1 + w2 o2 + biases + the sum over heads of o1_j W_j o2_j.

    Args:
        first: Width A1 of the first input.
        second: Width A2 of the second input.
        heads: Number H of heads; divides both.
    """

    def __init__(self, first: int, second: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear1 = Linear(first, 1)
        self.linear2 = Linear(second, 1)
        self.weight = nn.Parameter(torch.empty(heads, first // heads, second // heads))
        # Xavier-normal of the flat [H * a1 * a2, 1] parameter of the published code, far smaller than one a head.
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / (1 + self.weight.numel())))

    def forward(self, o1: Tensor, o2: Tensor) -> Tensor:
        """Fuse ``[B, A1]`` and ``[B, A2]`` into logits ``[B]``."""
        o1_BHa = o1.unflatten(1, (self.heads, -1))
        o2_BHa = o2.unflatten(1, (self.heads, -1))
        projected_HBa = torch.bmm(o1_BHa.transpose(0, 1), self.weight)  # [H, B, a2]
        bilinear = (projected_HBa.transpose(0, 1) * o2_BHa).sum((1, 2))  # [B]
        logits: Tensor = self.linear1(o1).squeeze(1) + self.linear2(o2).squeeze(1) + bilinear
        return logits
