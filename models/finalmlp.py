"""FinalMLP: two perceptrons over gated features, fused by a multi-head bilinear form.

Source: Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI, arXiv 2304.00902: its
stream-specific feature selection and its stream-level fusion.

Shapes: B batch, D width of all fields, C width of a gate's context, A1 and A2 last widths of the streams, H heads.
"""

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from common.settings import Settings
from features.encoding.fitted import FittedSchema
from models.embedding import BuildLookup, EmbeddingSettings, FeatureEmbedding, Scope
from models.mlp import MLP, MLPSettings
from models.ranker import Ranker


class GateSettings(Settings):
    """Settings of the stream-specific feature gates.

    Attributes:
        hidden: Widths of the gates' hidden layers.
        context1: Features that condition the first stream's gate; none: a learned constant does.
        context2: Likewise for the second stream.
    """

    hidden: tuple[int, ...] = Field(default=(64,), min_length=1)
    context1: tuple[str, ...] = ()
    context2: tuple[str, ...] = ()


class FinalMLPSettings(Settings):
    """Settings of FinalMLP.

    Attributes:
        mlp1: The first stream.
        mlp2: The second stream.
        gates: The feature gates; null for none.
        heads: Blocks of the bilinear fusion; divides the last width of both streams.
    """

    mlp1: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    mlp2: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    gates: GateSettings | None = GateSettings()
    heads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> "FinalMLPSettings":
        for name, mlp in (("mlp1", self.mlp1), ("mlp2", self.mlp2)):
            if mlp.hidden[-1] % self.heads:
                divisors = [d for d in range(1, mlp.hidden[-1] + 1) if mlp.hidden[-1] % d == 0]
                raise ValueError(
                    f"heads {self.heads} does not divide {mlp.hidden[-1]}, the last width of {name}; "
                    f"its divisors are {', '.join(map(str, divisors))}"
                )
        return self


class FeatureGate(nn.Module):
    """Scales every coordinate of the features by 2 sigmoid(MLP(context)).

    Args:
        context: Width C of the context; 0 for a learned constant of ``constant`` numbers.
        constant: Width of that constant.
        hidden: Widths of the hidden layers.
        outputs: Width D of the features.
    """

    def __init__(self, context: int, *, constant: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.bias = None if context else nn.Parameter(torch.zeros(1, constant))
        self.mlp = MLP(context or constant, hidden=hidden)
        self.output = nn.Linear(hidden[-1], outputs)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """Gate ``[B, D]`` features by their ``[B, C]`` context."""
        hidden = self.mlp(context if self.bias is None else self.bias)  # [B or 1, h]
        return 2 * torch.sigmoid(self.output(hidden)) * features


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
        self.linear1 = nn.Linear(first, 1)
        self.linear2 = nn.Linear(second, 1)
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


class FinalMLP(Ranker):
    """FinalMLP.

    Args:
        embedding: Scopes: all features, then each gate's context (without gates only the first).
        settings: Of the model.
    """

    def __init__(self, embedding: FeatureEmbedding, settings: FinalMLPSettings) -> None:
        super().__init__(embedding)
        features, *contexts = embedding.widths
        self.gates = nn.ModuleList(
            FeatureGate(width, constant=embedding.field_width, hidden=settings.gates.hidden, outputs=features)
            for width in contexts
            if settings.gates is not None
        )
        self.mlp1 = MLP(features, **settings.mlp1.model_dump())
        self.mlp2 = MLP(features, **settings.mlp2.model_dump())
        self.fusion = BilinearFusion(settings.mlp1.hidden[-1], settings.mlp2.hidden[-1], heads=settings.heads)
        self.initialise()

    def logits(self, *scopes: Tensor) -> Tensor:
        """Logits ``[B]`` of features ``[B, D]`` and the gates' contexts ``[B, C]``."""
        features, *contexts = scopes
        streams = [gate(features, context) for gate, context in zip(self.gates, contexts, strict=True)]
        first, second = streams or (features, features)
        fused: Tensor = self.fusion(self.mlp1(first), self.mlp2(second))
        return fused


def build(
    settings: FinalMLPSettings, embedding: EmbeddingSettings, fitted: FittedSchema, build_lookup: BuildLookup
) -> FinalMLP:
    """Build FinalMLP for a fitted schema.

    Raises:
        ConfigError: A context names a feature the schema lacks, or the table cannot be laid out.
    """
    scopes = [Scope(tuple(feature.name for feature in fitted.schema.features))]
    if settings.gates is not None:
        scopes += [Scope(settings.gates.context1, "gate1"), Scope(settings.gates.context2, "gate2")]
    return FinalMLP(FeatureEmbedding(embedding, fitted, scopes, build_lookup), settings)
