"""Feature generation: new fields from convolutions over the old ones.

Source: Liu et al. 2019, "Feature Generation by Convolutional Neural Network for Click-Through Rate Prediction", WWW,
arXiv 1904.04447: equations 2 to 6.

Shapes: B batch, F fields, d width of a field, c channels, H height of a block's output: the fields left after pooling,
G generated fields.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from common.errors import ConfigError
from common.settings import Settings
from models.blocks.linear import Linear


class GenerationSettings(Settings):
    """Settings of feature generation.

    Attributes:
        channels: Channels of each block's convolution; a block each, none for no generation.
        kernel: Fields that a convolution spans; odd, so that as many come out as go in.
        pool: Fields that max pooling makes one of.
        recombined: Fields that recombination makes for each field left after pooling.
        pooling: What becomes of the last fields where the pool does not divide their number: ``ceil`` pools them
            alone, ``floor`` drops them.
        batch_norm: Normalise each convolution's output. Without it a generator of tiny embeddings learns slowly; with
            it a run can stay at an AUC of 0.5.
    """

    channels: tuple[PositiveInt, ...] = (14, 16, 18, 20)
    kernel: int = Field(default=7, ge=1)
    pool: int = Field(default=2, ge=1)
    recombined: int = Field(default=3, ge=1)
    pooling: Literal["ceil", "floor"] = "ceil"
    batch_norm: bool = True

    @model_validator(mode="after")
    def _kernel_is_odd(self) -> "GenerationSettings":
        if self.kernel % 2 == 0:
            raise ValueError(
                f"kernel {self.kernel} is even, and only odd ones keep the number of fields; "
                f"set it to {self.kernel - 1} or {self.kernel + 1}"
            )
        return self


class FeatureGeneration(nn.Module):
    """Blocks of convolution, tanh and max pooling over the axis of the fields, each recombined into new fields.

    The order of the fields matters: a convolution sees neighbours.

    Args:
        fields: Number F of fields.
        width: Width d of a field.
        settings: Of the blocks.

    Attributes:
        outputs: Number G of generated fields.

    Raises:
        ConfigError: The kernel spans more fields than there are, or pooling leaves none.
    """

    def __init__(self, fields: int, width: int, settings: GenerationSettings) -> None:
        super().__init__()
        if settings.channels and settings.kernel > fields:
            odd = fields if fields % 2 else fields - 1
            raise ConfigError(
                f"model.generation.kernel {settings.kernel} spans more than the {fields} fields of the schema; "
                f"set it to an odd number up to {max(odd, 1)}"
            )
        self._pool, self._ceil, self._width = settings.pool, settings.pooling == "ceil", width
        self.convolutions, self.norms, self.recombinations = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.outputs, height, before = 0, fields, 1
        for block, channels in enumerate(settings.channels, 1):
            self.convolutions.append(
                nn.Conv2d(before, channels, (settings.kernel, 1), padding=(settings.kernel // 2, 0))
            )
            self.norms.append(nn.BatchNorm2d(channels) if settings.batch_norm else nn.Identity())
            height = -(-height // self._pool) if self._ceil else height // self._pool
            if height == 0:
                raise ConfigError(
                    f"model.generation.pooling floor leaves no field in block {block}; give fewer channels or use ceil"
                )
            new = height * settings.recombined
            self.recombinations.append(Linear(channels * height * width, new * width))
            self.outputs, before = self.outputs + new, channels

    def forward(self, fields: Tensor) -> Tensor:
        """Make new fields of ``[B, F, d]``: ``[B, G, d]``."""
        x = fields.unsqueeze(1)  # [B, 1, F, d]
        made = [fields[:, :0]]
        for convolve, norm, recombine in zip(self.convolutions, self.norms, self.recombinations, strict=True):
            assert isinstance(convolve, nn.Conv2d)
            assert convolve.bias is not None
            # The bias stays float32 under autocast: beside it, bf16 would keep nothing of tiny, young embeddings.
            bias = convolve.bias[:, None, None]
            x = F.conv2d(x, convolve.weight, padding=convolve.padding).to(bias.dtype) + bias  # [B, c, H before, d]
            x = F.max_pool2d(norm(x), (self._pool, 1), ceil_mode=self._ceil)  # [B, c, H, d]
            x = torch.tanh(x)  # the same as before pooling, of fewer numbers
            made.append(torch.tanh(recombine(x.flatten(1))).unflatten(1, (-1, self._width)))
        return torch.cat(made, 1)
