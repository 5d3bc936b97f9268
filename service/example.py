"""An example request that a model takes, made from its schema."""

from typing import Any

from features.schema import ColumnFeature, Entity, ListFeature, Schema

_SHOWN = 3  # features a place; others may be left out


def example_request(schema: Schema) -> dict[str, Any]:
    """A request body with made-up values and two candidates.

    Args:
        schema: The model's.

    Returns:
        A body for ``POST /v1/score``. It shows at most three features of the user, the context and each candidate; what
        it leaves out is missing.
    """
    return {
        "user_id": "user-1",
        "user": _features(schema, "user", 1),
        "context": _features(schema, "context", 1),
        "candidates": [{"id": f"item-{i}", "features": _features(schema, "item", i)} for i in (1, 2)],
    }


def _features(schema: Schema, entity: Entity, number: int) -> dict[str, Any]:
    # The ids fill the features that identify.
    identities = set(schema.entities.values())
    shown = [f for f in schema.given if f.entity == entity and f.name not in identities][:_SHOWN]
    return {feature.name: _value(feature, number) for feature in shown}


def _value(feature: ColumnFeature, number: int) -> Any:
    if isinstance(feature, ListFeature):
        return ["value-1", "value-2"]
    return f"value-{number}" if feature.kind == "categorical" else float(number)
