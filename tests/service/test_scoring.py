"""Scoring over HTTP: the offline scores, the split, the shape of an answer."""

from collections import Counter
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from service.router import Router
from tests.service.raw import as_request, good_request, strange_rows
from tests.service.trained import Trained
from training.artifact import Artifact


def _offline(trained: Trained, name: str) -> list[float]:
    """Scores of the prepared strange rows."""
    prepared = PreparedSet(trained.prepared)
    artifact = Artifact.load(getattr(trained, name))
    scores: list[float] = []
    for frame in prepared.shards("test"):
        scores += artifact.score(EncodedRows.of(frame, prepared.fitted.schema)).tolist()
    return scores


def _post(http: httpx.Client, request: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = http.post("/v1/score", json=request, headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_served_score_is_the_offline_score(http: httpx.Client, trained: Trained) -> None:
    offline = {"ours": _offline(trained, "finalmlp"), "lr": _offline(trained, "lr")}
    rows = list(strange_rows().iter_rows(named=True))
    # The rows tell: nearly all of them have a score of their own, far apart for the tolerance.
    assert len({round(score, 4) for score in offline["ours"]}) > 0.8 * len(rows)
    seen = Counter[str]()
    for i, row in enumerate(rows):
        answer = _post(http, as_request(row))
        assert answer["scores"][0]["score"] == pytest.approx(offline[answer["variant"]][i], abs=1e-6), row
        seen[answer["variant"]] += 1
    assert set(seen) == {"ours", "lr"}


def test_a_feature_left_out_is_missing(client: TestClient, trained: Trained) -> None:
    bare = {"user_id": "u1", "candidates": [{"id": "ad3"}]}
    row = strange_rows().row(-1, named=True)
    assert [row[name] for name in ("age", "tags", "price")] == [None, None, None]
    assert _post(client, bare)["scores"][0]["score"] == pytest.approx(_offline(trained, "finalmlp")[-1], abs=1e-6)


def test_candidates_are_scored_as_if_alone(client: TestClient) -> None:
    request = good_request(50)
    together = [s["score"] for s in _post(client, request)["scores"]]
    alone = [_post(client, {**request, "candidates": [c]})["scores"][0]["score"] for c in request["candidates"]]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_as_many_candidates_as_allowed_are_scored(client: TestClient) -> None:
    answer = _post(client, good_request(10_000))
    assert [s["id"] for s in answer["scores"]] == [f"ad{i}" for i in range(10_000)]


def test_top_k_is_the_best_in_order_ties_by_position(client: TestClient) -> None:
    request = good_request(40)
    # Unseen ads share a score, so each candidate has a twin that ties with it.
    request["candidates"] = [{**c, "id": f"{c['id']}-{twin}"} for twin in (1, 2) for c in request["candidates"]]
    every = _post(client, request)["scores"]
    best = sorted(every, key=lambda score: -score["score"])
    assert len({s["score"] for s in best}) == 40
    for k in (1, 3, 80, 99):
        assert _post(client, {**request, "top_k": k})["scores"] == best[:k]
    assert _post(client, {**request, "top_k": None})["scores"] == every


def test_half_the_users_get_each_variant_and_keep_it(http: httpx.Client) -> None:
    users = [f"u{i}" for i in range(2000)]
    picked = {user: _post(http, {"user_id": user, "candidates": [{"id": "ad1"}]})["variant"] for user in users}
    counts = Counter(picked.values())
    assert abs(counts["ours"] - 1000) < 5 * np.sqrt(2000 / 4)
    for user in users[::20]:
        assert _post(http, {**good_request(2), "user_id": user})["variant"] == picked[user]
    # The same without a server: what is logged can be recomputed.
    router = Router(["ours", "lr"], [1, 1], salt="plexrank")
    assert {user: router.pick(user) for user in users} == picked


def test_an_integer_user_is_its_decimal_text(http: httpx.Client) -> None:
    for user in (7, -1, 2**63, 12345678901):
        one, other = (_post(http, {**good_request(), "user_id": given}) for given in (user, str(user)))
        assert (one["variant"], one["scores"]) == (other["variant"], other["scores"])


def test_an_answer_names_what_made_it(http: httpx.Client, trained: Trained) -> None:
    answer = _post(http, {**good_request(), "candidates": [{"id": 7}, {"id": "7"}, {"id": 2**64 - 1}]})
    assert sorted(answer) == ["model", "request_id", "scores", "variant"]
    folder = {"ours": trained.finalmlp, "lr": trained.lr}[answer["variant"]]
    assert answer["model"] == f"{answer['variant']}@{Artifact.load(folder).digest[:12]}"
    assert [s["id"] for s in answer["scores"]] == [7, "7", 2**64 - 1]
    assert answer["scores"][0]["score"] == answer["scores"][1]["score"]
    assert all(0 <= s["score"] <= 1 for s in answer["scores"])


@pytest.mark.parametrize("given", ["abc-DEF_1.2", "x" * 128])
def test_a_safe_request_id_comes_back(client: TestClient, given: str) -> None:
    answer = client.post("/v1/score", json=good_request(), headers={"x-request-id": given})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == given
    refused = client.post("/v1/score", json={}, headers={"x-request-id": given})
    assert refused.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'quo"te'])
def test_an_unsafe_request_id_is_replaced(client: TestClient, given: str) -> None:
    answers = [client.post("/v1/score", json=good_request(), headers={"x-request-id": given}) for _ in range(2)]
    ids = [answer.json()["request_id"] for answer in answers]
    assert ids == [answer.headers["x-request-id"] for answer in answers]
    assert ids[0] != ids[1]
    assert all(len(i) == 32 and int(i, 16) >= 0 for i in ids)
