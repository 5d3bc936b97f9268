"""Cross layers: explicit interactions of bounded degree.

Source: Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
Systems", WWW, arXiv 2008.13535: equation 1.

Shapes: B batch, D width of all fields.
"""

from torch import Tensor, nn

from models.blocks.linear import Linear


class CrossNet(nn.Module):
    """Layers x <- x0 * (W x + b) + x, with x0 the input of the first and a full matrix W a layer.

    Args:
        width: Width D of the features.
        layers: Number of layers.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(width, width) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        """Cross features ``[B, D]`` with themselves; the result is as wide."""
        x = x0
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x
