"""What a network reads of the features, and the shape it gets it in."""

from dataclasses import dataclass
from typing import Literal

from common.errors import ConfigError
from features.schema import Schema

Reads = Literal["vectors", "weights", "numbers"]
"""``vectors``: embeddings. ``weights``: first-order weights, one number a value. ``numbers``: numerics as they are."""


@dataclass(frozen=True)
class Scope:
    """A set of features, and what is read of them.

    Scopes of one name share their rows of the table: the vector and the first-order weight of a value then lie in one
    row, and are looked up as one.

    Attributes:
        features: Their names, in order.
        name: Tells the rows of this scope from those of others; the main scopes have none.
        reads: What is read of them.
    """

    features: tuple[str, ...]
    name: str = ""
    reads: Reads = "vectors"


def all_features(schema: Schema, *, name: str = "", reads: Reads = "vectors") -> Scope:
    """The scope of every feature of a schema."""
    return Scope(tuple(feature.name for feature in schema.features), name, reads)


@dataclass(frozen=True)
class Fields:
    """The shape of what a scope gives: fields side by side.

    Attributes:
        names: The features.
        widths: How many columns each has.
        default: Width of a field that is no exception: what ``embedding`` says of all.
        reads: What the columns are.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    default: int
    reads: Reads = "vectors"

    @property
    def count(self) -> int:
        """Number F of fields."""
        return len(self.names)

    @property
    def width(self) -> int:
        """Width W of all."""
        return sum(self.widths)

    def equal_width(self, ranker: str) -> int:
        """Width of every field, for a ranker that needs them equally wide.

        Args:
            ranker: Its name, for the message.

        Raises:
            ConfigError: Features differ in their probes.
        """
        odd = [repr(name) for name, width in zip(self.names, self.widths, strict=True) if width != self.default]
        if len(set(self.widths)) > 1:
            raise ConfigError(
                f"{ranker} needs fields of one width, and embedding.features gives {', '.join(odd)} other probes than "
                "the rest; remove them there, or set embedding.probes for all"
            )
        return max(self.widths, default=self.default)
