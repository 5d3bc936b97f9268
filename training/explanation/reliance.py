"""What a trained model relies on: its scores of rows that have some features' values from other rows.

Shapes: N rows, R repeats.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.explanation.explanation import ModelExplanation
from evaluation.explanation.reliance import ModelRows
from evaluation.explanation.switched import Donors
from features.datasets.batch import batches
from features.encoding.encoded import EncodedRows
from features.schema import ListFeature, Schema
from models.ranker import Ranker

_BATCH = 1024  # rows whose activations stay in the processor's cache

Logits = NDArray[np.float32]


def explain_model(
    name: str,
    model: Ranker,
    rows: EncodedRows,
    donors: Donors,
    *,
    level: float,
    most: int = 0,
    paired: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ModelExplanation:
    """Find what a model relies on, and which features act together.

    Rows are encoded once; what is exchanged between them are tokens and numbers. A feature's list is exchanged whole.

    Args:
        name: The model's name.
        model: The model, in evaluation mode.
        rows: Rows with labels.
        donors: Whose values each row gets, ``[R, N]``.
        level: Of the intervals.
        most: How many of the features that are relied on most are looked at in pairs.
        paired: Instead: these features, in this order.
        progress: Told how many rows are scored, and how many there are to score.

    Raises:
        UndefinedMetric: All labels are equal.
        DataError: A logit is not finite.
    """
    assert rows.label is not None
    schema = rows.schema
    features = [feature.name for feature in schema.features]
    groups = entity_features(schema)
    count = min(most, len(features)) if paired is None else len(paired)
    # Two may be one: an entity with a single feature.
    sets = dict.fromkeys([*((feature,) for feature in features), *groups.values()])
    total = len(rows) * (1 + len(donors) * (len(sets) + count * (count - 1) // 2))
    done = 0

    def scored(some: EncodedRows) -> Logits:
        nonlocal done
        found = logits(model, some)
        done += len(some)
        progress(done, total)
        return found

    def switched_logits(wanted: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Logits]:
        found: dict[tuple[str, ...], list[Logits]] = {names: [] for names in wanted}
        for donor in donors:
            given = rows.take(donor)
            for names, parts in found.items():
                parts.append(scored(switched(rows, given, names)))
        return {names: np.stack(parts) for names, parts in found.items()}

    measured = ModelRows(rows.label, scored(rows), donors, level=level)
    alone = switched_logits(sets)
    reliances = [measured.reliance(feature, (feature,), alone[feature,]) for feature in features]
    reliances.sort(key=lambda some: -some.logloss_rise.value)
    if paired is None:
        paired = [some.name for some in reliances[:count]]
    both = switched_logits(combinations(paired, 2))
    pairs = [
        measured.interaction((first, second), alone[first,], alone[second,], found)
        for (first, second), found in both.items()
    ]
    return ModelExplanation(
        name=name,
        auc=measured.auc,
        logloss=measured.logloss,
        spread=measured.spread,
        features=tuple(reliances),
        groups=tuple(measured.reliance(entity, names, alone[names]) for entity, names in groups.items()),
        pairs=tuple(sorted(pairs, key=lambda some: -some.strength.value)),
    )


def entity_features(schema: Schema) -> dict[str, tuple[str, ...]]:
    """The features of each entity that has any, and the crosses that have one of them."""
    found: dict[str, tuple[str, ...]] = {}
    for entity in ("user", "item", "context"):
        own = {feature.name for feature in schema.given if feature.entity == entity}
        crossed = {cross.name for cross in schema.crosses if own.intersection(cross.of)}
        if own:
            found[entity] = tuple(feature.name for feature in schema.features if feature.name in own | crossed)
    return found


def switched(rows: EncodedRows, given: EncodedRows, names: Sequence[str]) -> EncodedRows:
    """Rows with the values of some features from other rows.

    Args:
        rows: The rows; they stay as they are.
        given: As many rows, which give the values.
        names: The features.
    """
    schema = rows.schema
    one_hot = [feature.name for feature in schema.sparse if not isinstance(feature, ListFeature)]
    numeric = [feature.name for feature in schema.numeric]
    categorical, dense = rows.categorical.copy(), rows.dense.copy()
    for own, others, columns in ((categorical, given.categorical, one_hot), (dense, given.dense, numeric)):
        places = [place for place, name in enumerate(columns) if name in names]
        own[:, places] = others[:, places]
    lists = {name: (given if name in names else rows).lists[name] for name in rows.lists}
    return EncodedRows(schema, categorical, lists, dense, rows.label, rows.group)


def logits(model: Ranker, rows: EncodedRows) -> Logits:
    """A model's logits, float32 ``[N]``."""
    with torch.inference_mode():
        found = [
            model(batch.dense, batch.sparse).float().cpu()
            for batch in (some.to(model.device) for some in batches(rows, _BATCH))
        ]
        together: Logits = torch.cat(found).numpy()
    return together
