"""What settings that cannot work get: refused when the model is built, in a sentence with names and allowed values."""

from collections.abc import Callable
from typing import Any

import pytest

from common.errors import ConfigError
from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from tests.models.small import build
from tests.models.variants import SMALL_SETTINGS

MakeBatch = Callable[..., Batch]

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    (
        "autoint",
        {"attention": {"width": 64, "heads": 3}},
        "model: attention: heads 3 does not divide width 64; its divisors are 1, 2, 4, 8, 16, 32, 64",
    ),
    (
        "autoint",
        {"attention": {"residual": "both"}},
        "model: attention.residual: input should be 'projection', 'identity' or 'none', got \"both\"",
    ),
    ("autoint", {"embedding_dropout": 1.0}, "model: embedding_dropout: input should be less than 1, got 1.0"),
    (
        "dcnv2",
        {"structure": "both"},
        "model: structure: input should be 'parallel' or 'stacked', got \"both\"",
    ),
    ("dlrm", {"bottom": [8, 0]}, "model: bottom[1]: input should be greater than 0, got 0"),
    (
        "finalmlp",
        {"heads": 5, "mlp1": {"hidden": [400]}, "mlp2": {"hidden": [12]}},
        "model: heads 5 does not divide 12, the last width of mlp2; its divisors are 1, 2, 3, 4, 6, 12",
    ),
    (
        "finalmlp",
        {"gates": {"context1": ["user"], "context2": ["itm"]}},
        "the model names feature 'itm', which the schema lacks; did you mean 'item'?",
    ),
    (
        "finalmlp",
        {"gates": {"context1": ["zzz"]}},
        "the model names feature 'zzz', which the schema lacks; known: age, history, item, price, user",
    ),
    ("finalmlp", {"gates": {"hidden": [-1]}}, "model: gates.hidden[0]: input should be greater than 0, got -1"),
    ("finalmlp", {"mlp3": {}}, "model: unknown key 'mlp3'; did you mean 'mlp2'?"),
    (
        "finalnet",
        {"block1": {"hidden": [8, 7]}},
        "model: block1.hidden: a layer's halves are multiplied, and 7 is odd; give even widths",
    ),
    ("finalnet", {"block2": {"hidden": [0]}}, "model: block2.hidden[0]: input should be greater than 0, got 0"),
    ("lr", {"mlp": {}}, "model: unknown key 'mlp'; known: none"),
    ("masknet", {"reduction": 0}, "model: reduction: input should be greater than 0, got 0"),
    ("xdeepfm", {"maps": [0]}, "model: maps[0]: input should be greater than 0, got 0"),
    (
        "fgcnn",
        {},
        "model.generation.kernel 7 spans more than the 5 fields of the schema; set it to an odd number up to 5",
    ),
    (
        "fgcnn",
        {"generation": {"kernel": 4}},
        "model: generation: kernel 4 is even, and only odd ones keep the number of fields; set it to 3 or 5",
    ),
    (
        "fgcnn",
        {"generation": {"channels": [0]}},
        "model: generation.channels[0]: input should be greater than 0, got 0",
    ),
    (
        "fgcnn",
        {"generation": {"kernel": 3, "pooling": "floor"}},
        "model.generation.pooling floor leaves no field in block 3; give fewer channels or use ceil",
    ),
    (
        "fgcnn",
        {"classifier": {"name": "lr"}},
        "model.classifier: lr reads no vectors that fgcnn could add to; use one that does, such as "
        "ipnn, deepfm or finalmlp",
    ),
    ("fgcnn", {"classifier": {"name": "ipn"}}, "model 'ipn' is unknown; did you mean 'ipnn'?"),
    ("fgcnn", {"classifier": {}}, "model: classifier.name is missing; add it"),
    (
        "fgcnn",
        {"classifier": {"name": "ipnn", "mpl": {}}},
        "model.classifier: unknown key 'mpl'; did you mean 'mlp'?",
    ),
    (
        "fgcnn",
        {"classifier": {"name": "autoint", "attention": {"heads": 5, "width": 6}}},
        "model.classifier: attention: heads 5 does not divide width 6; its divisors are 1, 2, 3, 6",
    ),
    (
        "fgcnn",
        {"classifier": {"name": "finalmlp", "gates": {"context1": ["usr"]}}},
        "the model names feature 'usr', which the schema lacks; did you mean 'user'?",
    ),
]


@pytest.mark.parametrize(("name", "settings", "message"), MISTAKES)
def test_settings_that_cannot_work_are_refused(
    fitted: FittedSchema, name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build(fitted, name, settings)
    assert str(refused.value) == message


MLP_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"hidden": [8, 0]}, "hidden[1]: input should be greater than 0, got 0"),
    ({"hidden": [8], "dropout": 1.5}, "dropout: input should be less than 1, got 1.5"),
    ({"hidden": []}, "hidden: tuple should have at least 1 item after validation, not 0, got []"),
    ({"hidden": [8], "norm": True}, "unknown key 'norm' in KEY; known: batch_norm, dropout, hidden"),
]


@pytest.mark.parametrize(("mlp", "message"), MLP_MISTAKES)
@pytest.mark.parametrize(
    ("name", "key"), [("deepfm", "mlp"), ("dcn", "mlp"), ("dlrm", "top"), ("dualmlp", "mlp2"), ("finalmlp", "mlp1")]
)
def test_perceptrons_that_cannot_be_are_refused(
    fitted: FittedSchema, name: str, key: str, mlp: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build(fitted, name, {key: mlp})
    expected = message.replace("KEY", key) if "KEY" in message else f"{key}.{message}"
    assert str(refused.value) == f"model: {expected}"


WIDER = {"user": {"probes": 2}}


@pytest.mark.parametrize("name", ["autoint", "deepfm", "dlrm", "fgcnn", "fm", "ipnn", "xdeepfm"])
def test_rankers_that_multiply_field_by_field_need_equally_wide_fields(fitted: FittedSchema, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(fitted, name, SMALL_SETTINGS.get(name, {}), features=WIDER)
    assert str(refused.value) == (
        f"{name} needs fields of one width, and embedding.features gives 'user' other probes than the rest; "
        "remove them there, or set embedding.probes for all"
    )
    build(fitted, name, SMALL_SETTINGS.get(name, {}), probes=2)


@pytest.mark.parametrize("name", ["dcn", "dcnv2", "dualmlp", "finalmlp", "gdcn", "lr", "masknet", "qnn", "wide_deep"])
def test_the_others_read_the_vectors_as_one_row_of_numbers(
    fitted: FittedSchema, make_batch: MakeBatch, name: str
) -> None:
    batch = make_batch(7)
    assert build(fitted, name, features=WIDER)(batch.dense, batch.sparse).shape == (7,)


def test_only_finalnets_field_gate_needs_equally_wide_fields(fitted: FittedSchema) -> None:
    build(fitted, "finalnet", {"field_gate": False}, features=WIDER)
    with pytest.raises(ConfigError, match="finalnet needs fields of one width"):
        build(fitted, "finalnet", {"field_gate": True}, features=WIDER)
