"""The app around scoring: readiness, what it says of itself, what it says when it breaks."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from numpy.typing import NDArray
from starlette.testclient import TestClient

from common.errors import ArtifactError
from service.app import create_app
from service.bodies import ScoreRequest
from service.limits import Limits
from service.router import Router
from service.scorer import Scorer
from tests.service.raw import good_request
from tests.service.trained import Trained
from training.artifact import Artifact


@pytest.fixture
def scorer(trained: Trained) -> Scorer:
    return Scorer("a", Artifact.load(trained.finalmlp))


def _app(scorer: Scorer, limits: Limits | None = None, **options: Any) -> TestClient:
    return TestClient(create_app([scorer], Router(["a"], [1], salt=""), limits), **options)


def test_it_is_ready_from_its_start_to_its_end(scorer: Scorer) -> None:
    client = _app(scorer)
    early = client.get("/readyz")
    assert early.status_code == 503
    assert early.json() == {"error": {"message": "the models are not warm yet; ask again in a moment", "where": ""}}
    assert client.get("/healthz").status_code == 200
    with client:
        assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/readyz").status_code == 503


def test_a_model_that_cannot_score_missing_values_does_not_start(trained: Trained) -> None:
    artifact = Artifact.load(trained.finalmlp)
    for parameter in artifact.model.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(ArtifactError, match="variant 'a' gives no finite score"), _app(Scorer("a", artifact)):
        pytest.fail("it started")


class _Broken(Scorer):
    def score(self, request: ScoreRequest) -> NDArray[np.float64]:
        raise RuntimeError(f"the password is {request.user_id}")


def test_a_failure_says_nothing_of_the_inside(trained: Trained) -> None:
    broken = _Broken("a", Artifact.load(trained.finalmlp))
    with _app(broken, raise_server_exceptions=False) as client:
        answer = client.post("/v1/score", json=good_request(), headers={"x-request-id": "r1"})
        assert client.get("/healthz").status_code == 200
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "r1"
    assert answer.json() == {
        "error": {"message": "the server failed; its log says why, under the time of this request", "where": ""}
    }


def test_limits_can_be_set(scorer: Scorer) -> None:
    with _app(scorer, Limits(max_body_bytes=2000, max_candidates=2)) as client:
        assert client.post("/v1/score", json=good_request(2)).status_code == 200
        assert "limit of 2;" in client.post("/v1/score", json=good_request(3)).json()["error"]["message"]
        assert client.post("/v1/score", json=good_request(30)).status_code == 413
        # Only what is read counts.
        assert client.request("GET", "/healthz", content=b" " * 3000).status_code == 200


def _references(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
        return own.union(*map(_references, document.values()))
    return set().union(*map(_references, document)) if isinstance(document, list) else set()


def test_the_openapi_document_is_whole(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    schemas = document["components"]["schemas"]
    assert _references(document) == {f"#/components/schemas/{name}" for name in schemas}
    assert {"ScoreRequest", "Candidate", "ScoreAnswer", "Score", "ErrorAnswer", "Problem"} <= set(schemas)
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for field, described in schema["properties"].items():
            assert schema.get("description"), name
            assert described.get("description") or "$ref" in str(described) or name == "Status", (name, field)
    assert client.get("/docs").status_code == 200


def test_the_openapi_document_describes_the_bodies(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    def check(name: str, body: Any) -> None:
        whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(body)

    operation = document["paths"]["/v1/score"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ScoreRequest")
    assert {"200", "400", "413", "415", "422", "500"} <= set(operation["responses"])
    for example in document["components"]["schemas"]["ScoreRequest"]["examples"]:
        check("ScoreRequest", example)
        ScoreRequest.model_validate(example)
    for request in (good_request(), {"user_id": 1, "candidates": [{"id": 2}], "top_k": 1}):
        check("ScoreRequest", request)
        check("ScoreAnswer", client.post("/v1/score", json=request).json())
    for bad in ({}, {**good_request(), "x": 1}, {**good_request(), "candidates": []}, {**good_request(), "top_k": 0}):
        with pytest.raises(jsonschema.ValidationError):
            check("ScoreRequest", bad)
        check("ErrorAnswer", client.post("/v1/score", json=bad).json())
