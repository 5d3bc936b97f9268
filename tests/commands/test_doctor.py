"""plexrank doctor: what it finds here, and that it finds what is broken."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from common import versions
from kernels.lookup.fbgemm import FbgemmKernels
from tests.commands.conftest import Plexrank


def test_it_says_what_is_used_and_why(plexrank: Plexrank) -> None:
    result = plexrank("doctor", "--json")
    assert result.code == 0, result.out
    found = json.loads(result.out)
    assert found["problems"] == []
    assert found["versions"]["torch"] == torch.__version__
    assert "tested versions" in found["versions"]["fit"]
    assert found["lookup"]["reference"].startswith("works")
    if not torch.cuda.is_available():
        assert found["lookup"]["auto, rowwise_adagrad"].startswith("fbgemm: ")
        assert found["lookup"]["fbgemm"].startswith("works")
        assert found["machine"]["GPU"] == "torch sees none"
    assert any(key.startswith("precision ") for key in found["training"])
    shown = plexrank("doctor")
    assert shown.code == 0
    assert "Nothing is wrong." in shown.out


def test_it_names_versions_that_do_not_fit(plexrank: Plexrank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "TORCHREC", "1.7.0")
    result = plexrank("doctor", "--json")
    assert result.code == 1
    (problem,) = json.loads(result.out)["problems"]
    assert problem.startswith(f"torch {torch.__version__} and torchrec 1.8.0 do not fit")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the fbgemm backend is another one on a GPU")
def test_it_tries_the_backends(plexrank: Plexrank, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: FbgemmKernels, table: Tensor, states: Sequence[Tensor], *rest: Any, **options: Any) -> None:
        """An update that does nothing, as a mismatched library might."""

    monkeypatch.setattr(FbgemmKernels, "update", forgets)
    result = plexrank("doctor", "--json")
    assert result.code == 1
    assert json.loads(result.out)["problems"][0].startswith("backend fbgemm differs from the reference by ")
