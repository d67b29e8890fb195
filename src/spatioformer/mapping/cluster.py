"""The same tiles on a dask.distributed cluster: paths travel, models and rasters do not.

Each worker opens the model and the raster once, by paths that all machines must see. A tile whose
worker dies is computed by another; its record is the one that `engine.py` would have made.
"""

import math
import time
from collections.abc import Iterable, Iterator
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

AHEAD = 2  # tiles a worker thread has or waits for
REFRESH = 10  # seconds between two looks at how many there are
ANSWER = 20  # seconds for a finished tile to come over
PATIENCE = 20  # seconds for the scheduler to answer
NO_DASK = "--scheduler needs Dask, which is not installed; pip install 'spatioformer[dask]'"


@dataclass(frozen=True)
class Remote:
    """What a worker needs to compute tiles: paths and plain values.

    Attributes:
        model: identity of the model behind `folder`, for a worker may see another folder there.
        cache: bytes of GDAL's block cache.
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
            f"a worker sees another model in {remote.folder} than the one to be mapped; give a "
            "folder that all machines share"
        )
    predictor = open_predictor(
        remote.folder, remote.layers, remote.samples, remote.step, remote.seed
    )
    return predictor, open_source(
        remote.imagery, predictor.bundle.bands, remote.outline, remote.template
    )


def compute_tile(remote: Remote, number: int, window: tuple[int, int, int, int]) -> bytes:
    """A tile's record; what a worker runs.

    Args:
        window: column, row, width, height.
    """
    with _opening:
        predictor, source = _opened(remote)
    with _reading, rasterio.Env(GDAL_CACHEMAX=remote.cache):  # a dataset is for one thread
        tile = read_tile(source, Window(*window), predictor.bundle.halo)
    with threads_off():
        return record(predictor, source.grid, number, tile)


def compute_there(address: str, remote: Remote, windows: Iterable) -> Iterator[tuple[int, bytes]]:
    """Records of tiles as the cluster finishes them, a bounded number on their way.

    Args:
        windows: (number, window) of each tile.

    Raises:
        OutputError: the scheduler does not answer, or a tile ends worker after worker.
    """
    try:
        from distributed import Client, KilledWorker
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
        jobs, limit, counted = {}, 0, -math.inf
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
                "several workers died over the same tile, probably for want of memory; give the "
                "workers more, or make the tiles smaller with --memory"
            ) from error


def _finished(jobs: dict) -> Iterator[tuple[int, bytes]]:
    """Records of the finished jobs, of which there is at least one, taken out of `jobs`.

    Now and then distributed loses the answer to a question for a finished result, and
    `as_completed` waits for it for ever. A job that does not answer stays, and is asked again.
    """
    from distributed import wait

    # `wait` asks the current client, which may be the caller's own, in another thread's loop.
    with next(iter(jobs)).client.as_current():
        done = wait(list(jobs), return_when="FIRST_COMPLETED").done
    for job in sorted(done, key=jobs.__getitem__):
        try:
            record = job.result(timeout=ANSWER)
        except TimeoutError:
            continue
        yield jobs.pop(job), record
