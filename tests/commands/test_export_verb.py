"""plexrank export: a program that scores as the artifact does, with all that a reader must know."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from common.errors import ArtifactError
from tests.commands.conftest import Plexrank, Result
from training.artifact import Artifact
from training.program import METADATA, check_program, describe, draw_rows, save_program

ROOT = Path(__file__).parents[2]
FEATURES: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical", "entity": "user", "encoding": "vocabulary"},
    {"name": "price", "kind": "numeric", "entity": "item"},
    {"name": "seen", "kind": "sequence", "entity": "user", "of": "item"},
    {"name": "item", "kind": "categorical", "entity": "item"},
    {"name": "hour", "kind": "numeric", "missing": 0},
]
SCHEMAS = {
    "lists": FEATURES,
    "one-hot": [feature for feature in FEATURES if feature["name"] != "seen"],
    "numerics": [feature for feature in FEATURES if feature["kind"] == "numeric"],
}

SHAPES = {
    "lists": ["[B, 2]", "[N]", "[3 * B + 1]"],
    "one-hot": ["[B, 2]", "[2 * B]", ""],
    "numerics": ["[B, 2]", "[0 * B]", ""],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each schema a prepared set and a run of FinalMLP; for the first of LR too."""
    from features.preparation.plan import Inputs
    from features.preparation.prepare import prepare
    from features.schema import parse_schema
    from training.loop import train
    from training.run import run_settings

    folder = tmp_path_factory.mktemp("export")
    draw = np.random.default_rng(0)
    pl.DataFrame(
        {
            "click": draw.integers(0, 2, 600),
            "user": [f"u{i}" for i in draw.integers(0, 12, 600)],
            "item": [f"i{i}" for i in draw.integers(0, 15, 600)],
            "seen": [" ".join(f"i{i}" for i in draw.integers(0, 15, n)) for n in draw.integers(0, 4, 600)],
            "price": [None if i == 0 else float(i) for i in draw.integers(0, 9, 600)],
            "hour": draw.integers(0, 24, 600),
        }
    ).write_parquet(folder / "log.parquet")
    small = {"hidden": [8], "batch_norm": True}
    runs: list[tuple[str, dict[str, Any]]] = [
        (name, {"name": "finalmlp", "mlp1": small, "mlp2": small, "heads": 2}) for name in SCHEMAS
    ]
    runs.append(("lists", {"name": "lr"}))
    for name, model in runs:
        data = folder / name
        if not data.exists():
            schema = parse_schema({"label": "click", "features": SCHEMAS[name]}, source="test")
            prepare(schema, Inputs([str(folder / "log.parquet")]), data)
        document = {
            "data": str(data),
            "output": str(folder / f"{model['name']} {name}"),
            "model": model,
            "embedding": {"dim": 4, "init_std": 0.5, **({} if name == "numerics" else {"rows": 60})},
            "training": {"batch_size": 64, "epochs": 1},
        }
        train(run_settings(document, source="run"))
    return folder


@pytest.fixture
def export(plexrank: Plexrank, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plexrank:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, artifact: str = "finalmlp lists") -> Result:
        return plexrank("export", "--artifact", trained / artifact / "artifact", "--output", "ranker.pt2", *arguments)

    return run


def load(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    extra = {METADATA: ""}
    program = torch.export.load(path, extra_files=extra)
    return program.module(), json.loads(extra[METADATA])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_program_says_what_it_takes_and_scores_as_its_artifact(
    export: Plexrank, plexrank: Plexrank, trained: Path, name: str
) -> None:
    """With nothing but the json in the file and a prepared set."""
    data, artifact = trained / name, trained / f"finalmlp {name}" / "artifact"
    done = export("--data", data, "--rows", "50", artifact=f"finalmlp {name}")
    assert done.code == 0, done.err
    assert f"Wrote ranker.pt2: on 50 test rows of {data} its scores are the artifact's to " in done.out
    program, about = load(Path("ranker.pt2"))
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert (about["digest"], about["schema_digest"]) == (manifest["digest"], manifest["schema_digest"])
    assert about["import_first"] == (None if name == "numerics" else "kernels.lookup.ops")
    for said in (about["name"], about["digest"][:12], *about["numerics"], *about["keys"], "torch.export.load"):
        assert said in done.out

    rows = pl.concat(pl.read_parquet(shard) for shard in sorted((data / "test").iterdir()))
    dense = rows.select(about["numerics"]).cast(pl.Float32).fill_null(float("nan")).to_torch()
    bags = [
        rows[key] if rows[key].dtype == pl.List else rows.select(pl.concat_list(key)).to_series()
        for key in about["keys"]
    ]
    values = pl.concat([bag.explode(empty_as_null=False) for bag in bags]) if bags else pl.Series(dtype=pl.Int64)
    offsets = None
    if about["inputs"]["offsets"]["dtype"] != "None":
        lengths = pl.concat([pl.Series([0]), *(bag.list.len().cast(pl.Int64) for bag in bags)])
        offsets = lengths.cum_sum().to_torch()
    inputs = dense, values.to_torch(), offsets
    assert [told["shape"] for told in about["inputs"].values()] == SHAPES[name]
    dtypes = [None if tensor is None else tensor.dtype for tensor in inputs]
    assert [told["dtype"] for told in about["inputs"].values()] == [str(d).removeprefix("torch.") for d in dtypes]
    with torch.no_grad():
        scores = torch.sigmoid(program(*inputs).double())
    assert plexrank("score", "--artifact", artifact, "--data", data, "--output", "scores.parquet").code == 0
    expected = pl.read_parquet("scores.parquet")["score"].to_torch()
    assert expected.unique().numel() > 20
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)


