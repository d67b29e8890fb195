"""Compute tiles on a dask.distributed cluster.

Each worker opens the model and the raster once, by paths that all machines can read; only paths and
results are sent. If a worker dies, another worker computes its tile. The records are the same as
those of `engine.py`.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import rasterio
from rasterio.windows import Window

from spatioformer.common.cluster import connected
from spatioformer.common.errors import ModelError
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.threads import one_thread
from spatioformer.mapping.engine import read_tile, record
from spatioformer.mapping.predictor import Predictor, identity, open_predictor
from spatioformer.mapping.regrid import open_source
from spatioformer.mapping.source import Source


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
    with one_thread():
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
    calls = (
        (number, (remote, number, (w.col_off, w.row_off, w.width, w.height)))
        for number, w in windows
    )
    remedy = ", or wait longer with --worker-timeout"
    with connected(
        address, "tile", worker_timeout=worker_timeout, remedy=remedy, console=console
    ) as cluster:
        yield from cluster.results(compute_tile, calls)
