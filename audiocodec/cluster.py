"""Tasks on a Ray cluster, or on one that is started on this machine: any function, results as they come."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from audiocodec.errors import InputError, require
from audiocodec.work import WorkerLost

T = TypeVar("T")

RETRIES = 3
"""Ray does a task again when its worker or machine dies."""


USUAL_PRIORITY = ("RAY_worker_niceness", "0")
"""Workers of this machine are no less important than the processes of `--jobs`; Ray's own value is 15."""


class Cluster(Generic[T]):
    """A connection to Ray; a context manager. Files must be readable by the same path on every machine.

    A task whose worker dies is done again, up to RETRIES times, and gives one result.
    """

    def __init__(self, address: str | None = None, num_cpus: int | None = None) -> None:
        """Connect to `address`; None: RAY_ADDRESS, else a cluster of this machine with `num_cpus` workers."""
        self.address, self.num_cpus = address, num_cpus
        self._waiting: dict[Any, T] = {}

    def __enter__(self) -> Cluster[T]:
        """Connect.

        Raises:
            MissingPackageError: ray is not installed.
            InputError: the cluster cannot be reached.
        """
        self._ray = ray = require_ray()
        self._mine = not ray.is_initialized()
        if self._mine:
            local: dict[str, Any] = {} if self.address else {"num_cpus": self.num_cpus}
            os.environ.setdefault(*USUAL_PRIORITY)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(self.address, log_to_driver=False, logging_level="ERROR", **local)
            except Exception as error:  # Ray raises bare exceptions, too
                where = "on this machine" if self.address is None else f"at {self.address}"
                raise InputError(f"no Ray cluster {where}: {' '.join(str(error).split())}") from error
        self._call = ray.remote(num_cpus=1, max_retries=RETRIES)(call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self._ray.shutdown()

    def __len__(self) -> int:
        """Tasks that wait or run."""
        return len(self._waiting)

    @property
    def slots(self) -> int:
        """Tasks that can run at once."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def share(self, value: Any) -> Any:
        """Put a large argument where every task can read it; give what comes back to `submit`."""
        return self._ray.put(value)

    def submit(self, tag: T, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a task; `function` must be importable by name on every machine."""
        self._waiting[self._call.remote(function, *arguments)] = tag

    def next(self) -> tuple[T, Any | WorkerLost]:
        """Wait for any task to end; gives its tag and its result."""
        done, _ = self._ray.wait(list(self._waiting), num_returns=1)
        tag = self._waiting.pop(done[0])
        try:
            return tag, self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            return tag, WorkerLost(" ".join(str(error).split())[:300])


def call(function: Callable[..., T], *arguments: Any) -> T:
    """What a worker of the cluster does."""
    return function(*arguments)


def require_ray() -> Any:
    """Import ray.

    Raises:
        MissingPackageError: it is not installed.
    """
    return require("ray", "a cluster", "'audiocodec[ray]'")
