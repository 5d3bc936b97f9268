"""The app: the routes of the scoring server and what holds them together."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from common.errors import RequestError
from common.versions import plexrank_version
from service._answers import add_error_answers, error_answer, json_answer, request_id
from service._parsing import parse_request
from service.bodies import ErrorAnswer, ScoreAnswer, ScoreRequest, Status, request_schemas
from service.limits import BodyLimit, Limits
from service.router import Router
from service.scorer import Scorer

# Requests that are computed at once: torch spreads one over the cores, Python's lock keeps two from going faster.
_WORKERS = 1

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body is not json."},
    413: {"model": ErrorAnswer, "description": "The body has too many bytes."},
    415: {"model": ErrorAnswer, "description": "The content type is not json."},
    422: {"model": ErrorAnswer, "description": "The body breaks a rule; `where` says at which place."},
    500: {"model": ErrorAnswer, "description": "The server failed."},
}
_REQUEST_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ScoreRequest.__name__}"}}},
}


def create_app(scorers: Sequence[Scorer], router: Router, limits: Limits | None = None) -> FastAPI:
    """Build the app.

    It warms the scorers up when it starts, before it is ready.

    Args:
        scorers: One for each of the router's variants.
        router: Picks the variant of a user.
        limits: What a request may hold.

    Returns:
        The app.
    """
    limits = limits or Limits()
    by_variant = {scorer.variant: scorer for scorer in scorers}
    workers = anyio.CapacityLimiter(_WORKERS)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for scorer in scorers:
            await anyio.to_thread.run_sync(scorer.warm_up, limiter=workers)
        app.state.ready = True
        try:
            yield
        finally:
            app.state.ready = False

    app = _App(
        title="plexrank",
        version=plexrank_version(),
        summary="Scores ad candidates by their click probability.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.ready = False
    app.add_middleware(BodyLimit, max_body_bytes=limits.max_body_bytes)
    add_error_answers(app)

    def answer(body: bytes, identity: str) -> bytes:
        request = parse_request(body, limits)
        scorer = by_variant[router.pick(str(request.user_id))]
        return orjson.dumps(_answer(request, scorer, identity))

    @app.post("/v1/score", response_model=ScoreAnswer, responses=_ERRORS, openapi_extra={"requestBody": _REQUEST_BODY})
    async def score(request: Request) -> Response:
        """Score candidates for a user."""
        _check_content(request)
        body = await request.body()
        # Parsing and encoding take as long as the model does: all of it leaves the event loop to others.
        scored = await anyio.to_thread.run_sync(answer, body, request_id(request), limiter=workers)
        return json_answer(request, scored)

    @app.get("/healthz", response_model=Status)
    async def healthz(request: Request) -> Response:
        """Say that the process answers."""
        return json_answer(request, b'{"status":"alive"}')

    @app.get("/readyz", response_model=Status, responses={503: {"model": ErrorAnswer, "description": "Not yet."}})
    async def readyz(request: Request) -> Response:
        """Say whether every variant is loaded and warm."""
        if not app.state.ready:
            return error_answer(request, "the models are not warm yet; ask again in a moment", status=503)
        return json_answer(request, b'{"status":"ready"}')

    return app


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the body that the route parses itself."""
        document = super().openapi()
        document["components"]["schemas"].update(request_schemas())
        return document


def _check_content(request: Request) -> None:
    """Refuse a body that says it is something else than plain json; one that says nothing is taken for json."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestError(f"content-type {kind!r} is not json; send application/json", status=415)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise RequestError(f"content-encoding {encoding!r} is not read; send the body as it is", status=415)


def _answer(request: ScoreRequest, scorer: Scorer, identity: str) -> ScoreAnswer:
    scores = scorer.score(request)
    chosen = range(len(scores))
    if request.top_k is not None:
        # Stable: equal scores keep the order of the candidates.
        chosen = np.argsort(-scores, kind="stable")[: request.top_k].tolist()
    values = scores.tolist()
    return {
        "request_id": identity,
        "model": scorer.model,
        "variant": scorer.variant,
        "scores": [{"id": request.candidates[i].id, "score": values[i]} for i in chosen],
    }
