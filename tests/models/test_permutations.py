"""Permutation laws: to which rankers the order of the fields is nothing, or no more than an order of weights.

AutoInt's attention moves with the fields (test_autoint), FGCNN's convolutions do not (test_fgcnn).
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from models.network import Network
from tests.models.small import build, vocabulary_schema

FITTED = vocabulary_schema({"user": 9, "item": 9, "city": 9, "hour": 9})
FIELDS, WIDTH = 4, 4
VECTORS = torch.randn(7, FIELDS * WIDTH, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.randn(7, FIELDS, generator=torch.Generator().manual_seed(2))
ORDER = [2, 0, 3, 1]
MLP = {"hidden": [8, 6]}


def network(name: str, **settings: Any) -> Network:
    return build(FITTED, name, settings).network.eval()


def permuted(vectors: Tensor) -> Tensor:
    """The fields of ``[B, F d]`` in another order."""
    fields: Tensor = vectors.unflatten(1, (FIELDS, -1))
    return fields[:, ORDER].flatten(1)


def permute(network: Network, path: str, *columns: list[int]) -> None:
    """Put the inputs of a linear layer into another order: in each part of them, columns by their old places."""
    weight = network.get_parameter(f"{path}.weight")
    parts = weight.split([len(part) for part in columns], dim=1)
    with torch.no_grad():
        weight.copy_(torch.cat([part[:, order] for part, order in zip(parts, columns, strict=True)], 1))


# Where the numbers of each field, and the pairs of two, are after fields have changed their order.
NUMBERS = [field * WIDTH + i for field in ORDER for i in range(WIDTH)]
_PAIRS = list(itertools.combinations(range(FIELDS), 2))
PAIRS = [_PAIRS.index((min(ORDER[i], ORDER[j]), max(ORDER[i], ORDER[j]))) for i, j in _PAIRS]


def test_the_order_of_the_fields_is_nothing_to_fm() -> None:
    fm = network("fm")
    torch.testing.assert_close(fm(permuted(VECTORS), WEIGHTS[:, ORDER]), fm(VECTORS, WEIGHTS))


def test_the_order_of_the_weights_is_nothing_to_lr() -> None:
    lr = network("lr")
    torch.testing.assert_close(lr(WEIGHTS[:, ORDER]), lr(WEIGHTS))


@pytest.mark.parametrize("name", ["deepfm", "wide_deep"])
def test_the_order_of_the_fields_is_an_order_of_the_perceptrons_inputs(name: str) -> None:
    ranker = network(name, mlp=MLP)
    before = ranker(VECTORS, WEIGHTS)
    assert not torch.allclose(ranker(permuted(VECTORS), WEIGHTS), before, atol=1e-3)
    permute(ranker, "mlp.hidden.0", NUMBERS)
    torch.testing.assert_close(ranker(permuted(VECTORS), WEIGHTS[:, ORDER]), before)


def test_the_order_of_the_fields_is_an_order_of_ipnns_inputs() -> None:
    ipnn = network("ipnn", mlp=MLP)
    before = ipnn(VECTORS)
    permute(ipnn, "mlp.hidden.0", NUMBERS, PAIRS)
    torch.testing.assert_close(ipnn(permuted(VECTORS)), before)


def test_the_order_of_the_fields_is_an_order_of_dlrms_products() -> None:
    dlrm, nothing = network("dlrm", top=MLP), torch.empty(7, 0)
    before = dlrm(VECTORS, nothing)
    permute(dlrm, "top.hidden.0", PAIRS)
    torch.testing.assert_close(dlrm(permuted(VECTORS), nothing), before)


def test_the_order_of_the_fields_is_an_order_of_the_weights_of_each_map() -> None:
    xdeepfm = network("xdeepfm", maps=[3, 2], mlp=MLP)
    before = xdeepfm(VECTORS, WEIGHTS)
    permute(xdeepfm, "mlp.hidden.0", NUMBERS)
    # A layer weighs each map before it times each field; before the first layer the maps are the fields.
    permute(xdeepfm, "interaction.layers.0", [i * FIELDS + j for i in ORDER for j in ORDER])
    permute(xdeepfm, "interaction.layers.1", [i * FIELDS + j for i in range(3) for j in ORDER])
    torch.testing.assert_close(xdeepfm(permuted(VECTORS), WEIGHTS[:, ORDER]), before)


def test_the_order_of_the_fields_is_an_order_of_autoints_outputs() -> None:
    autoint = network("autoint", attention={"layers": 2, "width": 6})
    before = autoint(VECTORS)
    permute(autoint, "output", [field * 6 + i for field in ORDER for i in range(6)])
    torch.testing.assert_close(autoint(permuted(VECTORS)), before)


@pytest.mark.parametrize("name", ["dcnv2", "gdcn"])
def test_the_order_of_the_fields_is_an_order_of_the_rows_and_columns_of_the_crosses(name: str) -> None:
    ranker = network(name, cross_layers=2, mlp=MLP)
    before = ranker(VECTORS)
    permute(ranker, "mlp.0", NUMBERS)
    permute(ranker, "output", [*NUMBERS, *range(16, 22)])
    for path in [path for path, value in ranker.named_parameters() if value.shape == (16, 16)]:
        permute(ranker, path.removesuffix(".weight"), NUMBERS)
        with torch.no_grad():
            ranker.get_parameter(path).copy_(ranker.get_parameter(path)[NUMBERS])
    torch.testing.assert_close(ranker(permuted(VECTORS)), before)
