"""FinalMLP: two perceptrons over gated features, fused by a multi-head bilinear form.

Source: Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI, arXiv 2304.00902: its
stream-specific feature selection and its stream-level fusion.

Shapes: B batch, D width of all vectors, C width of a gate's context.
"""

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.blocks.bilinear_fusion import BilinearFusion
from models.blocks.feature_gate import FeatureGate
from models.blocks.mlp import MLP, MLPSettings
from models.network import Network
from models.scope import Fields, Scope, all_features


class GateSettings(Settings):
    """Settings of the stream-specific feature gates.

    Attributes:
        hidden: Widths of the gates' hidden layers.
        context1: Features that condition the first stream's gate; none: a learned constant does.
        context2: Likewise for the second stream.
    """

    hidden: tuple[PositiveInt, ...] = Field(default=(64,), min_length=1)
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


class FinalMLP(Network):
    """FinalMLP.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
        contexts: Of each gate, the vectors that condition it; none without gates.
    """

    settings_class = FinalMLPSettings

    @classmethod
    def scopes(cls, settings: FinalMLPSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector, and with rows of their own those of each gate's context."""
        gates = settings.gates
        contexts = [] if gates is None else [Scope(gates.context1, "gate1"), Scope(gates.context2, "gate2")]
        return [all_features(schema), *contexts]

    def __init__(self, settings: FinalMLPSettings, vectors: Fields, *contexts: Fields) -> None:
        super().__init__(settings, vectors, *contexts)
        hidden = settings.gates.hidden if settings.gates else ()
        self.gates = nn.ModuleList(
            FeatureGate(context.width, constant=vectors.default, hidden=hidden, outputs=vectors.width)
            for context in contexts
        )
        self.mlp1 = MLP(vectors.width, **settings.mlp1.model_dump())
        self.mlp2 = MLP(vectors.width, **settings.mlp2.model_dump())
        self.fusion = BilinearFusion(settings.mlp1.hidden[-1], settings.mlp2.hidden[-1], heads=settings.heads)

    def forward(self, vectors: Tensor, *contexts: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]`` and the gates' contexts ``[B, C]``."""
        streams = [gate(vectors, context) for gate, context in zip(self.gates, contexts, strict=True)]
        first, second = streams or (vectors, vectors)
        fused: Tensor = self.fusion(self.mlp1(first), self.mlp2(second))
        return fused
