"""Parameter-count oracles: every ranker as its published runs had it has as many parameters as their logs say.

Source: MODELS.md, appendix B: logs of BARS, of FuxiCTR, and of the authors of QNN. The settings are the recipes'; where
these say nothing of a width, it is the one that gives the count.
"""

from typing import Any

import pytest
import torch

from features.encoding.fitted import FittedSchema
from models.ranker import parameter_count
from models.registry import Architecture, build_model
from tests.models.small import FRAPPE, vocabulary_schema

# Logs of the benchmark's first version have one reserved id a field, those of the second two, as we have.
FRAPPE_1 = {name: size - 1 for name, size in FRAPPE.items()}
MOVIELENS = {"user": 30_000, "item": 30_000, "tag": 30_242}
MOVIELENS_1 = {name: size - 1 for name, size in MOVIELENS.items()}
AVAZU = {f"f{i}": 59_000 for i in range(21)} | {"f21": 59_621}
AVAZU_1 = {name: size - 1 for name, size in AVAZU.items()}
CRITEO = {f"C{i}": 83_000 for i in range(1, 26)} | {"C6": 23, "C26": 94_306}
CRITEO_1 = {name: size - 1 for name, size in CRITEO.items()}
NUMBERS = [f"I{i}" for i in range(1, 14)]
# Of the logs of QNN and of KKBox only the sum of the sizes is known.
FRAPPE_QNN = {f"f{i}": 500 for i in range(9)} | {"f9": 883}
ML_1M_QNN = {f"f{i}": 1_400 for i in range(6)} | {"f6": 1_351}
KKBOX = {f"f{i}": 7_000 for i in range(12)} | {"f12": 8_247}

THREE = {"hidden": [400, 400, 400]}
NORMED = {**THREE, "batch_norm": True}


def mlp(*hidden: int) -> dict[str, Any]:
    return {"hidden": list(hidden), "batch_norm": True}


def attention(layers: int, width: int, *, norm: str = "before") -> dict[str, Any]:
    return {"layers": layers, "width": width, "heads": 4, "residual": "identity", "norm": norm}


def masks(blocks: int, width: int) -> dict[str, Any]:
    return {"blocks": blocks, "block_width": width, "reduction": 2.0, "embedding_norm": False, "mlp": THREE}


PUBLISHED: list[tuple[str, dict[str, int], dict[str, Any], int]] = [
    ("lr", FRAPPE_1, {}, 5_390),
    ("lr", MOVIELENS_1, {}, 90_240),
    ("fm", FRAPPE_1, {}, 59_280),
    ("fm", MOVIELENS_1, {}, 992_630),
    ("wide_deep", FRAPPE_1, {"mlp": NORMED}, 423_280),
    ("wide_deep", MOVIELENS_1, {"mlp": NORMED}, 1_328_630),
    ("deepfm", FRAPPE_1, {"mlp": NORMED}, 423_280),
    ("deepfm", MOVIELENS_1, {"mlp": NORMED}, 1_328_630),
    ("dlrm", FRAPPE_1, {"interaction": "cat", "top": NORMED}, 417_891),
    ("dcn", FRAPPE_1, {"cross_layers": 3, "mlp": NORMED}, 418_591),
    ("dcn", MOVIELENS_1, {"cross_layers": 4, "mlp": NORMED}, 1_238_661),
    ("dcn", FRAPPE_1, {"cross_layers": 6, "mlp": None}, 55_191),
    ("dcnv2", FRAPPE_1, {"cross_layers": 4, "mlp": NORMED}, 458_391),
    ("dcnv2", MOVIELENS_1, {"cross_layers": 5, "mlp": NORMED}, 1_243_071),
    ("dcnv2", FRAPPE_1, {"cross_layers": 4, "mlp": None}, 94_391),
    ("xdeepfm", FRAPPE_1, {"maps": [64], "mlp": NORMED}, 429_809),
    ("xdeepfm", MOVIELENS_1, {"maps": [64, 64, 64], "mlp": THREE}, 1_351_767),
    ("ipnn", FRAPPE_1, {"mlp": THREE}, 433_491),
    ("ipnn", MOVIELENS_1, {"mlp": THREE}, 1_237_191),
    ("masknet", FRAPPE_1, masks(3, 50), 571_691),
    ("autoint", FRAPPE_1, {"attention": attention(6, 128, norm="none")}, 306_051),
    ("autoint", FRAPPE_1, {"attention": attention(5, 128), "mlp": NORMED}, 622_180),
    ("autoint", MOVIELENS_1, {"attention": attention(2, 128), "wide": True}, 1_047_798),
    ("autoint", MOVIELENS_1, {"attention": attention(2, 128), "wide": True, "mlp": NORMED}, 1_383_799),
    ("autoint", AVAZU_1, {"attention": attention(4, 128)}, 13_142_407),
    ("autoint", AVAZU_1, {"attention": attention(5, 256), "mlp": NORMED}, 14_202_856),
    ("autoint", CRITEO_1, {"attention": attention(3, 256), "wide": True}, 23_364_453),
    ("autoint", CRITEO_1, {"attention": attention(3, 256), "wide": True, "mlp": NORMED}, 23_844_454),
    ("dualmlp", FRAPPE, {"mlp1": NORMED, "mlp2": mlp(500, 500, 500)}, 972_992),
    ("dualmlp", MOVIELENS, {"mlp1": NORMED, "mlp2": mlp(400)}, 1_252_022),
    ("dualmlp", AVAZU, {"mlp1": NORMED, "mlp2": mlp(400)}, 13_487_812),
    (
        "finalmlp",
        FRAPPE,
        {
            "mlp1": mlp(400),
            "mlp2": mlp(100),
            "gates": {"hidden": [400], "context1": ["user"], "context2": ["item"]},
            "heads": 5,
        },
        253_392,
    ),
    ("finalmlp", MOVIELENS, {"mlp1": mlp(400), "mlp2": mlp(800), "gates": {"hidden": [800]}, "heads": 10}, 1_040_902),
    ("finalmlp", AVAZU, {"mlp1": NORMED, "mlp2": mlp(800), "gates": {"hidden": [800]}, "heads": 10}, 13_979_472),
    (
        "finalmlp",
        CRITEO,
        {
            "mlp1": NORMED,
            "mlp2": mlp(1000),
            "gates": {"hidden": [800], "context1": NUMBERS, "context2": ["C6"]},
            "heads": 200,
        },
        22_478_162,
    ),
    ("finalnet", FRAPPE, {"block1": {"hidden": [400, 400]}, "block2": None}, 256_791),
    ("finalnet", FRAPPE, {"block1": {"hidden": [400, 400]}, "block2": {"hidden": [400]}, "field_gate": True}, 338_502),
    ("finalnet", MOVIELENS, {"block1": {"hidden": [400]}, "block2": None}, 916_021),
    (
        "finalnet",
        MOVIELENS,
        {"block1": {"hidden": [400, 400]}, "block2": {"hidden": [500]}, "field_gate": True},
        1_106_234,
    ),
]


