"""Compute tiles on a dask.distributed cluster.

Each worker opens the model and the raster once, by paths that all machines can read; only paths and
results are sent. If a worker dies, another worker computes its tile. The records are the same as
those of `engine.py`.
"""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import rasterio
from rasterio.windows import Window

from spatioformer.common.errors import ModelError, OutputError
from spatioformer.common.progress import SILENT, Console
from spatioformer.mapping.engine import read_tile, record, threads_off
from spatioformer.mapping.predictor import Predictor, identity, open_predictor
from spatioformer.mapping.regrid import open_source
from spatioformer.mapping.source import Source

if TYPE_CHECKING:
    from distributed import Client

AHEAD = 2  # tiles submitted for each worker thread
REFRESH = 5  # seconds between two counts of the workers
PAUSE = 1.0  # seconds to wait for a finished tile before the workers are counted
ANSWER = 20  # seconds to wait for a finished tile to be transferred
PATIENCE = 20  # seconds to wait for the scheduler
NOTICE = 10  # seconds without a worker after which the console says so
NO_DASK = "--scheduler needs Dask, which is not installed; pip install 'spatioformer[dask]'"


@dataclass(frozen=True)
class Remote:
    """Arguments with which a worker computes tiles: paths and plain values.

    Attributes:
        model: hash of the model in `folder`; a worker may see another folder under that path.
        cache: size of GDAL's block cache, bytes.
    """

    folder: str
    model: str
    imagery: str
    outline: str | None
    template: str | None
    layers: tuple[str, ...]
    samples: int
    step: int
    seed: int
    cache: int


_opening, _reading = Lock(), Lock()


@lru_cache(maxsize=1)
def _opened(remote: Remote) -> tuple[Predictor, Source]:
    if identity(remote.folder) != remote.model:
        raise ModelError(
            f"a worker sees another model in {remote.folder} than this process; give a folder that "
            "all machines share"
        )
    predictor = open_predictor(
        remote.folder, remote.layers, remote.samples, remote.step, remote.seed
    )
    return predictor, open_source(
        remote.imagery, predictor.model.bands, remote.outline, remote.template
    )


def compute_tile(remote: Remote, number: int, window: tuple[int, int, int, int]) -> bytes:
    """Compute a tile's record; runs on a worker.

    Args:
        window: column, row, width, height, pixels.
    """
    with _opening:
        predictor, source = _opened(remote)
    with _reading, rasterio.Env(GDAL_CACHEMAX=remote.cache):  # datasets are not thread-safe
        tile = read_tile(source, Window(*window), predictor.model.halo)
    with threads_off():
        return record(predictor, source.grid, number, tile)


def compute_there(
    address: str,
    remote: Remote,
    windows: Iterable[tuple[int, Window]],
    *,
    worker_timeout: float = 120.0,
    console: Console = SILENT,
) -> Generator[tuple[int, bytes], None, None]:
    """Yield (number, record) of tiles as the cluster finishes them; few are in flight at once.

    Args:
        windows: (number, window) of each tile.
        worker_timeout: seconds to wait while the scheduler has no worker.

    Raises:
        OutputError: the scheduler does not answer, it has no worker for too long, or several
            workers die on the same tile.
    """
    try:
        from distributed import Client, Future, KilledWorker
    except ImportError as error:
        raise OutputError(NO_DASK) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"no Dask scheduler answers at {address}; start one with `dask scheduler`, or correct "
            "--scheduler"
        ) from error
    with closing(client):
        jobs: dict[Future, int] = {}
        crew = _Crew(client, address, worker_timeout, console)
        try:
            for number, window in windows:
                while len(jobs) >= AHEAD * max(1, crew.threads()):
                    yield from _finished(jobs)
                flat = window.col_off, window.row_off, window.width, window.height
                job = client.submit(compute_tile, remote, number, flat, pure=False)
                jobs[job] = number
            while jobs:
                crew.threads()
                yield from _finished(jobs)
        except CancelledError as error:
            raise crew.gone() from error
        except KilledWorker as error:
            raise OutputError(
                "several workers died on the same tile, probably for lack of memory; give the "
                "workers more memory, or make the tiles smaller with --memory"
            ) from error


class _Crew:
    """The workers of a scheduler: counts their threads, and ends a run that waits in vain."""

    def __init__(self, client: "Client", address: str, timeout: float, console: Console):
        self._client, self._address = client, address
        self._timeout, self._console = timeout, console
        self._threads, self._counted = 0, -math.inf
        self._absent: float | None = None
        self._noticed = False

    def threads(self) -> int:
        """Threads of all workers, counted every few seconds.

        Raises:
            OutputError: there has been no worker for too long, or the scheduler has ended.
        """
        now = time.monotonic()
        if now - self._counted > (REFRESH if self._threads else PAUSE / 2):  # they come and go
            self._threads, self._counted = self._count(), now
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
                "again, which keeps the finished tiles, or wait longer with --worker-timeout"
            )
        if waited >= NOTICE and not self._noticed:
            self._noticed = True
            self._console.say(
                f"  the Dask scheduler at {self._address} has no worker; start one with `dask "
                f"worker {self._address}` (giving up after {self._timeout:g} s)"
            )
        return 0

    def _count(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError) as error:
            raise self.gone() from error

    def gone(self) -> OutputError:
        """The error of a scheduler that ended."""
        return OutputError(
            f"the Dask scheduler at {self._address} no longer answers; start it again, then run "
            "the same command, which keeps the finished tiles"
        )


def _finished(jobs: dict) -> Iterator[tuple[int, bytes]]:
    """Wait a moment for at least one job, and yield and remove the finished ones.

    distributed sometimes loses the reply with a finished result, and `as_completed` then waits for
    it forever. A job that does not reply in time stays in `jobs` and is requested again.
    """
    from distributed import wait

    # `wait` uses the current client, which could be the caller's client in another thread's loop.
    try:
        with next(iter(jobs)).client.as_current():
            done = wait(list(jobs), timeout=PAUSE, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return
    for job in sorted(done, key=jobs.__getitem__):
        try:
            record = job.result(timeout=ANSWER)
        except TimeoutError:
            continue
        yield jobs.pop(job), record
