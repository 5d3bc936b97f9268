"""plexrank serve: artifacts behind HTTP."""

import contextlib
import errno
import shlex
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands._console import TABLE_HELP, TablePrecision, console, table
from common.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.scorer import Scorer

_DRAIN_SECONDS = 20  # for requests in flight after Ctrl-C or SIGTERM; Kubernetes kills after 30


def serve(
    artifact: Annotated[list[Path], typer.Option(help="An artifact's folder. Repeatable: a variant each.")],
    split: Annotated[
        str | None,
        typer.Option(help="Percent of the users each variant gets, like 90,10.", show_default="equal shares"),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A variant's name, in the order of --artifact.", show_default="the artifact's own"),
    ] = None,
    salt: Annotated[str, typer.Option(help="Another salt deals the users out anew.")] = "plexrank",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
    max_body_bytes: Annotated[int, typer.Option(help="Longest body that is read.", min=1)] = 8 * 2**20,
    max_candidates: Annotated[int, typer.Option(help="Most candidates in a request.", min=1)] = 10_000,
    table_: Annotated[TablePrecision, typer.Option("--table", help=TABLE_HELP)] = "fp32",
    threads: Annotated[
        int | None, typer.Option(help="Threads of one computation in torch.", min=1, show_default="torch chooses")
    ] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Print a line a request.")] = False,
) -> None:
    """Serve one artifact, or several split by user, over HTTP.

    POST /v1/score takes a user, a context and candidates with raw feature values. A user always gets the same variant,
    on every machine with the same --split and --salt; the answer names it. /healthz says that the process lives,
    /readyz that it is ready, /docs what requests look like. Ctrl-C or SIGTERM finishes what is in flight.

    Example: plexrank serve --artifact runs/a/artifact --artifact runs/b/artifact --split 90,10
    """
    from service.router import Router, parse_shares

    weights = parse_shares(split, len(artifact)) if split is not None else (1,) * len(artifact)
    # Seconds of imports come after what can be refused at once.
    import torch

    from service.app import create_app
    from service.limits import Limits
    from service.variants import load_variants

    if threads is not None:
        torch.set_num_threads(threads)
    scorers = load_variants(artifact, name or (), table=table_)
    router = Router([scorer.variant for scorer in scorers], weights, salt=salt)
    app = create_app(scorers, router, Limits(max_body_bytes, max_candidates))

    def announce(url: str) -> None:
        rows = [(scorer.variant, scorer.model, f"{router.shares[scorer.variant]:g} %") for scorer in scorers]
        console.print(f"Serving on {url}", soft_wrap=True, markup=False, highlight=False)
        console.print(table("Variants", ("variant", "model", "users"), rows))
        console.print(f"Try: {_curl(url, scorers[0])}", soft_wrap=True, markup=False, highlight=False)

    _run(app, host, port, access_log=access_log, announce=announce)


def _curl(url: str, scorer: "Scorer") -> str:
    """A command that scores a made-up request."""
    import orjson

    from service.example import example_request

    body = orjson.dumps(example_request(scorer.artifact.fitted.schema)).decode()
    return shlex.join(["curl", "-s", f"{url}/v1/score", "-H", "content-type: application/json", "-d", body])


def _run(app: "FastAPI", host: str, port: int, *, access_log: bool, announce: Callable[[str], None]) -> None:
    """Warm up, listen, and answer until Ctrl-C or SIGTERM."""
    import asyncio

    import uvicorn

    config = uvicorn.Config(
        app,
        lifespan="off",  # entered below, so that what fails in it is said as the command's own error
        ws="none",
        log_level="info" if access_log else "warning",
        access_log=access_log,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )

    async def run() -> None:
        async with app.router.lifespan_context(app):
            with _listener(host, port) as listener:
                shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
                announce(f"http://{shown}:{listener.getsockname()[1]}")
                await uvicorn.Server(config).serve(sockets=[listener])

    # uvicorn drains on either signal and then raises it anew: both end as a KeyboardInterrupt, which is a good end.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run())
    finally:
        signal.signal(signal.SIGTERM, previous)


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} of {host} is in use; choose another --port") from None
        reason = problem.strerror or str(problem)
        raise ConfigError(f"cannot listen on {host}, port {port}: {reason}; choose another --host or --port") from None
