"""What a run takes of its machine: decisions, their reasons, refusals, and that they change speed, not quality."""

import os
from pathlib import Path

import pytest
import torch

from common.errors import ConfigError
from tests.training.conftest import MakeRun
from training.loop import train
from training.machine import Machine, MachineSettings, compiler, usable_cores


def choose(steps: int = 10**6, **settings: object) -> Machine:
    chosen = MachineSettings.model_validate(settings)
    return Machine.choose(chosen, chosen.place(), steps=steps)


def test_each_decision_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    machine = choose()
    assert [reason.split(" ")[0] for reason in machine.reasons] == ["device", "precision", "compile", "threads"]
    assert machine.threads == usable_cores() <= (os.cpu_count() or 1)
    assert f"precision {machine.precision}: " in machine.reasons[1]
    assert choose(threads=3).threads == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose().threads == torch.get_num_threads()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "10000")
    assert choose().threads == 1


def test_bf16_is_taken_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for unit, expected in (("amx_bf16", "bf16"), ("avx512_bf16", "bf16"), ("avx2", "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda unit=unit: {unit: True})
        assert choose().precision == expected
        assert choose(precision="fp32").precision == "fp32"
        assert choose(precision="bf16").precision == "bf16"


def test_it_compiles_long_runs_where_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tool = tmp_path / "g++"
    tool.write_text("")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    if compiler() is None:
        pytest.skip("Python's headers are not installed")
    assert choose(steps=10**6).compile
    short = choose(steps=10)
    assert not short.compile
    assert short.reasons[2] == "compile off: 10 steps are too few to win back the time it takes"
    assert choose(steps=10, compile=True).compile
    assert not choose(compile=False).compile
    tool.unlink()
    without = choose()
    assert not without.compile
    assert "no C++ compiler" in without.reasons[2]
    with pytest.raises(ConfigError, match="no C\\+\\+ compiler"):
        choose(compile=True)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        choose(device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler with Python's headers")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compilation_and_bf16_learn_as_well(make_run: MakeRun, tmp_path: Path, precision: str) -> None:
    reached = {}
    for name, machine in (
        ("plain", {"precision": "fp32", "compile": False}),
        ("fast", {"precision": precision, "compile": True}),
    ):
        run = make_run(
            training={"batch_size": 128, "epochs": 12},
            machine=machine,
            output=str(tmp_path / name),
            model={"mlp1": {"hidden": [16], "batch_norm": True}},
        )
        torch._dynamo.utils.counters.clear()
        reached[name] = train(run).reports["test"].metric("auc").value
        assert (torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0) == (name == "fast")
    assert reached["fast"] == pytest.approx(reached["plain"], abs=0.01)
