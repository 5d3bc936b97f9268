"""A tensor of which a process holds pieces, the other processes the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType

BLOCK_BYTES = 2**26
"""Pieces are moved in blocks of about this size, so that moving them takes no second copy of the table."""


@dataclass(frozen=True)
class Piece:
    """A rectangle of a tensor.

    Attributes:
        offset: Where it begins, an index a dimension.
        tensor: Its numbers, the live storage.
    """

    offset: tuple[int, ...]
    tensor: Tensor

    @property
    def span(self) -> tuple[slice, ...]:
        """Where in the whole it lies."""
        return tuple(slice(at, at + size) for at, size in zip(self.offset, self.tensor.shape, strict=True))

    def blocks(self) -> Iterator["Piece"]:
        """The piece in blocks of rows, of at most ``BLOCK_BYTES`` where a row is not larger."""
        rows = max(1, BLOCK_BYTES // max(1, self.tensor[:1].nbytes))
        first, *rest = self.offset
        for start in range(0, self.tensor.shape[0], rows):
            yield Piece((first + start, *rest), self.tensor[start : start + rows])


class Pieces(Tensor):
    """The pieces of a tensor that this process holds, under the shape of the whole.

    ``copy_`` of a whole takes what belongs to the pieces; all else that needs the numbers is refused, as they are not
    here. ``torch.distributed.checkpoint`` saves it, and loads it from any other cut, by the three methods at its end.

    Args:
        shape: Of the whole.
        pieces: What this process holds of it.
    """

    pieces: tuple[Piece, ...]

    @staticmethod
    def __new__(cls, shape: Sequence[int], pieces: Sequence[Piece]) -> "Pieces":
        """Give the whole's shape to a tensor without storage."""
        made: Pieces = torch.Tensor._make_wrapper_subclass(cls, torch.Size(shape), dtype=torch.float32)
        made.pieces = tuple(pieces)
        return made

    def blocks(self) -> Iterator[Piece]:
        """All pieces, block by block."""
        for piece in self.pieces:
            yield from piece.blocks()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operator: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        own = arguments[0]
        if operator is torch.ops.aten.detach.default:
            return own
        if operator is torch.ops.aten.copy_.default and isinstance(own, Pieces):
            for piece in own.pieces:
                piece.tensor.copy_(arguments[1][piece.span])
            return own
        raise NotImplementedError(f"{operator} needs a whole tensor, and this process holds pieces of it")

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Pieces({list(self.shape)}, {len(self.pieces)} here)"

    def __create_write_items__(self, name: str, _: object) -> list[WriteItem]:
        return [
            WriteItem(
                index=MetadataIndex(name, torch.Size(block.offset)),
                type=WriteItemType.SHARD,
                tensor_data=TensorWriteData(
                    chunk=_chunk(block), properties=TensorProperties(dtype=torch.float32), size=self.shape
                ),
            )
            for block in self.blocks()
        ]

    def __create_chunk_list__(self) -> list[ChunkStorageMetadata]:
        return [_chunk(block) for block in self.blocks()]

    def __get_tensor_shard__(self, index: MetadataIndex) -> Tensor:
        return next(block.tensor for block in self.blocks() if torch.Size(block.offset) == index.offset)


def _chunk(block: Piece) -> ChunkStorageMetadata:
    return ChunkStorageMetadata(offsets=torch.Size(block.offset), sizes=block.tensor.shape)
