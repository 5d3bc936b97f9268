"""The checks that every metric makes of its inputs, and the types they are brought to."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import DataError

Labels: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Groups: TypeAlias = npt.NDArray[np.integer[Any]]
Weights: TypeAlias = npt.NDArray[np.float64]

LIGHTEST, HEAVIEST = np.float64(1e-60), np.float64(1e60)
"""Weights above 0 lie between these, so that products of two and squares fit float64."""


def checked_labels(labels: npt.ArrayLike) -> Labels:
    """Bring labels to booleans.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.

    Returns:
        True where the label is 1, shape ``(rows,)``.

    Raises:
        DataError: There are no rows, the shape or dtype is wrong, or a label is neither 0 nor 1.
    """
    array = _vector(labels, "labels")
    if array.size == 0:
        raise DataError("there are no rows to evaluate; give at least one")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(f"labels must be booleans, integers or floats, got {array.dtype}; convert them to 0 and 1")
    ones: Labels = array == 1
    _refuse_first(array, ~(ones | (array == 0)), "label", "is neither 0 nor 1; write a click as 1, no click as 0")
    return ones


def checked_scores(scores: npt.ArrayLike, rows: int, *, name: str = "score") -> Scores:
    """Check scores of any range.

    Args:
        scores: Finite numbers, shape ``(rows,)``, float32 or float64.
        rows: How many labels there are.
        name: What one of them is called in messages.

    Returns:
        The same array, in its own dtype: widening would cost time and change no comparison.

    Raises:
        DataError: The shape or dtype is wrong, the number of rows differs from the labels', or a value is not finite.
    """
    array = _vector(scores, f"{name}s")
    _require_rows(array, rows, f"{name}s")
    if array.dtype not in (np.float32, np.float64):
        raise DataError(f"{name}s must be float32 or float64, got {array.dtype}; convert them")
    _refuse_first(array, ~np.isfinite(array), name, "is not finite; mend the model or the file it comes from")
    return array


def checked_probabilities(probabilities: npt.ArrayLike, rows: int) -> Scores:
    """Check predicted probabilities.

    Args:
        probabilities: Numbers from 0 to 1, shape ``(rows,)``, float32 or float64.
        rows: How many labels there are.

    Returns:
        The same array, in its own dtype.

    Raises:
        DataError: As for ``checked_scores``, or a value lies outside 0 to 1.
    """
    array = checked_scores(probabilities, rows, name="prediction")
    _refuse_first(array, (array < 0) | (array > 1), "prediction", "is outside 0 to 1; give probabilities, not logits")
    return array


def checked_groups(groups: npt.ArrayLike, rows: int) -> Groups:
    """Check the keys that say which rows belong together.

    Args:
        groups: Integers, shape ``(rows,)``; equal values form a group.
        rows: How many labels there are.

    Returns:
        The same array.

    Raises:
        DataError: The shape or dtype is wrong, or the number of rows differs from the labels'.
    """
    array = _vector(groups, "groups")
    _require_rows(array, rows, "groups")
    if array.dtype.kind not in "iu":
        raise DataError(f"groups must be integers, got {array.dtype}; encode them as tokens first")
    return array


def checked_weights(weights: npt.ArrayLike | None, rows: int) -> Weights | None:
    """Check how much each row counts.

    Args:
        weights: Finite numbers of at least 0, shape ``(rows,)``, of any integer or floating dtype; None counts each
            row once.
        rows: How many labels there are.

    Returns:
        The weights in float64, or None.

    Raises:
        DataError: The shape or dtype is wrong, the number of rows differs from the labels', or a weight is negative or
            not finite, or above 0 and not between 1e-60 and 1e60.
    """
    if weights is None:
        return None
    array = _vector(weights, "weights")
    _require_rows(array, rows, "weights")
    if array.dtype.kind not in "iuf":
        raise DataError(f"weights must be integers or floats, got {array.dtype}; convert them")
    _refuse_first(array, ~np.isfinite(array), "weight", "is not finite; mend the file it comes from")
    _refuse_first(array, array < 0, "weight", "is negative; give 0 to leave a row out")
    extreme = (array > HEAVIEST) | ((array > 0) & (array < LIGHTEST))
    _refuse_first(array, extreme, "weight", "is too extreme to compute with; scale the weights to around 1")
    return array.astype(np.float64, copy=False)


def _vector(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{name} must be one-dimensional, got shape {array.shape}; give one value a row")
    return array


def _require_rows(array: npt.NDArray[Any], rows: int, name: str) -> None:
    if array.size != rows:
        raise DataError(f"{name} have {array.size} rows but labels have {rows}; give both for the same rows")


def _refuse_first(array: npt.NDArray[Any], bad: npt.NDArray[np.bool_], name: str, why: str) -> None:
    """Raise for the first row that is marked bad, if there is one."""
    row = int(bad.argmax())
    if bad[row]:
        raise DataError(f"{name} {array[row]} in row {row} (counted from 0) {why}")
