"""Reduction laws: what a ranker is without a part of itself is another ranker.

Each copies weights from one ranker to the other and compares logits. Those of AutoInt and FGCNN are in their own files.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.network import Network
from tests.models.small import build, vocabulary_schema

FITTED = vocabulary_schema({"user": 9, "item": 9, "city": 9})
FIELDS, WIDTH = 3, 4
VECTORS = torch.randn(7, FIELDS * WIDTH, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.randn(7, FIELDS, generator=torch.Generator().manual_seed(2))
NOTHING = torch.empty(7, 0)
MLP = {"hidden": [8, 6]}


def network(name: str, **settings: Any) -> Network:
    return build(FITTED, name, settings).network.eval()


def copy(source: nn.Module, target: nn.Module, paths: Mapping[str, str]) -> None:
    """Give modules of the target the weights of modules of the source."""
    for path, of_source in paths.items():
        target.get_submodule(path).load_state_dict(source.get_submodule(of_source).state_dict())


@torch.no_grad()
def put(module: nn.Module, **values: Tensor | float) -> None:
    """Set weights by their names, a double underscore for a dot."""
    for name, value in values.items():
        module.get_parameter(name.replace("__", ".")).copy_(torch.as_tensor(value))


def test_finalmlp_without_bilinear_weights_and_gates_is_dualmlp() -> None:
    final, dual = (
        network("finalmlp", mlp1=MLP, mlp2={"hidden": [4]}, gates=None, heads=2),
        network("dualmlp", mlp1=MLP, mlp2={"hidden": [4]}),
    )
    put(final, fusion__weight=0.0)
    paths = {f"mlp{i}.hidden": f"mlp{i}" for i in (1, 2)} | {f"mlp{i}.output": f"fusion.linear{i}" for i in (1, 2)}
    copy(final, dual, paths)
    torch.testing.assert_close(final(VECTORS), dual(VECTORS))


def test_dcnv2_with_equal_rows_of_weights_is_dcn() -> None:
    second, first = (network(name, cross_layers=2, mlp=MLP) for name in ("dcnv2", "dcn"))
    for layer in range(2):
        # Its biases, which the first version adds to the product and the second to a factor, are still 0.
        put(second, **{f"cross__layers__{layer}__weight": first.get_parameter(f"weights.{layer}.weight")})
    copy(second, first, {"mlp": "mlp", "output": "output"})
    torch.testing.assert_close(second(VECTORS), first(VECTORS))


def test_gdcn_with_gates_half_open_is_dcnv2() -> None:
    gated, plain = (network(name, cross_layers=2, mlp=MLP, structure="stacked") for name in ("gdcn", "dcnv2"))
    copy(gated, plain, {"mlp": "mlp", "output": "output"})
    for layer in range(2):
        put(gated, **{f"crosses__{layer}__gate__weight": 0.0, f"crosses__{layer}__cross__bias": 1.5})
        cross = gated.get_submodule(f"crosses.{layer}.cross")
        weight, bias = cross.get_parameter("weight"), cross.get_parameter("bias")
        put(plain, **{f"cross__layers__{layer}__weight": weight / 2, f"cross__layers__{layer}__bias": bias / 2})
    torch.testing.assert_close(gated(VECTORS), plain(VECTORS))


def test_deepfm_without_its_perceptron_is_fm() -> None:
    deep, fm = network("deepfm", mlp=MLP), network("fm")
    put(deep, mlp__output__weight=0.0, mlp__output__bias=0.3)
    put(fm, bias=0.3)
    torch.testing.assert_close(deep(VECTORS, WEIGHTS), fm(VECTORS, WEIGHTS))


def test_fm_of_one_field_in_its_vectors_is_lr() -> None:
    """A field alone has no pair."""
    alone = VECTORS.clone()
    alone[:, WIDTH:] = 0
    torch.testing.assert_close(network("fm")(alone, WEIGHTS), network("lr")(WEIGHTS))


def test_deepfm_of_one_field_in_its_vectors_is_wide_and_deep() -> None:
    alone = VECTORS.clone()
    alone[:, WIDTH:] = 0
    deepfm, wide = network("deepfm", mlp=MLP), network("wide_deep", mlp=MLP)
    copy(deepfm, wide, {"mlp": "mlp"})
    torch.testing.assert_close(deepfm(alone, WEIGHTS), wide(alone, WEIGHTS))
    assert not torch.allclose(deepfm(VECTORS, WEIGHTS), wide(VECTORS, WEIGHTS), atol=0.1)


def test_xdeepfm_of_one_map_that_adds_up_the_pairs_is_deepfm() -> None:
    cross, deep = network("xdeepfm", maps=[1], mlp=MLP), network("deepfm", mlp=MLP)
    copy(deep, cross, {"mlp": "mlp"})
    pairs = torch.ones(FIELDS, FIELDS).triu(1).reshape(1, -1)
    put(cross, interaction__layers__0__weight=pairs, output__weight=1.0)
    torch.testing.assert_close(cross(VECTORS, WEIGHTS), deep(VECTORS, WEIGHTS))


def test_xdeepfm_without_maps_is_wide_and_deep() -> None:
    cross, wide = network("xdeepfm", mlp=MLP), network("wide_deep", mlp=MLP)
    copy(wide, cross, {"mlp": "mlp"})
    put(cross, output__weight=0.0)
    torch.testing.assert_close(cross(VECTORS, WEIGHTS), wide(VECTORS, WEIGHTS))


def test_wide_and_deep_without_weights_is_a_perceptron() -> None:
    """And so is DLRM that reads vectors alone, and DualMLP of one silent stream."""
    wide, dlrm = network("wide_deep", mlp=MLP), network("dlrm", top=MLP, interaction="cat")
    dual = network("dualmlp", mlp1=MLP, mlp2=MLP)
    put(dual, mlp2__output__weight=0.0)
    copy(wide, dlrm, {"top": "mlp"})
    copy(wide, dual, {"mlp1": "mlp"})
    expected = wide(VECTORS, torch.zeros(7, FIELDS))
    torch.testing.assert_close(dlrm(VECTORS, NOTHING), expected)
    torch.testing.assert_close(dual(VECTORS), expected)


def test_ipnn_blind_to_vectors_is_dlrm_of_their_products() -> None:
    ipnn, dlrm = network("ipnn", mlp=MLP), network("dlrm", top=MLP)
    weight = ipnn.get_parameter("mlp.hidden.0.weight")
    put(ipnn, mlp__hidden__0__weight=torch.cat([torch.zeros(8, 12), weight[:, 12:]], 1))
    put(dlrm, top__hidden__0__weight=weight[:, 12:])
    copy(ipnn, dlrm, {"top.hidden.2": "mlp.hidden.2", "top.output": "mlp.output"})
    torch.testing.assert_close(ipnn(VECTORS), dlrm(VECTORS, NOTHING))


def test_ipnn_blind_to_products_is_a_perceptron() -> None:
    ipnn, dlrm = network("ipnn", mlp=MLP), network("dlrm", top=MLP, interaction="cat")
    weight = ipnn.get_parameter("mlp.hidden.0.weight")
    put(ipnn, mlp__hidden__0__weight=torch.cat([weight[:, :12], torch.zeros(8, 3)], 1))
    put(dlrm, top__hidden__0__weight=weight[:, :12])
    copy(ipnn, dlrm, {"top.hidden.2": "mlp.hidden.2", "top.output": "mlp.output"})
    torch.testing.assert_close(ipnn(VECTORS), dlrm(VECTORS, NOTHING))


def unmask(masknet: Network, blocks: int) -> None:
    """Set every mask to 1."""
    for block in range(blocks):
        put(masknet, **{f"blocks__{block}__mask__2__weight": 0.0, f"blocks__{block}__mask__2__bias": 1.0})


def test_a_serial_masknet_without_masks_is_a_perceptron() -> None:
    plainly = {"block_norm": False, "embedding_norm": False}
    masked = network("masknet", structure="serial", blocks=2, block_width=6, **plainly)
    plain = network("dlrm", top={"hidden": [6, 6]}, interaction="cat")
    unmask(masked, 2)
    for block in range(2):
        weight = masked.get_parameter(f"blocks.{block}.hidden.weight")
        put(plain, **{f"top__hidden__{2 * block}__weight": weight})
    copy(masked, plain, {"top.output": "output"})
    torch.testing.assert_close(masked(VECTORS), plain(VECTORS, NOTHING))


def test_a_parallel_masknet_without_masks_is_a_perceptron_as_wide_as_its_blocks() -> None:
    plainly = {"block_norm": False, "embedding_norm": False}
    masked = network("masknet", blocks=2, block_width=6, mlp={"hidden": [8]}, **plainly)
    plain = network("dlrm", top={"hidden": [12, 8]}, interaction="cat")
    unmask(masked, 2)
    weights = (masked.get_parameter(f"blocks.{block}.hidden.weight") for block in range(2))
    put(plain, top__hidden__0__weight=torch.cat(tuple(weights)))
    copy(masked, plain, {"top.hidden.2": "mlp.hidden.0", "top.output": "mlp.output"})
    torch.testing.assert_close(masked(VECTORS), plain(VECTORS, NOTHING))


def test_finalnet_of_two_equal_blocks_is_finalnet_of_one() -> None:
    two = network("finalnet", block1=MLP, block2=MLP)
    one = network("finalnet", block1=MLP, block2=None)
    copy(one, two, {"block1": "block1", "block2": "block1"})
    torch.testing.assert_close(two(VECTORS), one(VECTORS))


def test_qnn_without_factors_is_linear() -> None:
    """And so is AutoInt without layers."""
    quadratic, linear = network("qnn"), network("autoint", attention={"layers": 0})
    for layer in range(2):
        put(quadratic, **{f"layers__{layer}__linear__weight": 0.0})
    copy(quadratic, linear, {"output": "output"})
    torch.testing.assert_close(quadratic(VECTORS), linear(VECTORS))


def test_qnn_of_one_row_of_positive_factors_is_a_cross_layer() -> None:
    quadratic = network("qnn", layers=1, rows=1, batch_norm=False)
    cross = network("dcnv2", cross_layers=1, mlp=None)
    put(quadratic, layers__0__linear__bias=20.0)
    copy(quadratic, cross, {"cross.layers.0": "layers.0.linear", "output": "output"})
    torch.testing.assert_close(quadratic(VECTORS), cross(VECTORS))
