"""From the bytes of a body to a checked request, and from whatever is wrong with them to one sentence."""

import orjson
from pydantic import ValidationError

from common.errors import RequestError, did_you_mean
from common.settings import dotted
from service.bodies import Candidate, ScoreRequest
from service.limits import Limits

_SENTENCES = {
    "model_type": "an object is expected",
    "dict_type": "an object is expected",
    "list_type": "a list is expected",
    "int_type": "an integer is expected",
    "greater_than_equal": "a number of 1 or more is expected",
    "too_short": "there is no candidate; give at least one",
    "string_too_long": "the name of a feature has at most 128 characters; mend it",
}
_SHOWN = 128  # characters of a key that an answer repeats


def parse_request(body: bytes, limits: Limits) -> ScoreRequest:
    """Parse and check the body of a scoring request.

    orjson takes no NaN, no Infinity, no number beyond float64, no broken unicode and no depth beyond 1,024.

    Args:
        body: The bytes.
        limits: What it may hold.

    Returns:
        The request.

    Raises:
        RequestError: It is no json (400), or breaks a rule (422).
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise RequestError(
            f"the body is not valid json at line {problem.lineno}, column {problem.colno}: {problem.msg}", status=400
        ) from None
    candidates = document.get("candidates") if isinstance(document, dict) else None
    if isinstance(candidates, list) and len(candidates) > limits.max_candidates:
        raise RequestError(
            f"{len(candidates)} candidates are more than the limit of {limits.max_candidates}; send them in parts",
            where="candidates",
        )
    try:
        return ScoreRequest.model_validate(document)
    except ValidationError as problem:
        raise _explained(problem) from None


def _explained(problem: ValidationError) -> RequestError:
    """The first thing that is wrong, as one sentence and its place."""
    first = problem.errors(include_url=False, include_input=False)[0]
    kind, path = first["type"], first["loc"]
    if path and path[-1] == "[key]":
        path = path[:-1]
    where = dotted(path)
    if kind == "extra_forbidden":
        key = str(path[-1])[:_SHOWN]
        known = (ScoreRequest if len(path) == 1 else Candidate).model_fields
        return RequestError(f"unknown key {key!r}; {did_you_mean(key, known)}", where=where)
    if kind == "missing":
        return RequestError(f"{path[-1]} is missing; add it", where=where)
    return RequestError(_SENTENCES.get(kind, first["msg"][0].lower() + first["msg"][1:]), where=where)
