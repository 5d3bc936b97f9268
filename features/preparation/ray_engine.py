"""The work on parts as Ray Data, over the machines of a cluster or the processes of this one."""

import logging
import os
import pickle
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any

from common.errors import ConfigError, InstallError, PlexrankError
from features.preparation.engine import Job, Result
from features.preparation.plan import Part

_PATIENCE = 10.0  # seconds
_MEND = "mend RAY_ADDRESS, or use --engine local"


class RayEngine:
    """Ray Data: the same functions as everywhere, a task a part.

    With the variable ``RAY_ADDRESS`` set, the tasks run on that cluster: each of its machines has plexrank installed
    and sees the raw files and the output under the same paths. Without it, a Ray of this machine alone is started.

    Args:
        workers: Parts in work at once; by default as many as there are cores.

    Raises:
        InstallError: Ray is not installed.
        ConfigError: The cluster cannot be reached.
    """

    def __init__(self, workers: int | None = None) -> None:
        # Ray reads these when it is imported: nothing is reported to anybody.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            import ray.data
        except ImportError:
            raise InstallError("--engine ray needs Ray; install plexrank[ray], or use --engine local") from None
        self._workers = workers
        if ray.is_initialized():
            return
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        quiet: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            # A task has one core; polars would take all of the machine's in each.
            "runtime_env": {"env_vars": {"POLARS_MAX_THREADS": "1"}},
        }
        try:
            if address := os.environ.get("RAY_ADDRESS"):
                _reach(address)
                ray.init(**quiet)
            else:
                ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0]
            raise ConfigError(f"Ray cannot be reached: {reason}; {_MEND}") from None

    def map(self, function: Callable[[Job, Part], Result], job: Job, parts: Sequence[Part]) -> Generator[Result]:
        """See :class:`features.preparation.engine.Engine`."""
        import ray

        if not parts:
            return
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        shared = ray.put(job)

        def work(row: dict[str, bytes]) -> dict[str, bytes]:
            outcome: Result | PlexrankError
            try:
                outcome = function(ray.get(shared), pickle.loads(row["part"]))
            except PlexrankError as problem:  # Ray would wrap it in its own
                outcome = problem
            return {"outcome": pickle.dumps(outcome)}

        rows = [{"part": pickle.dumps(part)} for part in parts]
        tasks = ray.data.from_items(rows, override_num_blocks=len(rows)).map(work, concurrency=self._workers)
        for row in tasks.iter_rows():
            outcome = pickle.loads(row["outcome"])
            if isinstance(outcome, PlexrankError):
                raise outcome
            yield outcome


def _reach(address: str) -> None:
    """Refuse a cluster that does not answer: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in host:
        return  # a name of Ray's, or an address of another protocol
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as problem:
        raise ConfigError(f"no Ray cluster answers at RAY_ADDRESS {address}: {problem}; {_MEND}") from None
