"""The sides of benchmarks.lookup: plexrank's backends and their peers, on one table's content and one batch of ids.

Shapes: B batch, S slots, D width of a row, R rows.
"""

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from common.quiet import quiet_import
from kernels.addressing import Slot, rows_torch, slot_tensor
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.layout import TableLayout, TableOptimizer

SLOTS = 26
RATE = 0.01
NOTES = [
    "reference, fbgemm (on a CPU) and triton are plexrank's backends: hashing and addressing are in the time measured.",
    "EmbeddingBag is torch's nn.EmbeddingBag with a sparse gradient and torch.optim.Adagrad: a sum a number,",
    "not a row; fbgemm on a GPU is SplitTableBatchedEmbeddingBagsCodegen. Both are given rows, not tokens.",
]


@dataclass(frozen=True)
class Ids:
    """A batch of ids.

    Attributes:
        law: How they were drawn.
        tokens: int64 ``[S * B]``, slot-major.
        rows: int64 ``[S * B]``, what they address.
        batch: B.
        distinct: Distinct rows among ``rows``.
    """

    law: str
    tokens: Tensor
    rows: Tensor
    batch: int
    distinct: int

    @classmethod
    def draw(
        cls, law: Literal["uniform", "Zipf"], exponent: float, rows: int, batch: int, device: torch.device
    ) -> "Ids":
        draws, shape = np.random.default_rng(batch), (SLOTS, batch)
        drawn = draws.integers(2**62, size=shape) if law == "uniform" else draws.zipf(exponent, size=shape)
        tokens = torch.from_numpy(drawn).to(device)  # [S, B]
        addressed = rows_torch(tokens, slot_tensor(layout(rows, 1).slots).to(device)[:, None])
        return cls(law, tokens.flatten(), addressed.flatten(), batch, addressed.unique().numel())


def layout(rows: int, width: int) -> TableLayout:
    slots = tuple(Slot(key=i, seed=i, base=0, rows=rows, mixed=True) for i in range(SLOTS))
    return TableLayout(keys=SLOTS, slots=slots, rows=rows, dim=width)


class Side(ABC):
    """A lookup under test.

    Attributes:
        name: In the report.
        table: ``[R, D]``.
    """

    name: str
    table: Tensor

    @abstractmethod
    def forward(self, ids: Ids) -> Tensor:
        """The rows, ``[B, S, D]``."""

    def backward(self, output: Tensor, grad: Tensor) -> None:
        """The backward pass and one step of the optimiser."""
        output.backward(grad)

    def restore(self) -> None:
        """Fill the table with what every side begins a case with."""
        with torch.no_grad():
            self.table.normal_(generator=torch.Generator(self.table.device).manual_seed(0))


class Backend(Side):
    """One of plexrank's."""

    def __init__(self, name: Literal["reference", "fbgemm", "triton"], rows: int, width: int, device: torch.device):
        self.name = name
        optimizer = TableOptimizer(learning_rate=RATE)
        self._lookup = build_lookup(layout(rows, width), optimizer, backend=name, device=device)
        self.table = self._lookup.table

    def forward(self, ids: Ids) -> Tensor:
        found: Tensor = self._lookup(ids.tokens)
        return found


class EmbeddingBag(Side):
    """torch's own, with its sparse gradient."""

    name = "EmbeddingBag"

    def __init__(self, rows: int, width: int) -> None:
        self._bag = nn.EmbeddingBag(rows, width, mode="sum", sparse=True)
        self._optimizer = torch.optim.Adagrad(self._bag.parameters(), lr=RATE)
        self.table = self._bag.weight

    def forward(self, ids: Ids) -> Tensor:
        by_batch = ids.rows.view(SLOTS, -1).T  # [B, S]
        found: Tensor = self._bag(by_batch.reshape(-1, 1)).view(*by_batch.shape, -1)
        return found

    def backward(self, output: Tensor, grad: Tensor) -> None:
        output.backward(grad)
        self._optimizer.step()
        self._optimizer.zero_grad()


class Fbgemm(Side):
    """fbgemm's table-batched embedding, straight from fbgemm."""

    name = "fbgemm"

    def __init__(self, rows: int, width: int) -> None:
        with quiet_import():
            from fbgemm_gpu.split_embedding_configs import EmbOptimType
            from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
            from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
                ComputeDevice,
                SplitTableBatchedEmbeddingBagsCodegen,
            )
        self._embedding: Any = SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, width, EmbeddingLocation.DEVICE, ComputeDevice.CUDA)],
            feature_table_map=[0] * SLOTS,
            optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            learning_rate=RATE,
            eps=1e-8,
            device=torch.device("cuda", torch.cuda.current_device()),
        )
        self.table = self._embedding.split_embedding_weights()[0]
        self._offsets: dict[int, Tensor] = {}

    def forward(self, ids: Ids) -> Tensor:
        count = ids.rows.numel()
        if count not in self._offsets:
            self._offsets[count] = torch.arange(count + 1, device=ids.rows.device)
        found: Tensor = self._embedding(ids.rows, self._offsets[count]).view(ids.batch, SLOTS, -1)
        return found


def build(rows: int, width: int, device: torch.device) -> tuple[list[Side], list[str]]:
    """The sides that run here, the reference first, and a sentence for each that does not."""
    sides: list[Side] = [Backend("reference", rows, width, device)]
    missing = [f"{name} is not installed here." for name in ("fbgemm", "triton") if not _installed(name)]
    if device.type == "cpu":
        sides.append(EmbeddingBag(rows, width))
        if _installed("fbgemm"):
            sides.append(Backend("fbgemm", rows, width, device))
    else:
        if _installed("fbgemm"):
            sides.append(Fbgemm(rows, width))
        if _installed("triton"):
            sides.append(Backend("triton", rows, width, device))
    for side in sides:
        side.restore()
    return sides, missing


def _installed(name: str) -> bool:
    return importlib.util.find_spec({"fbgemm": "fbgemm_gpu"}.get(name, name)) is not None
