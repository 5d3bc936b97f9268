"""What goes over the wire: the strict bodies of requests, and the bodies of answers.

The descriptions are what the OpenAPI document says.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema
from pydantic_core import core_schema as cs
from typing_extensions import TypedDict

_TEXT, _INTEGER = cs.str_schema(strict=True), cs.int_schema(strict=True)


def _one_of(choices: list[cs.CoreSchema], kind: str, message: str) -> GetPydanticSchema:
    """A union whose error is one sentence instead of one a member."""
    schema = cs.union_schema([*choices], mode="left_to_right", custom_error_type=kind, custom_error_message=message)
    return GetPydanticSchema(lambda source, handler: schema)


Identity = Annotated[
    str | int,
    _one_of([_TEXT, _INTEGER], "identity", "an id is a text or an integer; send integers beyond 64 bits as text"),
]
FeatureName = Annotated[str, Field(max_length=128)]
FeatureValue = Annotated[
    str | int | float | bool | list[str | int | None] | None,
    _one_of(
        [
            _TEXT,
            _INTEGER,
            cs.float_schema(strict=True, allow_inf_nan=False),
            cs.bool_schema(strict=True),
            cs.none_schema(),
            cs.list_schema(cs.union_schema([_TEXT, _INTEGER, cs.none_schema()], mode="left_to_right")),
        ],
        "feature_value",
        "a feature's value is a text, a number, true, false, null, or a list of texts, integers and nulls",
    ),
]
Features = dict[FeatureName, FeatureValue]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Candidate(_Body):
    """One item to score."""

    id: Identity = Field(description="Fills the feature that identifies an item, and comes back.")
    features: Features = Field(default_factory=dict, description="Its features, by name.")


_EXAMPLE: dict[str, Any] = {
    "user_id": "u1842",
    "user": {"age": 34, "recent_ads": ["ad7", "ad31"]},
    "context": {"device": "phone", "hour": 21},
    "candidates": [
        {"id": "ad12", "features": {"price": 4.99, "category": "shoes"}},
        {"id": "ad40", "features": {"price": None, "category": "books"}},
    ],
    "top_k": 1,
}


class ScoreRequest(_Body):
    """Candidates to score for one user.

    A categorical feature takes a text, an integer or a boolean, a numeric or bucketized one a finite number, a
    multivalued one or a sequence a list of texts and integers, a sequence's most recent last. A cross follows from its
    two features and is never given. A feature that is null or left out is missing. A value that was never seen in
    training is not an error. Of a key that is given twice the last value counts.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    user_id: Identity = Field(description="Decides the variant, and fills the feature that identifies a user.")
    user: Features = Field(default_factory=dict, description="Features of the user, by name.")
    context: Features = Field(default_factory=dict, description="Features of the moment, by name.")
    candidates: list[Candidate] = Field(min_length=1, fail_fast=True, description="What to score.")
    top_k: int | None = Field(
        default=None, ge=1, description="Answer with this many of the best, best first, instead of with all."
    )


class Score(TypedDict):
    """A candidate's score."""

    id: Annotated[str | int, Field(description="As it was given.")]
    score: Annotated[float, Field(ge=0, le=1, description="The click probability.")]


class ScoreAnswer(TypedDict):
    """The scores, in the order of the candidates; with top_k the best ones, best first, ties in that order."""

    request_id: Annotated[str, Field(description="The header x-request-id, or a new one.")]
    model: Annotated[str, Field(description="The model that scored: its name, and 12 digits of its digest.")]
    variant: Annotated[str, Field(description="The variant the user is in.")]
    scores: list[Score]


class Problem(TypedDict):
    """What is wrong."""

    message: Annotated[str, Field(description="One sentence: what, and how to mend it.")]
    where: Annotated[str, Field(description="Path into the body, such as candidates[3].features.price; or empty.")]


class ErrorAnswer(TypedDict):
    """The body of every answer that is an error."""

    error: Problem


class Status(TypedDict):
    """How the server is."""

    status: str


def request_schemas() -> Mapping[str, Any]:
    """JSON schemas of the request's bodies, by name, for the components of an OpenAPI document."""
    whole = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = whole.pop("$defs")
    return {**parts, ScoreRequest.__name__: whole}
