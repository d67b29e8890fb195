"""Calls on the workers of a dask.distributed cluster, and their results as they finish.

If a worker dies, another one repeats its call. A scheduler without workers is reported, and ends
the work after a while.
"""

import math
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from spatioformer.common.errors import OutputError
from spatioformer.common.progress import SILENT, Console

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2  # calls submitted for each worker thread
REFRESH = 5  # seconds between two counts of the workers
PAUSE = 1.0  # seconds to wait for a result before the workers are counted
ANSWER = 20  # seconds to wait for a result to be transferred
PATIENCE = 20  # seconds to wait for the scheduler
NOTICE = 10  # seconds without a worker after which the console says so
WORKER_TIMEOUT = 120.0  # seconds without a worker after which the work ends
NO_DASK = "--scheduler needs Dask, which is not installed; pip install 'spatioformer[dask]'"

Key = TypeVar("Key", bound=Hashable)


@contextmanager
def connected(
    address: str,
    part: str,
    *,
    worker_timeout: float | None = None,
    remedy: str = "",
    console: Console = SILENT,
) -> "Iterator[Cluster]":
    """Connect to a scheduler.

    Args:
        address: such as tcp://127.0.0.1:8786.
        part: what a call computes, for messages: "tile", "window".
        worker_timeout: seconds to wait while the scheduler has no worker; None: WORKER_TIMEOUT.
        remedy: end of the message that there is no worker.

    Raises:
        OutputError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise OutputError(NO_DASK) from error
    try:
        client = Client(  # type: ignore[no-untyped-call]
            address, timeout=PATIENCE, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise OutputError(
            f"no Dask scheduler answers at {address}; start one with `dask scheduler`, or correct "
            "--scheduler"
        ) from error
    timeout = WORKER_TIMEOUT if worker_timeout is None else worker_timeout
    with closing(client):
        yield Cluster(client, address, part, timeout, remedy, console)


class Cluster:
    """A connection to a scheduler; made by `connected`."""

    def __init__(
        self,
        client: "Client",
        address: str,
        part: str,
        timeout: float,
        remedy: str,
        console: Console,
    ):
        self._client, self._address, self._part = client, address, part
        self._timeout, self._remedy, self._console = timeout, remedy, console
        self._threads, self._counted = 0, -math.inf
        self._absent: float | None = None
        self._noticed = False
        self._prepared: list[Future[Any]] = []

    def prepare(self, function: Callable[[], object]) -> None:
        """Begin a call on each worker that is there, without waiting for its end: its imports.

        Raises:
            OutputError: the scheduler has ended.
        """
        self._prepared += [
            self._client.submit(function, workers=[worker], pure=False)
            for worker in self._by_worker()
        ]

    def results(
        self, function: Callable[..., object], calls: Iterable[tuple[Key, tuple[Any, ...]]]
    ) -> Generator[tuple[Key, Any], None, None]:
        """Yield (key, result) of calls as they finish; few are in flight at once.

        Args:
            calls: key and arguments of each call. One is taken only when it can be submitted.

        Raises:
            OutputError: the scheduler has ended, it has no worker for too long, or several workers
                die on the same call.
        """
        from distributed import KilledWorker

        jobs: dict[Future[Any], Key] = {}
        try:
            for key, arguments in calls:
                jobs[self._client.submit(function, *arguments, pure=False)] = key
                while len(jobs) >= AHEAD * max(1, self.threads()):
                    yield from finished(jobs)
            while jobs:
                self.threads()
                yield from finished(jobs)
        except CancelledError as error:
            raise self.gone() from error
        except KilledWorker as error:
            raise OutputError(
                f"several workers died on the same {self._part}, probably for lack of memory; give "
                f"the workers more memory, or make the {self._part}s smaller with --memory"
            ) from error

    def threads(self) -> int:
        """Threads of all workers, counted every few seconds.

        Raises:
            OutputError: there has been no worker for too long, or the scheduler has ended.
        """
        now = time.monotonic()
        if now - self._counted > (REFRESH if self._threads else PAUSE / 2):  # they come and go
            self._threads, self._counted = sum(self._by_worker().values()), now
        if self._threads:
            self._absent, self._noticed = None, False
            return self._threads
        if self._absent is None:
            self._absent = now
        waited = now - self._absent
        if waited >= self._timeout:
            raise OutputError(
                f"the Dask scheduler at {self._address} has had no worker for "
                f"{self._timeout:g} s; start one with `dask worker {self._address}` and run "
                f"again, which keeps the finished {self._part}s{self._remedy}"
            )
        if waited >= NOTICE and not self._noticed:
            self._noticed = True
            self._console.say(
                f"  the Dask scheduler at {self._address} has no worker; start one with `dask "
                f"worker {self._address}` (giving up after {self._timeout:g} s)"
            )
        return 0

    def _by_worker(self) -> dict[str, int]:
        try:
            threads: dict[str, int] = self._client.nthreads()  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError) as error:
            raise self.gone() from error
        return threads

    def gone(self) -> OutputError:
        """The error of a scheduler that ended."""
        return OutputError(
            f"the Dask scheduler at {self._address} no longer answers; start it again, then run "
            f"the same command, which keeps the finished {self._part}s"
        )


def finished(jobs: "dict[Future[Any], Key]") -> Iterator[tuple[Key, Any]]:
    """Wait a moment for at least one job, and yield and remove the finished ones.

    distributed sometimes loses the reply with a finished result, and `as_completed` then waits for
    it forever. A job that does not reply in time stays in `jobs` and is requested again.
    """
    from distributed import wait

    # `wait` uses the current client, which could be the caller's client in another thread's loop.
    try:
        with next(iter(jobs)).client.as_current():
            done = wait(  # type: ignore[no-untyped-call]
                list(jobs), timeout=PAUSE, return_when="FIRST_COMPLETED"
            ).done
    except TimeoutError:
        return
    for job in [job for job in jobs if job in done]:
        try:
            result = job.result(timeout=ANSWER)
        except TimeoutError:
            continue
        yield jobs.pop(job), result
