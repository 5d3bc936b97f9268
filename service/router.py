"""The router: which variant answers a unit (a user), as a pure function of the salt, the shares and the unit."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal

from common.errors import ConfigError

_PLACES = 6  # decimal places of a percentage


class Router:
    """Splits units between variants.

    A unit's position is the first 8 bytes, big endian, of sha256(length of the salt as 8 bytes, big endian; the salt;
    the unit), both texts in UTF-8. The position space ``[0, 2**64)`` is cut in the order of the variants, in proportion
    to their weights and in integers, so that the same unit gets the same variant on every machine. The length keeps
    ("ab", "c") and ("a", "bc") apart.

    Between two variants a ramp is monotone: raising one's share moves no unit out of it.

    Args:
        variants: Their names.
        weights: A weight for each; only their proportions count, and a weight of 0 gets no unit.
        salt: Units are split anew, independently, under another salt.

    Raises:
        ConfigError: The weights are not one a variant, one is negative, or all are 0.
    """

    def __init__(self, variants: Sequence[str], weights: Sequence[int], *, salt: str) -> None:
        if len(weights) != len(variants):
            raise ConfigError(f"{len(weights)} of {len(variants)} shares are given; give one a variant")
        if any(weight < 0 for weight in weights) or sum(weights) <= 0:
            raise ConfigError(f"the shares {list(weights)} split nothing; give shares of 0 or more, not all 0")
        self.variants = tuple(variants)
        self.weights = tuple(weights)
        self._cuts = [sum(weights[: i + 1]) for i in range(len(weights))]
        encoded = salt.encode()
        self._prefix = len(encoded).to_bytes(8, "big") + encoded

    def pick(self, unit: str) -> str:
        """The variant that answers a unit."""
        digest = hashlib.sha256(self._prefix + unit.encode()).digest()
        # Exactly floor(position * total / 2**64), a number in [0, total).
        scaled = int.from_bytes(digest[:8], "big") * self._cuts[-1] >> 64
        return next(name for name, cut in zip(self.variants, self._cuts, strict=True) if scaled < cut)

    @property
    def shares(self) -> dict[str, float]:
        """Each variant's share of the units, in percent."""
        total = sum(self.weights)
        return {name: 100 * weight / total for name, weight in zip(self.variants, self.weights, strict=True)}


def parse_shares(text: str, count: int) -> tuple[int, ...]:
    """Read shares in percent, such as ``50,50`` or ``99.5,0.5``, as integer weights.

    That they have to sum to 100 catches a mistyped share.

    Args:
        text: The percentages, at most six decimal places each.
        count: Variants there are.

    Returns:
        The weights, in millionths of a percent.

    Raises:
        ConfigError: They are not one a variant, one is no percentage, or they do not sum to 100.
    """
    parts = text.split(",")
    if len(parts) != count:
        raise ConfigError(f"split {text!r} has {len(parts)} of the {count} percentages; give one a variant")
    weights = []
    for part in parts:
        try:
            scaled = Decimal(part.strip()).scaleb(_PLACES)
        except ArithmeticError:  # no number, or an exponent beyond all bounds
            scaled = Decimal("NaN")
        if not scaled.is_finite() or not 0 <= scaled <= 100 * 10**_PLACES or scaled != scaled.to_integral_value():
            raise ConfigError(
                f"split {text!r}: {part!r} is no percentage; write numbers from 0 to 100 with at most {_PLACES} "
                "decimal places, like 50,50"
            )
        weights.append(int(scaled))
    if sum(weights) != 100 * 10**_PLACES:
        total = Decimal(sum(weights)).scaleb(-_PLACES).normalize()
        raise ConfigError(f"split {text!r} sums to {total:f}; make the percentages sum to 100")
    return tuple(weights)
