"""The manifests and the images: valid, restricted, and agreeing with each other."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from commands.main import app
from training.run import load_run

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "base"
_KUBERNETES = ["1.29", "1.31", "1.33", "1.35", "1.37"]
# Read by kustomize, or put into a ConfigMap, and no resource itself.
_NOT_RESOURCES = {"kustomization.yaml", "run.yaml"}
_UID = 10001


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]


def _resources() -> list[tuple[str, dict[str, Any]]]:
    files = sorted(path for path in BASE.glob("*.yaml") if path.name not in _NOT_RESOURCES)
    return [(path.name, document) for path in files for document in _documents(path)]


def _kustomization() -> dict[str, Any]:
    (document,) = _documents(BASE / "kustomization.yaml")
    return document


def _config_maps() -> list[dict[str, Any]]:
    """The ConfigMaps that kustomize generates, less the hash in their names."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": {name: (BASE / name).read_text(encoding="utf-8") for name in generator["files"]},
        }
        for generator in _kustomization()["configMapGenerator"]
    ]


def _named(kind: str) -> dict[str, Any]:
    (found,) = (document for _, document in _resources() if document["kind"] == kind)
    return found


def _pod(kind: str) -> dict[str, Any]:
    pod: dict[str, Any] = _named(kind)["spec"]["template"]["spec"]
    return pod


def _container(kind: str) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = _pod(kind)["containers"]
    return container


def _option(kind: str, name: str) -> str:
    arguments: list[str] = _container(kind)["args"]
    return arguments[arguments.index(name) + 1]


@pytest.mark.parametrize("version", _KUBERNETES)
def test_every_document_satisfies_the_strict_schema(version: str) -> None:
    documents = [document for _, document in _resources()] + _config_maps()
    assert {document["kind"] for document in documents} == {
        "ConfigMap",
        "Deployment",
        "Job",
        "PersistentVolumeClaim",
        "Service",
    }
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", _KUBERNETES)
def test_strict_schema_refuses_a_misspelt_key(version: str) -> None:
    document = _named("Deployment")
    document["spec"]["template"]["spec"]["automountServiceAccountTokn"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="automountServiceAccountTokn"):
        kubernetes_validate.validate(document, version, strict=True)


def test_kustomization_lists_every_file_and_every_listed_file_exists() -> None:
    kustomization = _kustomization()
    assert set(kustomization) == {"apiVersion", "kind", "labels", "resources", "configMapGenerator"}
    generated = [name for generator in kustomization["configMapGenerator"] for name in generator["files"]]
    listed = [*kustomization["resources"], *generated, "kustomization.yaml"]
    assert sorted(listed) == sorted(path.name for path in BASE.iterdir())


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_pod_satisfies_the_restricted_standard(kind: str) -> None:
    pod = _pod(kind)
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == _UID
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
    }
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_container_is_pinned_bounded_and_can_write_to_tmp(kind: str) -> None:
    container = _container(kind)
    assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+\.\d+", container["image"])
    for bound in ("requests", "limits"):
        assert set(container["resources"][bound]) == {"cpu", "memory"}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in _pod(kind)["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert "emptyDir" in volumes[mounts["/tmp"]]


def test_references_between_documents_hold() -> None:
    claim = _named("PersistentVolumeClaim")["metadata"]["name"]
    maps = {document["metadata"]["name"] for document in _config_maps()}
    for kind in ("Job", "Deployment"):
        for volume in _pod(kind)["volumes"]:
            assert volume.get("persistentVolumeClaim", {}).get("claimName", claim) == claim
            assert volume.get("configMap", {}).get("name", next(iter(maps))) in maps
    labels = _named("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert _named("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    service = _named("Service")["spec"]
    assert service["selector"].items() <= labels.items()
    ports = {port["name"]: port["containerPort"] for port in _container("Deployment")["ports"]}
    assert [port["targetPort"] for port in service["ports"]] == ["http"]
    assert _option("Deployment", "--port") == str(ports["http"])
    # The loopback default would hide the server from its probes.
    assert _option("Deployment", "--host") == "0.0.0.0"


def test_server_is_probed() -> None:
    container = _container("Deployment")
    paths = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert paths == {
        "startupProbe": {"path": "/readyz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
    }


def test_users_mistake_is_not_tried_again() -> None:
    job = _named("Job")["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"containerName": _container("Job")["name"], "operator": "In", "values": [2]}
    assert _pod("Job")["restartPolicy"] == "Never"


def test_run_file_is_valid_and_server_loads_what_it_writes() -> None:
    run = load_run(BASE / "run.yaml")
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in _container("Job")["volumeMounts"]}
    assert run.data.is_relative_to(mounts["data"])
    assert run.output.is_relative_to(mounts["data"])
    assert _option("Job", "--config") == str(mounts["run"] / "run.yaml")
    assert _option("Deployment", "--artifact") == str(run.output / "artifact")


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of the Dockerfile by stage: (word, rest)."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, list[tuple[str, str]]] = {}
    stage: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = list(stages.get(base, []))
        else:
            stage.append((word, rest))
    return stages


@pytest.mark.parametrize(("target", "kind"), [("train", "Job"), ("serve", "Deployment")])
def test_image_runs_plexrank_as_the_pods_user(target: str, kind: str) -> None:
    stage = _stages()[target]
    last = dict(stage)
    assert last["USER"] == f"{_UID}:{_UID}"
    assert last["ENTRYPOINT"] == '["plexrank"]'
    assert _container(kind)["args"][0] == target
    assert _container(kind)["image"].split(":")[0].endswith(f"plexrank-{target}")
    if target == "serve":
        assert last["EXPOSE"] == str(_container(kind)["ports"][0]["containerPort"])


def test_image_gets_all_that_setup_needs() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules
    assert [name for name in allowed if not (ROOT / name).exists()] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    needed = packages | {"pyproject.toml", "README.md", "LICENSE", "requirements", "scripts"}
    assert [name for name in needed if not any(fnmatch.fnmatch(name, rule) for rule in allowed)] == []


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_containers_ask_for_options_that_plexrank_has(kind: str) -> None:
    verb, *arguments = _container(kind)["args"]
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    context = command.make_context(verb, list(arguments), resilient_parsing=False)
    given = {argument for argument in arguments if argument.startswith("--")}
    assert given <= {option for parameter in command.params for option in parameter.opts}
    assert context.params["config" if verb == "train" else "port"]