def test_a_program_is_read_without_the_rankers_code(export: Plexrank, trained: Path) -> None:
    """By a process that has imported the lookup's operator and nothing else of the project but what that needs."""
    assert export().code == 0
    code = """
import sys
import kernels.lookup.ops, torch
program = torch.export.load("ranker.pt2").module()
print(program(torch.zeros(2, 2), torch.arange(6), torch.arange(7)).tolist())
print(sorted({name.split(".")[0] for name in sys.modules} & {"models", "training", "features", "polars"}))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    logits, others = done.stdout.splitlines()
    assert np.isfinite(json.loads(logits)).all()
    assert others == "[]"


@pytest.mark.parametrize("name", SCHEMAS)
def test_rows_that_are_drawn_are_of_every_kind(trained: Path, name: str) -> None:
    artifact = Artifact.load(trained / f"finalmlp {name}" / "artifact")
    rows = draw_rows(artifact.fitted, 500)
    assert len(rows) == 500
    column = dict(zip(describe(artifact)["numerics"], rows.dense.T, strict=True))
    assert 50 < np.isnan(column["price"]).sum() < 150
    assert not np.isnan(column["hour"]).any()
    if name != "numerics":
        assert set(rows.categorical[:, 0]) == set(range(14))
        assert len(set(rows.categorical[:, 1])) == 500
    if name == "lists":
        assert set(np.diff(rows.lists["seen"][1])) == set(range(9))


def test_a_program_of_another_artifact_is_not_kept(trained: Path, tmp_path: Path) -> None:
    ours, other = (Artifact.load(trained / name / "artifact") for name in ("finalmlp lists", "lr lists"))
    save_program(other, tmp_path / "program.pt2")
    rows = draw_rows(ours.fitted, 7)
    assert check_program(tmp_path / "program.pt2", other, rows) <= 1e-6
    with pytest.raises(ArtifactError, match=rf"apart from finalmlp lists@{ours.digest[:12]}, .* is not kept; serve"):
        check_program(tmp_path / "program.pt2", ours, rows)


def test_a_method_to_compare_with_is_refused(plexrank: Plexrank, trained: Path, tmp_path: Path) -> None:
    document = {
        "data": str(trained / "one-hot"),
        "output": str(tmp_path / "run"),
        "model": {"name": "lr"},
        "embedding": {"dim": 4, "rows": 60, "vocabularies": "unified", "comparison": {"method": "multihash"}},
        "optimizer": {"embedding": "dense_adam"},
        "training": {"batch_size": 64, "epochs": 1},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(document))
    done = plexrank("train", "--config", tmp_path / "run.yaml")
    assert done.code == 0, done.err
    program = tmp_path / "ranker.pt2"
    done = plexrank("export", "--artifact", tmp_path / "run" / "artifact", "--output", program)
    assert done.code == 2
    assert "run was trained with embedding.comparison, a method to compare with that cannot be exported" in done.err
    assert not program.exists()


def test_one_row_is_enough_to_check_on(export: Plexrank, trained: Path) -> None:
    assert "on 1 test rows of" in export("--data", trained / "lists", "--rows", "1").out


def test_what_is_there_is_replaced_on_request_only(export: Plexrank) -> None:
    Path("ranker.pt2").write_text("mine")
    refused = export()
    assert refused.code == 2
    assert refused.err == "plexrank: ranker.pt2 exists; choose another file or add --overwrite\n"
    assert Path("ranker.pt2").read_text() == "mine"
    assert export("--overwrite").code == 0
    assert load(Path("ranker.pt2"))[1]["model"] == "finalmlp"
    assert [path.name for path in Path().iterdir()] == ["ranker.pt2"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--output", "ranker.onnx"], "ranker.onnx is no .pt2; name it so"),
        (["--output", "no/ranker.pt2"], "no is no folder; create it, or choose another"),
        (["--artifact", "none"], "none is no artifact (it has no manifest.json); run plexrank train"),
        (["--data", "OTHER"], ": ids would not agree; give the data the model was trained on"),
        (["--data", "SAME", "--split", "tset"], "tset"),
        (["--output", "full.pt2", "--overwrite"], "full.pt2 cannot be written: No space left on device; "),
    ],
)
def test_mistakes_are_one_sentence(export: Plexrank, trained: Path, options: list[str], sentence: str) -> None:
    Path("full.pt2").symlink_to("/dev/full")
    folders = {"OTHER": str(trained / "one-hot"), "SAME": str(trained / "lists")}
    done = export(*(folders.get(option, option) for option in options))
    assert done.code == 2
    assert done.err.startswith("plexrank: ")
    assert sentence in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["full.pt2"]


def test_help_teaches(plexrank: Plexrank) -> None:
    shown = " ".join(plexrank("export", "--help").out.split())
    for words in ("kernels.lookup.ops", "plexrank.json", "from two rows on", "Example: plexrank export --artifact"):
        assert words in shown
    assert "export" in plexrank("--help").out
