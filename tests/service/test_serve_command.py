"""The command: what it prints, how it ends, what it refuses."""

import http.client
import json
import shlex
import shutil
import signal
import socket
from pathlib import Path

import httpx2 as httpx
import pytest

from commands.serve import serve as serve_command
from common.errors import ConfigError
from tests.service.raw import good_request
from tests.service.running import Serving, serve, start
from tests.service.trained import Trained
from training.artifact import Artifact


def test_it_says_what_it_serves_and_how_to_ask(serving: Serving, http: httpx.Client, trained: Trained) -> None:
    for folder in (trained.finalmlp, trained.lr):
        artifact = Artifact.load(folder)
        line = next(line for line in serving.said.splitlines() if f"{artifact.name}@{artifact.digest[:12]}" in line)
        assert "50 %" in line
    curl = shlex.split(serving.said.splitlines()[-1].removeprefix("Try: "))
    assert curl[:3] == ["curl", "-s", f"{serving.url}/v1/score"]
    options = dict(zip(curl[3::2], curl[4::2], strict=True))
    name, value = options["-H"].split(": ")
    answer = http.post("/v1/score", content=options["-d"], headers={name: value})
    assert answer.status_code == 200
    assert len(answer.json()["scores"]) == 2


def test_it_is_ready_once_it_listens(http: httpx.Client) -> None:
    assert http.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_after_what_is_in_flight(trained: Trained, number: signal.Signals) -> None:
    body = json.dumps(good_request()).encode()
    with serve(["--artifact", str(trained.finalmlp)]) as running:
        gone, asking = (_half_sent(running.url, body) for _ in range(2))
        gone.close()
        # Answered after what came before it: the server has the other's headers by now.
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        running.process.send_signal(number)
        asking.send(body[len(body) // 2 :])
        assert asking.getresponse().status == 200
        asking.close()
        output, problems = running.process.communicate(timeout=60)
    assert running.process.returncode == 0
    assert (output, problems) == ("", "")


def _half_sent(url: str, body: bytes) -> http.client.HTTPConnection:
    """A connection with a request of which half the body is still to come."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", "/v1/score")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    return connection


def _refusal(arguments: list[str]) -> str:
    """What it says when it does not start."""
    with start(arguments) as process:
        output, problems = process.communicate(timeout=120)
    assert process.returncode == 2, problems
    assert "Traceback" not in problems
    assert output == ""
    return " ".join(problems.split())


def test_a_damaged_artifact_is_not_served(trained: Trained, tmp_path: Path) -> None:
    damaged = shutil.copytree(trained.finalmlp, tmp_path / "damaged")
    weights = damaged / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    said = _refusal(["--artifact", str(damaged), "--port", "0"])
    assert said.startswith(f"plexrank: {weights} was changed after it was written")


def test_a_port_in_use_is_named(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _refusal(["--artifact", str(trained.lr), "--port", str(port)])
    assert said == f"plexrank: port {port} of 127.0.0.1 is in use; choose another --port"


def test_a_host_that_is_none_is_named(trained: Trained) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot listen on 256\.0\.0\.1, port 0: .*; choose another --host or --port"
    ):
        serve_command([trained.lr], host="256.0.0.1", port=0)


def test_shares_that_do_not_fit_are_refused(trained: Trained) -> None:
    said = _refusal(["--artifact", str(trained.lr), "--split", "50,50"])
    assert said == "plexrank: split '50,50' has 2 of the 1 percentages; give one a variant"
