"""Tiles through the model: read, computed and kept at the same time, a bounded number at once."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from spatioformer.geo.grid import Grid
from spatioformer.mapping.journal import encode
from spatioformer.mapping.predictor import Predictor, Tile
from spatioformer.mapping.source import Source
from spatioformer.training.loop import one_thread


def read_tile(source: Source, window, halo: int) -> Tile:
    return Tile(window, *source.read(window, halo=halo))


def record(predictor: Predictor, grid: Grid, number: int, tile: Tile) -> bytes:
    """A tile's record for the journal; compressing it is work for the pool too."""
    return encode(number, *predictor.compute(grid, tile))


@contextmanager
def threads_off() -> Iterator[None]:
    """Torch's own threads and those of linear algebra: a thread a tile is enough."""
    with one_thread(), threadpool_limits(1, "blas"):
        yield


def compute_here(
    predictor: Predictor, source: Source, windows: Iterable, workers: int, waiting: int
) -> Iterator[tuple[int, bytes]]:
    """Records of tiles as they are finished, each tile in one thread of a pool.

    This thread reads ahead while the pool computes, and hands records on while it does. A thread a
    core, the libraries' own threads off, keeps every core busy with batches that fit its cache.

    Args:
        windows: (number, window) of each tile.
        waiting: tiles read and not yet begun, at most: memory does not grow with the map.
    """
    grid, halo = source.grid, predictor.bundle.halo
    jobs: dict[Future, int] = {}
    with threads_off(), ThreadPoolExecutor(workers, thread_name_prefix="map") as pool:
        try:
            for number, window in windows:
                if len(jobs) >= workers + waiting:
                    yield from _finished(jobs)
                tile = read_tile(source, window, halo)
                jobs[pool.submit(record, predictor, grid, number, tile)] = number
                del tile  # the job's alone: it goes when the job is done
            while jobs:
                yield from _finished(jobs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(jobs: dict[Future, int]) -> Iterator[tuple[int, bytes]]:
    """At least one finished job's record, taken out of `jobs`."""
    done, _ = wait(jobs, return_when=FIRST_COMPLETED)
    for job in sorted(done, key=jobs.__getitem__):
        yield jobs.pop(job), job.result()
