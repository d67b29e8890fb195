"""Compute tiles on a dask.distributed cluster.

Each worker opens the model and the raster once, by paths that all machines can read; only paths and
results are sent. If a worker dies, another worker computes its tile. The records are the same as
those of `engine.py`.
"""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import rasterio
from rasterio.windows import Window

from spatioformer.common.errors import ModelError, OutputError
from spatioformer.mapping.engine import read_tile, record, threads_off
from spatioformer.mapping.predictor import Predictor, identity, open_predictor
from spatioformer.mapping.regrid import open_source
from spatioformer.mapping.source import Source

AHEAD = 2  # tiles submitted for each worker thread
REFRESH = 10  # seconds between two counts of the workers
ANSWER = 20  # seconds to wait for a finished tile to be transferred
PATIENCE = 20  # seconds to wait for the scheduler
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
    address: str, remote: Remote, windows: Iterable[tuple[int, Window]]
) -> Generator[tuple[int, bytes], None, None]:
    """Yield (number, record) of tiles as the cluster finishes them; few are in flight at once.

    Args:
        windows: (number, window) of each tile.

    Raises:
        OutputError: the scheduler does not answer, or several workers die on the same tile.
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
        limit, counted = 0, -math.inf
        try:
            for number, window in windows:
                if time.monotonic() - counted > REFRESH:  # workers come and go
                    limit = AHEAD * max(1, sum(client.nthreads().values()))
                    counted = time.monotonic()
                while len(jobs) >= limit:
                    yield from _finished(jobs)
                flat = window.col_off, window.row_off, window.width, window.height
                job = client.submit(compute_tile, remote, number, flat, pure=False)
                jobs[job] = number
            while jobs:
                yield from _finished(jobs)
        except KilledWorker as error:
            raise OutputError(
                "several workers died on the same tile, probably for lack of memory; give the "
                "workers more memory, or make the tiles smaller with --memory"
            ) from error


def _finished(jobs: dict) -> Iterator[tuple[int, bytes]]:
    """Wait for at least one job, and yield and remove the finished ones.

    distributed sometimes loses the reply with a finished result, and `as_completed` then waits for
    it forever. A job that does not reply in time stays in `jobs` and is requested again.
    """
    from distributed import wait

    # `wait` uses the current client, which could be the caller's client in another thread's loop.
    with next(iter(jobs)).client.as_current():
        done = wait(list(jobs), return_when="FIRST_COMPLETED").done
    for job in sorted(done, key=jobs.__getitem__):
        try:
            record = job.result(timeout=ANSWER)
        except TimeoutError:
            continue
        yield jobs.pop(job), record
