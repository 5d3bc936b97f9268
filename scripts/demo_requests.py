"""Serve the demo's two models and send them requests made of the log's last rows. Called by scripts/demo."""

import collections
import http.client
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl

from features.schema import Schema, load_schema

REQUESTS = 300


def main(folder: Path) -> None:
    """Start the server, send requests, show an answer and the counts by variant."""
    command = [Path(sys.executable).with_name("plexrank"), "serve", "--split", "50,50", "--port", "0"]
    for model in ("finalmlp", "lr"):
        command += ["--artifact", folder / model / "artifact"]
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as server:
        try:
            send(*address(server), requests(folder / "ads"))
        finally:
            server.terminate()


def address(server: "subprocess.Popen[str]") -> tuple[str, int]:
    """Where the server listens, from the line in which it says so; its other lines are passed on."""
    assert server.stdout is not None
    for line in server.stdout:
        print(line, end="")
        found = re.search(r"http://([\d.]+):(\d+)", line)
        if found:
            threading.Thread(target=lambda: sys.stdout.writelines(server.stdout or ()), daemon=True).start()
            return found[1], int(found[2])
    raise SystemExit("demo: the server ended before it listened")


def requests(ads: Path) -> list[dict[str, Any]]:
    """The log's last requests: a user, a moment, and the ads that were shown."""
    schema = load_schema(ads / "schema.yaml")
    log = pl.concat([pl.scan_parquet(file).tail(10_000) for file in sorted((ads / "log").iterdir())]).collect()
    shown = log.tail(10_000).partition_by("request_id", maintain_order=True)[-REQUESTS:]
    return [request(rows.to_dicts(), schema) for rows in shown]


def request(rows: list[dict[str, Any]], schema: Schema) -> dict[str, Any]:
    """A request for the rows of one page view."""
    user, item = schema.entities["user"], schema.entities["item"]

    def features(row: dict[str, Any], entity: str) -> dict[str, Any]:
        return {f.name: row[f.source] for f in schema.features if f.entity == entity and f.name not in (user, item)}

    return {
        "user_id": rows[0][user],
        "user": features(rows[0], "user"),
        "context": features(rows[0], "context"),
        "candidates": [{"id": row[item], "features": features(row, "item")} for row in rows],
    }


def send(host: str, port: int, bodies: list[dict[str, Any]]) -> None:
    """Post every body, then show one answer and what each variant did."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    answers, candidates = collections.Counter[str](), collections.Counter[str]()
    scores, last = collections.Counter[str](), {}
    for body in bodies:
        connection.request("POST", "/v1/score", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        last = json.loads(response.read())
        if response.status != 200:
            raise SystemExit(f"demo: the server answered {response.status}: {last}")
        variant = last["variant"]
        answers[variant] += 1
        candidates[variant] += len(last["scores"])
        scores[variant] += sum(score["score"] for score in last["scores"])
    print(f"\nthe last request and its answer:\n{json.dumps(bodies[-1])[:500]} ...\n{json.dumps(last)[:500]}\n")
    for variant, count in sorted(answers.items()):
        mean = scores[variant] / candidates[variant]
        print(f"{variant:>10}: {count} requests, {candidates[variant]} candidates, mean score {mean:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
