"""A lookup for scoring alone whose table has 2 bytes a number, or 1 and 4 a row, instead of 4; by fbgemm.

int8 rows keep a scale and an offset of their own (float16 each): x is about offset + scale q with q in 0..255, so the
error is at most half a scale, a 510th of the row's range, besides the rounding of scale and offset. fbgemm wants widths
divisible by four: other rows are padded.

Shapes: B batch, S slots, D width of a row, P padded width, R rows, M addressed values.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from common.errors import ConfigError
from common.quiet import quiet_import
from kernels.lookup.bags import Bags
from kernels.lookup.interface import Lookup

TablePrecision = Literal["fp32", "fp16", "int8"]

_CHUNK = 65_536  # rows that are converted at once: no second table is ever held


class QuantizedLookup(Lookup):
    """A trained lookup's rows in fewer bits; it scores and does not train.

    Args:
        lookup: The trained lookup, on the CPU or a GPU; it is only read.
        precision: Of the rows.
    """

    def __init__(self, lookup: Lookup, precision: Literal["fp16", "int8"]) -> None:
        super().__init__(lookup.layout, None)
        with quiet_import():
            from fbgemm_gpu.split_embedding_configs import SparseType
            from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
            from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen

        self.precision = precision
        rows, dim = lookup.layout.rows, lookup.layout.dim
        kind = SparseType.INT8 if precision == "int8" else SparseType.FP16
        self.padded = -(-dim // kind.align_size()) * kind.align_size()
        device = lookup.table.device
        place = EmbeddingLocation.HOST if device.type == "cpu" else EmbeddingLocation.DEVICE
        embedding = IntNBitTableBatchedEmbeddingBagsCodegen(
            # One feature to fbgemm: the slots' bags follow one another, and a value alone is a bag too.
            [("table", rows, self.padded, kind, place)],
            pooling_mode=PoolingMode.SUM,
            device=device,
            output_dtype=SparseType.FP32,
        )
        embedding.initialize_weights()
        self._rows, self._scales = embedding.split_embedding_weights()[0]
        for start in range(0, rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            self._write(part, lookup.table.detach()[part])
        # Kept out of the module tree: its own state names are not ours.
        self._embedding = (embedding,)

    def _write(self, part: slice, rows_CD: Tensor) -> None:
        """Convert the rows of a chunk."""
        padded_CP = torch.nn.functional.pad(rows_CD, (0, self.padded - rows_CD.shape[1]))
        if self._scales is None:
            self._rows[part] = padded_CP.half().view(torch.uint8)
            return
        offset_C1 = rows_CD.amin(1, keepdim=True).half()
        span_C1 = rows_CD.amax(1, keepdim=True) - offset_C1.float()
        # Never zero: a row of equal numbers has no span. Rounding down would cut the largest numbers off.
        scale_C1 = torch.nextafter(
            (span_C1 / 255).half(), torch.tensor(torch.inf, dtype=torch.half, device=span_C1.device)
        )
        steps_CP = ((padded_CP - offset_C1.float()) / scale_C1.float()).round().clamp(0, 255)
        self._rows[part] = steps_CP.to(torch.uint8)
        self._scales[part] = torch.cat([scale_C1, offset_C1], 1).view(torch.uint8)

    @property
    def table(self) -> Tensor:
        """The rows as float32 ``[R, D]``: a copy, for this table is not to be written to."""
        if self._scales is None:
            table_RP: Tensor = self._rows.view(torch.half).float()
        else:
            scale_R1, offset_R1 = self._scales.contiguous().view(torch.half).float().split(1, dim=1)
            table_RP = self._rows.float() * scale_R1 + offset_R1
        return table_RP[:, : self.layout.dim]

    @property
    def state(self) -> Mapping[str, Tensor]:
        """Nothing: there is no optimiser."""
        return {}

    @property
    def learning_rate(self) -> float:
        """Zero: there is no optimiser."""
        return 0.0

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        raise ConfigError(f"a table in {self.precision} is for scoring and cannot be trained")

    @property
    def updates(self) -> int:
        """Zero: there is no optimiser."""
        return 0

    @updates.setter
    def updates(self, value: int) -> None:
        raise ConfigError(f"a table in {self.precision} is for scoring and cannot be trained")

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, scales and offsets included."""
        return sum(part.numel() for part in (self._rows, self._scales) if part is not None)

    def _look_up(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None, *, pooled: bool) -> Tensor:
        addressed = Bags(values, offsets, weights, self.layout.keys).address(self._slots)
        bounds = addressed.offsets
        if bounds is None or not pooled:
            bounds = torch.arange(addressed.rows.numel() + 1, device=values.device)
        found: Tensor = self._embedding[0](
            addressed.rows.int(), bounds.int(), addressed.weights if pooled else None
        )  # [bags, P]
        found = found[:, : self.layout.dim]
        return found.unflatten(0, (len(self.layout.slots), -1)).transpose(0, 1).contiguous() if pooled else found
