"""plexrank doctor: what this machine and this installation can do."""

import json
import platform
from typing import Annotated, Any

import typer
from rich.markup import escape

from commands._console import console, table


def doctor(
    json_: Annotated[bool, typer.Option("--json", help="Print the findings as json.")] = False,
) -> None:
    """Say what plexrank would use here and why, with versions and devices; exits with 1 if something is broken.

    Every lookup backend that can run here is tried on a small table and compared with the reference.

    Example: plexrank doctor
    """
    from common.errors import InstallError
    from common.versions import check_versions

    findings: dict[str, dict[str, str]] = {"versions": _versions()}
    problems = []
    try:
        check_versions()
        findings["versions"]["fit"] = "torch, torchrec and fbgemm are the tested versions"
    except InstallError as mismatch:
        problems.append(str(mismatch))
    for title, find in (("machine", _machine), ("training", _training), ("lookup", _lookup)):
        try:
            findings[title] = find(problems)
        except (ImportError, OSError) as failure:  # a library that does not load is what this command is for
            problems.append(f"{title}: {failure}")
    document: dict[str, Any] = {**findings, "problems": problems}
    if json_:
        print(json.dumps(document, indent=2))
    else:
        for title, lines in findings.items():
            rows = [[key, escape(value)] for key, value in lines.items()]
            console.print(table(title, ("what", "finding"), rows, numbers=False))
        for problem in problems:
            console.print(f"[bold red]problem:[/] {escape(problem)}", highlight=False)
        console.print("Nothing is wrong." if not problems else f"{len(problems)} to mend.")
    if problems:
        raise typer.Exit(1)


def _versions() -> dict[str, str]:
    from common.versions import installed, plexrank_version

    names = ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu", "triton", "polars", "numpy")
    found = {name: version for name in names if (version := installed(name))}
    return {"plexrank": plexrank_version(), "Python": platform.python_version(), **found}


def _machine(problems: list[str]) -> dict[str, str]:
    import torch

    from kernels.lookup.memory import free_memory
    from training.machine import compiler, usable_cores

    capabilities = torch.cpu.get_capabilities()
    units = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "arm_bf16") if capabilities.get(name)]
    lines = {
        "CPU": f"{capabilities.get('cpu_name', platform.processor())}, {usable_cores()} cores for this process",
        "CPU units": ", ".join(units) or "none of those that matter here",
        "free memory": f"{free_memory(torch.device('cpu')) / 1e9:,.1f} GB",
        "C++ compiler": compiler() or "none with Python's headers; torch.compile cannot run on the CPU",
    }
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        lines[f"GPU {number}"] = f"{properties.name}, {properties.total_memory / 1e9:,.1f} GB"
    return lines if torch.cuda.device_count() else {**lines, "GPU": "torch sees none"}


def _training(problems: list[str]) -> dict[str, str]:
    from training.machine import Machine, MachineSettings

    reasons = Machine.choose(MachineSettings(), MachineSettings().place(), steps=10**6).reasons
    return dict(reason.split(": ", 1) for reason in reasons)


def _lookup(problems: list[str]) -> dict[str, str]:
    """Which backend ``auto`` takes for each rule, and whether each backend works."""
    import typing

    import torch

    from common.errors import ConfigError
    from kernels.lookup.dispatch import choose
    from kernels.lookup.kernels import KernelName
    from kernels.lookup.layout import OptimizerKind

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lines = {}
    for kind in (*typing.get_args(OptimizerKind), None):
        choice = choose(device, kind)
        lines[f"auto, {kind or 'dense gradient'}"] = f"{choice.backend}: {choice.reason}"
    for backend in typing.get_args(KernelName):
        try:
            choose(device, "rowwise_adagrad", backend)
        except ConfigError as reason:
            lines[backend] = f"cannot run here: {reason}"
            continue
        difference = _difference(backend, device)
        lines[backend] = f"works (a step differs from the reference by {difference:.1g})"
        if not difference < 1e-4:
            problems.append(f"backend {backend} differs from the reference by {difference:.1g} after one step")
    return lines


def _difference(backend: Any, device: Any) -> float:
    """How far a step on a small table is from the reference's, at most."""
    import torch

    from kernels.addressing import Slot
    from kernels.lookup.dispatch import build_lookup
    from kernels.lookup.layout import TableLayout, TableOptimizer

    slots = tuple(Slot(key=key, seed=key, base=0, rows=64, mixed=True) for key in range(2))
    layout = TableLayout(keys=2, slots=slots, rows=64, dim=8)
    tables = []
    for name in ("reference", backend):
        lookup = build_lookup(layout, TableOptimizer(), backend=name, device=device)
        with torch.no_grad():
            lookup.table.copy_(torch.linspace(-1, 1, lookup.table.numel()).view_as(lookup.table))
        lookup(torch.arange(32, device=device)).square().sum().backward()
        tables.append(lookup.table)
    return float((tables[0] - tables[1]).abs().max())
