"""An explanation of a function that is known, for tests of the measures and of the page."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evaluation.explanation.attention import Attention, RowAttention
from evaluation.explanation.explanation import Explanation, ModelExplanation
from evaluation.explanation.rashomon import Candidate, RashomonSet
from evaluation.explanation.reliance import ModelRows
from evaluation.explanation.switched import draw_donors

Floats = NDArray[np.float64]
LEVEL = 0.95


class Made:
    """Rows whose clicks follow a logit, and models of them.

    ``a`` and ``b`` are correlated and added, ``a`` and ``c`` are multiplied, ``d`` says nothing.
    """

    names = ("a", "b", "c", "d")

    def __init__(self, rows: int = 2000, repeats: int = 5, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.x = draw.normal(size=(rows, 4))
        self.x[:, 1] += 0.5 * self.x[:, 0]
        self.x[:, 2] = np.sign(self.x[:, 2])
        self.labels = draw.random(rows) < 1 / (1 + np.exp(-self.logit(self.x)))
        self.donors = draw_donors(rows, repeats, seed)

    @staticmethod
    def logit(x: Floats, product: float = 0.7) -> Floats:
        """The true logit, where ``product`` is left as it is."""
        logit: Floats = -1 + 1.2 * x[:, 0] + 0.8 * x[:, 1] + product * x[:, 0] * x[:, 2]
        return logit

    def switched(self, logit: Callable[[Floats], Floats], *features: int) -> Floats:
        """Logits ``[R, N]`` with the donors' values of some features."""
        columns = list(features)
        found = []
        for donor in self.donors:
            x = self.x.copy()
            x[:, columns] = self.x[donor][:, columns]
            found.append(logit(x))
        return np.stack(found)

    def explained(
        self,
        name: str,
        logit: Callable[[Floats], Floats] | None = None,
        names: Sequence[str] = names,
    ) -> ModelExplanation:
        """What a model relies on, as the command finds it."""
        logit = logit or self.logit
        rows = ModelRows(self.labels, logit(self.x), self.donors, level=LEVEL)
        alone = [self.switched(logit, feature) for feature in range(4)]
        features = [rows.reliance(names[i], (names[i],), alone[i]) for i in range(4)]
        groups = {"user": (0, 1), "item": (2, 3)}
        pairs = [
            rows.interaction((names[i], names[j]), alone[i], alone[j], self.switched(logit, i, j))
            for i, j in combinations(range(4), 2)
        ]
        return ModelExplanation(
            name=name,
            auc=rows.auc,
            logloss=rows.logloss,
            spread=rows.spread,
            features=tuple(sorted(features, key=lambda some: -some.logloss_rise.value)),
            groups=tuple(
                rows.reliance(entity, tuple(names[i] for i in members), self.switched(logit, *members))
                for entity, members in groups.items()
            ),
            pairs=tuple(sorted(pairs, key=lambda some: -some.strength.value)),
        )


def attention(fields: Sequence[str], layers: int = 2, heads: int = 2) -> Attention:
    """Attention that is made up."""
    draw = np.random.default_rng(3)
    shape = (layers, heads, len(fields), len(fields))
    weights, of_row = (draw.dirichlet(np.full(len(fields), 0.6), shape[:-1]) for _ in range(2))
    return Attention(tuple(fields), weights, (RowAttention(17, 1, 0.314, tuple(f"v{f}" for f in fields), of_row),))


def explanation(names: Sequence[str] = Made.names, *, models: int = 4, fields: int = 4) -> Explanation:
    """A model among others that are nearly as good, and one that is not."""
    made = Made()
    products = np.linspace(0.7, 0.3, models)
    found = [
        made.explained(f"seed-{k}", lambda x, product=product: Made.logit(x, product), names)  # type: ignore[misc]
        for k, product in enumerate(products)
    ]
    candidates = [Candidate(some.name, "finalmlp", f"{k:064x}", 0.4 * (1 + 0.002 * k)) for k, some in enumerate(found)]
    worse = [Candidate("seed-9", "lr", "9" * 64, 0.43)] if models > 1 else []
    return Explanation(
        title="finalmlp@3f2c9a01b7de on valid",
        rows=made.labels.size,
        label_rate=float(made.labels.mean()),
        repeats=len(made.donors),
        level=LEVEL,
        subject=found[0],
        others=tuple(found[1:]),
        rashomon=RashomonSet((*candidates, *worse), 0.01),
        attention=attention([*names, *(f"field_{i}" for i in range(4, fields))]) if fields else None,
    )
