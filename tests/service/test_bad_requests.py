"""Every bad request gets a 4xx with one sentence and the place, and the server stays up."""

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from starlette.testclient import TestClient

from tests.service.raw import good_request

_JSON = {"content-type": "application/json"}
_GOOD = good_request()


def _with(place: str, value: Any) -> dict[str, Any]:
    """The good request with one value at a dotted place; a number is a position."""
    changed: dict[str, Any] = orjson.loads(orjson.dumps(_GOOD))
    inside: Any = changed
    *parents, last = place.split(".")
    for part in parents:
        inside = inside[int(part) if part.isdigit() else part]
    inside[last] = value
    return changed


def _without(key: str) -> dict[str, Any]:
    return {k: v for k, v in _GOOD.items() if k != key}


def _text(place: str, literal: bytes) -> bytes:
    """The good request with a piece of json that no library would write."""
    return orjson.dumps(_with(place, "HERE")).replace(b'"HERE"', literal)


_PRICE = "candidates.1.features.price"
_PRICE_PATH = "candidates[1].features.price"

CASES: list[tuple[str, Any, int, str, str]] = [
    ("NaN", _text(_PRICE, b"NaN"), 400, "not valid json", ""),
    ("Infinity", _text(_PRICE, b"-Infinity"), 400, "not valid json", ""),
    ("1e400", _text(_PRICE, b"1e400"), 400, "number is infinity", ""),
    ("lone surrogate", _text("user_id", b'"\\ud800"'), 400, "surrogate", ""),
    ("broken utf-8", _text("user_id", b'"\xff"'), 400, "UTF-8", ""),
    ("deep nesting", _text("user.age", b"[" * 5000 + b"]" * 5000), 400, "depth", ""),
    ("nesting", _text("user.age", b"[" * 500 + b"]" * 500), 422, "a feature's value", "user.age"),
    ("cut short", orjson.dumps(_GOOD)[:-1], 400, "line 1, column", ""),
    ("two documents", orjson.dumps(_GOOD) * 2, 400, "not valid json", ""),
    ("nothing", b"", 400, "empty", ""),
    ("a list", [_GOOD], 422, "an object is expected", ""),
    ("null", None, 422, "an object is expected", ""),
    ("no user_id", _without("user_id"), 422, "user_id is missing; add it", "user_id"),
    ("user_id null", _with("user_id", None), 422, "an id is a text or an integer", "user_id"),
    ("user_id bool", _with("user_id", True), 422, "an id is a text or an integer", "user_id"),
    ("user_id float", _with("user_id", 1.0), 422, "an id is a text or an integer", "user_id"),
    ("huge user_id", _text("user_id", b"9" * 30), 422, "send integers beyond 64 bits as text", "user_id"),
    ("no candidates", _with("candidates", []), 422, "give at least one", "candidates"),
    ("candidates left out", _without("candidates"), 422, "candidates is missing", "candidates"),
    ("10,001 candidates", good_request(10_001), 422, "10001 candidates are more than the limit of 10000", "candidates"),
    ("candidate id bool", _with("candidates.2.id", False), 422, "an id is a text or an", "candidates[2].id"),
    ("candidate is an id", _with("candidates", ["ad1"]), 422, "an object is expected", "candidates[0]"),
    ("extra key", _with("contxt", {}), 422, "unknown key 'contxt'; did you mean 'context'?", "contxt"),
    ("extra candidate key", _with("candidates.1.feature", {}), 422, "'features'?", "candidates[1].feature"),
    ("unknown feature", _with("user.aeg", 1), 422, "unknown feature 'aeg'; did you mean 'age'?", "user.aeg"),
    ("misplaced feature", _with("context.age", 1), 422, "describes the user, not the context", "context.age"),
    ("unknown item feature", _with("candidates.1.features.x", 1), 422, "unknown", "candidates[1].features.x"),
    ("nameless feature", _with("user", {"": 1}), 422, "unknown feature ''", "user."),
    ("long name", _with("user", {"x" * 10_000: 1}), 422, "at most 128 characters", "user." + "x" * 10_000),
    ("long key", _with("x" * 10_000, 1), 422, "unknown key 'xxx", "x" * 10_000),
    ("bool for a number", _with(_PRICE, True), 422, "a number is expected, not true", _PRICE_PATH),
    ("text for a number", _with(_PRICE, "1.5"), 422, "a number is expected, not '1.5'", _PRICE_PATH),
    ("list for a number", _with(_PRICE, [1]), 422, "a number is expected, not a list", _PRICE_PATH),
    ("object for a number", _with(_PRICE, {"eur": 1}), 422, "a feature's value is", _PRICE_PATH),
    ("number beyond float32", _with("context.raw", 1e39), 422, "too large for float32", "context.raw"),
    ("huge integer", _text("context.raw", b"9" * 60), 422, "too large for float32", "context.raw"),
    ("number that overflows", _with("context.warmth", -3e38), 422, "no finite score", "candidates[0]"),
    ("float for a category", _with("context.hour", 7.0), 422, "a text or an integer is expected", "context.hour"),
    ("list for a category", _with("context.hour", [7]), 422, "a text or an integer is expected", "context.hour"),
    ("text for a sequence", _with("user.recent_ads", "ad1 ad2"), 422, "a list of texts", "user.recent_ads"),
    ("bool for a bucket", _with("user.age_band", True), 422, "a number is expected, not true", "user.age_band"),
    ("a cross", _with("user.cheap_by_hour", "x"), 422, "give 'cheap' and 'hour' instead", "user.cheap_by_hour"),
    ("float in a sequence", _with("user.recent_ads", ["ad1", 2.0]), 422, "a feature's value", "user.recent_ads"),
    ("ids that differ", _with("user.user_id", "u2"), 422, "contradicts the id 'u1'", "user.user_id"),
    ("top_k 0", _with("top_k", 0), 422, "1 or more", "top_k"),
    ("top_k true", _with("top_k", True), 422, "an integer is expected", "top_k"),
    ("top_k text", _with("top_k", "3"), 422, "an integer is expected", "top_k"),
]


