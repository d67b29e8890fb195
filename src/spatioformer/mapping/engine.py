"""Compute tiles on this machine: reading, prediction and writing overlap, with bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from spatioformer.common.threads import one_thread
from spatioformer.geo.grid import Grid
from spatioformer.mapping.journal import encode
from spatioformer.mapping.predictor import Predictor, Tile
from spatioformer.mapping.source import Source


def read_tile(source: Source, window, halo: int) -> Tile:
    """Read a window of imagery with a margin of `halo` pixels."""
    return Tile(window, *source.read(window, halo=halo))


def record(predictor: Predictor, grid: Grid, number: int, tile: Tile) -> bytes:
    """Compute a tile and encode it for the journal; compression runs in the worker thread too."""
    return encode(number, *predictor.compute(grid, tile))


def compute_here(
    predictor: Predictor, source: Source, windows: Iterable, workers: int, waiting: int
) -> Generator[tuple[int, bytes], None, None]:
    """Yield (number, record) of tiles as they are finished; each tile is computed by one thread.

    The calling thread reads ahead while the pool computes, and yields records meanwhile. One thread
    a core, without the libraries' threads, keeps every core busy with batches that fit its cache.

    Args:
        windows: (number, window) of each tile.
        workers: threads of the pool.
        waiting: largest number of tiles read but not begun, so that memory does not grow with the
            map.
    """
    grid, halo = source.grid, predictor.model.halo
    jobs: dict[Future, int] = {}
    with one_thread(), ThreadPoolExecutor(workers, thread_name_prefix="map") as pool:
        try:
            for number, window in windows:
                if len(jobs) >= workers + waiting:
                    yield from _finished(jobs)
                tile = read_tile(source, window, halo)
                jobs[pool.submit(record, predictor, grid, number, tile)] = number
                del tile  # the job holds the only reference, so memory is freed when it ends
            while jobs:
                yield from _finished(jobs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(jobs: dict[Future, int]) -> Iterator[tuple[int, bytes]]:
    """Wait for at least one job, and yield and remove the finished ones."""
    done, _ = wait(jobs, return_when=FIRST_COMPLETED)
    for job in sorted(done, key=jobs.__getitem__):
        yield jobs.pop(job), job.result()
