"""The rankers once more, in NumPy and float64, from their papers' equations.

Written for reading and checking, not for speed: sums over pairs are loops over pairs. A ranker takes its weights by the
names that torch has for them, its settings as a run file has them (those that the weights do not tell), and what it
reads of the features; it is in evaluation mode, so dropout does nothing.

Shapes: B batch, F fields, d width of a field, D = F d.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Weights:
    """The weights of a module, and of those in it."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Array:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def at(self, path: str) -> "Weights":
        """Those of the module at a dotted path."""
        return Weights({n.removeprefix(f"{path}."): v for n, v in self._values.items() if n.startswith(f"{path}.")})

    def of_each(self, path: str = "") -> "list[Weights]":
        """Those of each module in the list at a path that has weights."""
        items = self.at(path) if path else self
        numbers = sorted({int(name.split(".")[0]) for name in items._values})
        return [items.at(str(number)) for number in numbers]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def linear(w: Weights, x: Array) -> Array:
    """Over the last axis."""
    y: Array = np.einsum("...i,oi->...o", x, w["weight"])
    return y + w["bias"] if "bias" in w else y


def logit(w: Weights, x: Array) -> Array:
    return linear(w, x)[:, 0]


def batch_norm(w: Weights, x: Array) -> Array:
    """By the running statistics; channels are axis 1."""
    mean, variance, scale, shift = (
        w[name].reshape(1, -1, *[1] * (x.ndim - 2)) for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def layer_norm(w: Weights, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    normed: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normed * w["weight"] + w["bias"]


def mlp(w: Weights, x: Array) -> Array:
    """Linear, batch normalisation where there is one, ReLU: each hidden layer, the last one too."""
    for i, layer in enumerate(w.of_each()):
        x = batch_norm(layer, x) if "running_mean" in layer else linear(layer, relu(x) if i else x)
    return relu(x)


def logit_mlp(w: Weights, x: Array) -> Array:
    return logit(w.at("output"), mlp(w.at("hidden"), x))


def flat(fields: Array) -> Array:
    return fields.reshape(len(fields), -1)


def total(values: Array) -> Array:
    """Of each row."""
    summed: Array = flat(values).sum(1)
    return summed


def products(fields: Array) -> Array:
    """The inner product of each pair of fields."""
    count = fields.shape[1]
    pairs = [(fields[:, i] * fields[:, j]).sum(1) for i in range(count) for j in range(i + 1, count)]
    return np.stack(pairs, 1)


def lr(w: Weights, settings: Any, weights: Array) -> Array:
    return total(weights) + w["bias"]


def fm(w: Weights, settings: Any, vectors: Array, weights: Array) -> Array:
    return total(weights) + total(products(vectors)) + w["bias"]


def wide_deep(w: Weights, settings: Any, vectors: Array, weights: Array) -> Array:
    return total(weights) + logit_mlp(w.at("mlp"), flat(vectors))


def deepfm(w: Weights, settings: Any, vectors: Array, weights: Array) -> Array:
    return total(weights) + total(products(vectors)) + logit_mlp(w.at("mlp"), flat(vectors))


def ipnn(w: Weights, settings: Any, vectors: Array) -> Array:
    return logit_mlp(w.at("mlp"), np.concatenate([flat(vectors), products(vectors)], 1))


def dualmlp(w: Weights, settings: Any, vectors: Array) -> Array:
    return logit_mlp(w.at("mlp1"), flat(vectors)) + logit_mlp(w.at("mlp2"), flat(vectors))


def xdeepfm(w: Weights, settings: Any, vectors: Array, weights: Array) -> Array:
    maps, pooled = vectors, []
    for layer in w.of_each("interaction.layers"):
        # Every map of a layer weighs every product of a map before it and a field.
        shape = (-1, maps.shape[1], vectors.shape[1])
        mixed = np.einsum("bid,bjd,hij->bhd", maps, vectors, layer["weight"].reshape(shape))
        maps = mixed + layer["bias"][:, None]
        pooled.append(maps.sum(2))
    crossed = logit(w.at("output"), np.concatenate(pooled, 1))
    return total(weights) + crossed + logit_mlp(w.at("mlp"), flat(vectors))


def dlrm(w: Weights, settings: Any, vectors: Array, numbers: Array) -> Array:
    bottom = mlp(w.at("bottom"), flat(numbers))
    fields = np.concatenate([bottom[:, None], vectors], 1)
    if settings.get("interaction") == "cat":
        return logit_mlp(w.at("top"), flat(fields))
    return logit_mlp(w.at("top"), np.concatenate([bottom, products(fields)], 1))


def _beside_or_below(w: Weights, settings: Any, crossed: Array, e: Array) -> Array:
    """The logits of crosses beside a perceptron of the features, below a perceptron, or alone."""
    if settings["mlp"] is None:
        return logit(w.at("output"), crossed)
    if settings.get("structure") == "stacked":
        return logit(w.at("output"), mlp(w.at("mlp"), crossed))
    return logit(w.at("output"), np.concatenate([crossed, mlp(w.at("mlp"), e)], 1))


def dcn(w: Weights, settings: Any, vectors: Array) -> Array:
    e = x = flat(vectors)
    for i, layer in enumerate(w.of_each("weights")):
        x = e * (x @ layer["weight"][0])[:, None] + w.at("biases")[str(i)] + x
    return _beside_or_below(w, settings, x, e)


def dcnv2(w: Weights, settings: Any, vectors: Array) -> Array:
    e = x = flat(vectors)
    for layer in w.of_each("cross.layers"):
        x = e * linear(layer, x) + x
    return _beside_or_below(w, settings, x, e)


def gdcn(w: Weights, settings: Any, vectors: Array) -> Array:
    e = x = flat(vectors)
    for layer in w.of_each("crosses"):
        x = e * linear(layer.at("cross"), x) * sigmoid(x @ layer["gate.weight"].T) + x
    return _beside_or_below(w, settings, x, e)


def masknet(w: Weights, settings: Any, vectors: Array) -> Array:
    norms = w.of_each("norms")
    normed = [layer_norm(norm, vectors[:, f]) for f, norm in enumerate(norms)]
    e, x = flat(vectors), flat(np.stack(normed, 1) if norms else vectors)

    def block(w: Weights, x: Array) -> Array:
        mask = linear(w.at("mask.2"), relu(linear(w.at("mask.0"), e)))
        hidden = (mask * x) @ w["hidden.weight"].T
        return relu(layer_norm(w.at("norm"), hidden) if "norm.weight" in w else hidden)

    blocks = w.of_each("blocks")
    if settings.get("structure") == "serial":
        for own in blocks:
            x = block(own, x)
        return logit(w.at("output"), x)
    return logit_mlp(w.at("mlp"), np.concatenate([block(own, x) for own in blocks], 1))


def autoint(w: Weights, settings: Any, vectors: Array, *weights: Array) -> Array:
    own = settings["attention"]
    heads, residual = own.get("heads", 2), own.get("residual", "projection")
    act: Callable[[Array], Array] = relu if own.get("activation") else lambda x: x
    x = vectors
    for layer in w.of_each("layers"):
        query, key, value = (act(linear(layer.at(name), x)) for name in ("query", "key", "value"))
        attended = []
        for q, k, v in zip(*(np.split(all_heads, heads, axis=2) for all_heads in (query, key, value)), strict=True):
            scores = np.einsum("bid,bjd->bij", q, k) / (np.sqrt(q.shape[2]) if own.get("scale") else 1)
            shares = np.exp(scores - scores.max(2, keepdims=True))
            attended.append(np.einsum("bij,bjd->bid", shares / shares.sum(2, keepdims=True), v))
        z = np.concatenate(attended, 2)
        if residual == "projection" or (residual == "identity" and x.shape != z.shape):
            z = z + act(linear(layer.at("residual"), x))
        elif residual == "identity":
            z = z + x
        if own.get("norm") == "before":
            x = relu(layer_norm(layer.at("norm"), z))
        elif own.get("norm") == "after":
            x = layer_norm(layer.at("norm"), relu(z))
        else:
            x = relu(z)
    logits = logit(w.at("output"), flat(x))
    logits = logits + (logit_mlp(w.at("mlp"), flat(vectors)) if settings.get("mlp") else 0)
    return logits + (total(weights[0]) if settings.get("wide") else 0)


def finalmlp(w: Weights, settings: Any, vectors: Array, *contexts: Array) -> Array:
    e = flat(vectors)
    streams = [e, e]
    if settings["gates"] is not None:
        for s, (gate, context) in enumerate(zip(w.of_each("gates"), contexts, strict=True)):
            c = flat(context) if context.size else gate["bias"]
            streams[s] = 2 * sigmoid(linear(gate.at("output"), mlp(gate.at("mlp"), c))) * e
    o1, o2 = mlp(w.at("mlp1"), streams[0]), mlp(w.at("mlp2"), streams[1])
    fusion = w.at("fusion")
    logits = logit(fusion.at("linear1"), o1) + logit(fusion.at("linear2"), o2)
    heads = settings.get("heads", 1)
    for j, (first, second) in enumerate(zip(np.split(o1, heads, axis=1), np.split(o2, heads, axis=1), strict=True)):
        logits = logits + np.einsum("bi,ij,bj->b", first, fusion["weight"][j], second)
    return logits


def finalnet_blocks(w: Weights, settings: Any, vectors: Array) -> list[Array]:
    """The logits of each block."""
    gated = vectors
    if settings.get("field_gate"):
        gates = np.einsum("fg,bgd->bfd", w["gate.gate.weight"], vectors) + w["gate.gate.bias"][:, None]
        gated = np.concatenate([vectors, vectors * gates], 1)

    def block(w: Weights, own: Any, x: Array) -> Array:
        norms = w.of_each("after")
        for i, layer in enumerate(w.of_each("layers")):
            h2, h1 = np.split(linear(layer, x), 2, axis=1)
            x = np.concatenate([h2, h1 * h2], 1)
            x = batch_norm(norms[i].at("0"), x) if own.get("batch_norm", True) else x
            x = relu(x) if own.get("activation", "relu") == "relu" else x
        return logit(w.at("output"), x)

    logits = [block(w.at("block1"), settings["block1"], flat(gated))]
    return logits + ([block(w.at("block2"), settings["block2"], flat(vectors))] if settings["block2"] else [])


def finalnet(w: Weights, settings: Any, vectors: Array) -> Array:
    blocks = finalnet_blocks(w, settings, vectors)
    return total(np.stack(blocks, 1)) / len(blocks)


def qnn(w: Weights, settings: Any, vectors: Array) -> Array:
    x = flat(vectors)
    for layer in w.of_each("layers"):
        h = linear(layer.at("linear"), x)
        h = relu(batch_norm(layer.at("norm"), h) if settings.get("batch_norm", True) else h)
        x = x + sum(x * row for row in np.split(h, settings["rows"], axis=1))
    return logit(w.at("output"), x)


def generated(w: Weights, settings: Any, vectors: Array) -> Array:
    """The fields that FGCNN generates of ``[B, F, d]``."""
    x, made = vectors[:, None], []  # [B, channels, height, d]
    pool = settings.get("pool", 2)
    for block, recombination in enumerate(w.of_each("recombinations")):
        convolution = w.at(f"convolutions.{block}")
        kernel, height = convolution["weight"].shape[2], x.shape[2]
        padded = np.pad(x, [(0, 0), (0, 0), (kernel // 2, kernel // 2), (0, 0)])
        windows = [
            np.einsum("bikd,oik->bod", padded[:, :, row : row + kernel], convolution["weight"][..., 0])
            for row in range(height)
        ]
        x = np.stack(windows, 2) + convolution["bias"][:, None, None]
        x = np.tanh(batch_norm(w.at(f"norms.{block}"), x) if settings.get("batch_norm", True) else x)
        rows = range(0, height, pool) if settings.get("pooling") != "floor" else range(0, height - pool + 1, pool)
        x = np.stack([x[:, :, row : row + pool].max(2) for row in rows], 2)
        made.append(np.tanh(linear(recombination, flat(x))).reshape(len(x), -1, x.shape[3]))
    return np.concatenate(made, 1)


def fgcnn(w: Weights, settings: Any, vectors: Array, *scopes: Array) -> Array:
    shared = settings.get("share_embedding", False)
    others, source = (scopes, vectors) if shared else (scopes[:-1], scopes[-1])
    fields = np.concatenate([vectors, generated(w.at("generation"), settings["generation"], source)], 1)
    own = settings["classifier"]
    return REFERENCES[own["name"]](w.at("classifier"), own, fields, *others)


REFERENCES: dict[str, Callable[..., Array]] = {
    "autoint": autoint, "dcn": dcn, "dcnv2": dcnv2, "deepfm": deepfm, "dlrm": dlrm, "dualmlp": dualmlp, "fgcnn": fgcnn,
    "finalmlp": finalmlp, "finalnet": finalnet, "fm": fm, "gdcn": gdcn, "ipnn": ipnn, "lr": lr, "masknet": masknet,
    "qnn": qnn, "wide_deep": wide_deep, "xdeepfm": xdeepfm,
}  # fmt: skip
"""By the ranker's name. Each takes weights, settings, and each scope's fields ``[B, F, d]``; weights have d = 1."""
