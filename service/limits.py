"""Limits on what a request may cost, checked before anything is parsed or computed."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import RequestError


@dataclass(frozen=True)
class Limits:
    """What one request may hold.

    Attributes:
        max_body_bytes: Bytes of the body.
        max_candidates: Candidates to score.
    """

    max_body_bytes: int = 8 * 2**20
    max_candidates: int = 10_000


class BodyLimit:
    """ASGI middleware that stops reading a body at the limit, whether its length was announced or not.

    Starlette has one of its own, which answers in plain text; every error of this server is json.

    Args:
        app: What reads the body.
        max_body_bytes: The limit.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, its body limited."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max:
                raise RequestError(
                    f"the body has more than {self._max} bytes; send fewer candidates a request", status=413
                )
            return message

        await self._app(scope, limited, send)