def count(name: str, fitted: FittedSchema, settings: dict[str, Any], *, dim: int = 10) -> int:
    architecture = Architecture.model_validate({"name": name, "settings": settings, "embedding": {"dim": dim}})
    with torch.device("meta"):  # shapes alone
        return parameter_count(build_model(architecture, fitted))


@pytest.mark.parametrize(
    ("name", "sizes", "settings", "parameters"), PUBLISHED, ids=[f"{name} {count:,}" for name, *_, count in PUBLISHED]
)
def test_parameters_of_published_models(
    name: str, sizes: dict[str, int], settings: dict[str, Any], parameters: int
) -> None:
    numbers = NUMBERS if "C1" in sizes else []
    assert count(name, vocabulary_schema(sizes, numbers), settings) == parameters


@pytest.mark.parametrize(
    ("sizes", "rows", "layers", "parameters"), [(FRAPPE_QNN, 13, 2, 764_369), (ML_1M_QNN, 4, 1, 207_649)]
)
def test_parameters_of_the_published_quadratic_networks(
    sizes: dict[str, int], rows: int, layers: int, parameters: int
) -> None:
    assert count("qnn", vocabulary_schema(sizes), {"rows": rows, "layers": layers}, dim=16) == parameters


def test_parameters_of_the_published_fgcnn() -> None:
    generation = {"channels": [14, 16, 18, 20], "kernel": 7, "pool": 2, "recombined": 3}
    classifier = {"name": "ipnn", "mlp": {"hidden": [1000, 1000, 1000]}}
    settings = {"generation": generation, "classifier": classifier}
    assert sum(KKBOX.values()) == 92_247
    assert count("fgcnn", vocabulary_schema(KKBOX), settings, dim=128) == 84_979_183
    shared = count("fgcnn", vocabulary_schema(KKBOX), settings | {"share_embedding": True}, dim=128)
    assert shared == 61_363_951 + 92_247 * 128


@pytest.mark.parametrize(("rows", "parameters"), [(None, 477_115), (6_826, 272_305), (1_365, 108_475)])
def test_parameters_of_the_published_stacked_dcnv2(rows: int | None, parameters: int) -> None:
    """Those of the replication of unified embedding on MovieLens-1M: 13,653 values, and half and a tenth of them."""
    sizes = {"user": 6_000, "movie": 4_000, "gender": 4, "age": 9, "occupation": 23, "zip": 3_617}
    embedding = {"dim": 30, "vocabularies": "unified", "rows": rows} if rows else {"dim": 30}
    settings = {"structure": "stacked", "cross_layers": 1, "mlp": {"hidden": [192]}}
    document = {"name": "dcnv2", "settings": settings, "embedding": embedding}
    model = build_model(Architecture.model_validate(document), vocabulary_schema(sizes))
    assert parameter_count(model) == parameters
