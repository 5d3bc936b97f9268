"""Exported rankers: the same scores at any batch size, without graph breaks."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from features.datasets.batch import Batch
from kernels.lookup.layout import TableOptimizer
from models.export import PlainRanker, export
from models.registry import Architecture, build_model
from tests.models.small import SCHEMA, fit

ONE_HOT = {**SCHEMA, "features": [f for f in SCHEMA["features"] if f["kind"] != "sequence"]}
NO_NUMERICS = {**SCHEMA, "features": [f for f in SCHEMA["features"] if f["kind"] != "numeric"]}
FINALMLP: dict[str, Any] = {
    "mlp1": {"hidden": [16], "batch_norm": True},
    "mlp2": {"hidden": [8]},
    "heads": 2,
    "gates": {"context1": ["user"], "context2": ["item"]},
}


@pytest.mark.parametrize("document", [SCHEMA, ONE_HOT, NO_NUMERICS], ids=["lists", "one-hot", "no numerics"])
@pytest.mark.parametrize("optimizer", [None, TableOptimizer()], ids=["dense", "fused"])
@pytest.mark.parametrize("name", ["finalmlp", "deepfm"])  # vectors; vectors and weights
def test_an_exported_ranker_scores_alike_at_any_batch_size(
    name: str,
    document: dict[str, Any],
    optimizer: TableOptimizer | None,
    make_batch: Callable[..., Batch],
    tmp_path: Path,
) -> None:
    fitted = fit(document)
    torch.manual_seed(0)
    architecture = Architecture(
        name=name,
        settings=FINALMLP if name == "finalmlp" else {},
        embedding={"dim": 10, "rows": 100, "init_std": 0.1},  # type: ignore[arg-type]
    )
    model = build_model(architecture, fitted, optimizer=optimizer)
    program = export(model)
    assert model.training
    model.eval()
    torch.export.save(program, tmp_path / "ranker.pt2")
    loaded = torch.export.load(tmp_path / "ranker.pt2").module()
    for rows in (2, 7, 64):
        batch = make_batch(rows, schema=fitted)
        offsets = batch.sparse.offsets() if document is not ONE_HOT else None
        with torch.no_grad():
            expected = model(batch.dense, batch.sparse)
            torch.testing.assert_close(loaded(batch.dense, batch.sparse.values(), offsets), expected, rtol=0, atol=1e-6)
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("plexrank.lookup.default") == 1


def test_a_compiled_ranker_has_no_graph_breaks(make_batch: Callable[..., Batch]) -> None:
    fitted = fit(ONE_HOT)
    architecture = Architecture(name="finalmlp", settings=FINALMLP, embedding={"dim": 10, "rows": 100})  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = build_model(architecture, fitted, optimizer=TableOptimizer())
    eager = copy.deepcopy(model)
    compiled = torch.compile(PlainRanker(model), fullgraph=True, backend="aot_eager")
    for seed in range(3):
        batch = make_batch(8 + seed, schema=fitted)
        logits = [
            compiled(batch.dense, batch.sparse.values(), None),
            eager(batch.dense, batch.sparse),
        ]
        torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-6)
        for result in logits:
            result.sum().backward()
        assert model.embedding.lookup is not None
        assert eager.embedding.lookup is not None
        torch.testing.assert_close(model.embedding.lookup.table, eager.embedding.lookup.table, rtol=1e-5, atol=1e-7)