def _is_one_sentence(text: str) -> bool:
    return 0 < len(text) <= 500 and "\n" not in text and not text.endswith(".")


def _problem(answer: httpx.Response) -> tuple[int, str, str]:
    """The parts of an error; every error has these and no others."""
    document = answer.json()
    assert list(document) == ["error"]
    assert list(document["error"]) == ["message", "where"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert _is_one_sentence(document["error"]["message"])
    return answer.status_code, document["error"]["message"], document["error"]["where"]


@pytest.mark.parametrize(("body", "status", "message", "where"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_bad_body_is_refused(client: TestClient, body: Any, status: int, message: str, where: str) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    found = _problem(client.post("/v1/score", content=content, headers=_JSON))
    assert found[0] == status
    assert message in found[1]
    # An answer repeats no more than 500 characters of what it was sent.
    assert found[2] == (where if len(where) <= 500 else f"{where[:497]}...")


def test_a_bad_body_leaves_the_server_up(http: httpx.Client) -> None:
    for name, body, status, message, _ in CASES:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        found = _problem(http.post("/v1/score", content=content, headers=_JSON))
        if name != "number that overflows":  # which only FinalMLP minds
            assert (found[0], message in found[1]) == (status, True), name
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.post("/v1/score", json=_GOOD).status_code == 200


def test_a_body_beyond_the_limit_is_refused(http: httpx.Client) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(9 * 2**4):
            sent += 2**16
            yield b" " * 2**16

    for content in (b" " * (9 * 2**20), chunks()):
        found = _problem(http.post("/v1/score", content=content, headers=_JSON))
        assert found == (413, "the body has more than 8388608 bytes; send fewer candidates a request", "")
    assert sent > 8 * 2**20
    assert http.post("/v1/score", json=_GOOD).status_code == 200


def test_a_body_at_the_limit_is_read(http: httpx.Client) -> None:
    content = orjson.dumps(_GOOD).ljust(8 * 2**20)
    assert http.post("/v1/score", content=content, headers=_JSON).status_code == 200
    assert _problem(http.post("/v1/score", content=content + b" ", headers=_JSON))[0] == 413


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content-type": "text/plain"}, "content-type 'text/plain' is not json; send application/json"),
        ({"content-type": "application/x-www-form-urlencoded"}, "send application/json"),
        ({**_JSON, "content-encoding": "gzip"}, "content-encoding 'gzip' is not read; send the body as it is"),
    ],
)
def test_a_body_of_another_kind_is_refused(client: TestClient, headers: dict[str, str], message: str) -> None:
    found = _problem(client.post("/v1/score", content=orjson.dumps(_GOOD), headers=headers))
    assert found[0] == 415
    assert message in found[1]


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"])
def test_json_by_other_names_is_read(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/score", content=orjson.dumps(_GOOD), headers={"content-type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/scores", 404, "there is no '/v1/scores'; /docs lists what there is"),
        ("POST", "/v1/score/", 404, "there is no '/v1/score/';"),
        ("GET", "/v1/score", 405, "GET does not go with '/v1/score'; use POST"),
        ("DELETE", "/healthz", 405, "DELETE does not go with '/healthz'; use GET"),
    ],
)
def test_a_wrong_address_is_refused(client: TestClient, method: str, path: str, status: int, message: str) -> None:
    found = _problem(client.request(method, path))
    assert found[0] == status
    assert message in found[1]


def test_a_wrong_host_does_not_break_a_refusal(client: TestClient) -> None:
    assert _problem(client.get("/nowhere", headers={"host": "["}))[0] == 404


def test_a_refusal_of_the_method_says_which_is_allowed(client: TestClient) -> None:
    assert client.get("/v1/score").headers["allow"] == "POST"
