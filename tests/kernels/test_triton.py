"""The Triton backend's own: rows to the bit, segments over many chunks, and that its kernels compile for a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from kernels.addressing import MAX_ROWS, Slot, slot_tensor
from kernels.lookup.bags import Bags
from kernels.lookup.dispatch import choose
from kernels.lookup.reference import ReferenceKernels

triton = pytest.importorskip("triton", exc_type=ModuleNotFoundError)

from kernels.lookup.triton import update  # noqa: E402
from kernels.lookup.triton.addressing import address  # noqa: E402
from kernels.lookup.triton.backend import TritonKernels  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(
    tokens=st.lists(INT64, min_size=1, max_size=20),
    seed=st.integers(0, 2**64 - 1),
    base=st.integers(0, 2**30),
    rows=st.one_of(st.integers(1, 5), st.integers(1, MAX_ROWS - 2**30)),
    mixed=st.booleans(),
)
def test_rows_are_those_of_the_definition_to_the_bit(
    tokens: list[int], seed: int, base: int, rows: int, mixed: bool
) -> None:
    slots = slot_tensor([Slot(key=0, seed=seed, base=base, rows=rows, mixed=mixed)]).to(DEVICE)
    for offsets in (None, torch.tensor([0, len(tokens)], device=DEVICE)):
        bags = Bags(torch.tensor(tokens, device=DEVICE), offsets, None, 1)
        found = address(bags, slots, MAX_ROWS, pooled=True).rows
        assert torch.equal(found.long(), bags.address(slots).rows)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("tokens", ["one token", "two tokens", "runs", "all different"])
def test_segments_that_span_chunks(tokens: str, pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two lines a tile, at most eleven chunks: segments begin, end and go on at every place of a tile and of a chunk.
    monkeypatch.setattr(update, "TILE", 4)
    monkeypatch.setattr(update, "_CHUNKS", 11)
    slots = slot_tensor([Slot(key=0, seed=0, base=0, rows=99, mixed=False)]).to(DEVICE)
    for count in (1, 2, 3, 44, 45, 97):
        number = torch.arange(count)
        values = {"one token": number * 0, "two tokens": number % 2, "runs": number // 5, "all different": number}
        bags = Bags(values[tokens].to(DEVICE), None, None, 1)
        grad = torch.randn(count, 2, generator=torch.Generator().manual_seed(count)).to(DEVICE)
        shaped = grad.view(count, 1, 2) if pooled else grad
        found = TritonKernels().gradient(shaped, 99, bags, slots, pooled=pooled)
        expected = ReferenceKernels().gradient(shaped, 99, bags, slots, pooled=pooled)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_tensors_need_not_be_contiguous() -> None:
    slots = slot_tensor([Slot(key=0, seed=5, base=0, rows=9, mixed=True)]).to(DEVICE)
    table = torch.randn(9, 4, device=DEVICE)
    bags = Bags(torch.arange(12, device=DEVICE)[::2], torch.arange(7, device=DEVICE).repeat_interleave(2)[::2], None, 1)
    found = TritonKernels().forward(table, bags, slots, pooled=True)
    torch.testing.assert_close(found, ReferenceKernels().forward(table, bags, slots, pooled=True))


def test_it_is_refused_without_gpu_and_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        choose(torch.device("cpu"), "sgd", "triton")


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    """The interpreter takes what the compiler refuses."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.compile_triton"],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["_address", "_gather", "_join", "_pool", "_reduce"]
