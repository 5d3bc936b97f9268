"""Answers: every error as the same small json body, every answer under the request's id."""

import re
import uuid

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from common.errors import RequestError
from service.bodies import ErrorAnswer

REQUEST_ID = "x-request-id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LONGEST = 500  # characters of a caller's own words that an error repeats


def request_id(request: Request) -> str:
    """The request's id: the caller's, where it is safe to repeat in a header and a log, else a new one."""
    given = request.headers.get(REQUEST_ID, "")
    if not hasattr(request.state, "id"):
        request.state.id = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex
    return str(request.state.id)


def json_answer(request: Request, body: bytes, *, status: int = 200) -> Response:
    """An answer whose body is json already."""
    return Response(body, status, {REQUEST_ID: request_id(request)}, media_type="application/json")


def error_answer(request: Request, message: str, *, where: str = "", status: int) -> Response:
    """An answer that says what is wrong."""
    body: ErrorAnswer = {"error": {"message": _shortened(message), "where": _shortened(where)}}
    return json_answer(request, orjson.dumps(body), status=status)


def add_error_answers(app: FastAPI) -> None:
    """Let every error of an app be answered in the one form."""
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _no_such_thing)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestError)
    return error_answer(request, str(problem), where=problem.where, status=problem.status)


async def _no_such_thing(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    message, path = problem.detail, str(request.scope["path"])
    allowed = (problem.headers or {}).get("Allow")
    if problem.status_code == 404:
        message = f"there is no {path!r}; /docs lists what there is"
    elif problem.status_code == 405 and allowed:
        message = f"{request.method} does not go with {path!r}; use {allowed}"
    answer = error_answer(request, message, status=problem.status_code)
    answer.headers.update(problem.headers or {})
    return answer


async def _gone(request: Request, problem: Exception) -> Response:
    return error_answer(request, "the connection closed before the body was whole; send it again", status=400)


async def _broken(request: Request, problem: Exception) -> Response:
    """Says nothing of the inside; the log has the traceback."""
    return error_answer(request, "the server failed; its log says why, under the time of this request", status=500)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
