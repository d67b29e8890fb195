"""Wall-to-wall prediction: imagery in windows -> a Cloud Optimized GeoTIFF of mean and spread."""

import copy
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from os import cpu_count
from pathlib import Path
from threading import Lock

import numpy as np
import rasterio
import rasterio.shutil
from numpy.lib.stride_tricks import sliding_window_view
from rasterio.windows import Window

from spatioformer import __version__
from spatioformer.bundle import Bundle, load
from spatioformer.errors import OutputError
from spatioformer.files import hash_file, writing
from spatioformer.geo.grid import Grid
from spatioformer.geo.imagery import Stack, check_written, write_errors
from spatioformer.progress import SILENT, Console
from spatioformer.train import one_thread

TILE = 256
CHUNK = 4096  # chips held at once: bounds memory, whatever the chip size


def map_raster(
    model: Bundle | str | Path,
    imagery: str | Path,
    out: str | Path,
    *,
    samples: int = 20,
    sd_step: int = 1,
    seed: int = 0,
    tags: dict[str, str] | None = None,
    console: Console = SILENT,
) -> dict:
    """Predict every pixel of a raster and write the map.

    Band 1 is the mean (dropout off), band 2 the Monte Carlo dropout standard deviation (left out
    with `samples=0`), both float32 in species, NaN where there is no prediction: outside the
    imagery's mask, or where a pixel of the chip holds no data. Negative means are set to 0 and
    counted in the summary.

    Args:
        model: a bundle or its folder.
        imagery: raster whose band descriptions name the model's bands.
        samples: Monte Carlo dropout passes; 0, or at least 2.
        sd_step: k: the spread is computed at one pixel of each k x k block (the one nearest the
            block's centre that has a prediction) and holds for the block.
        tags: further tags for the file.

    Returns:
        Summary: pixels predicted, mean, range, mean spread, negative predictions set to 0.

    Raises:
        ImageryError: the raster cannot be read or lacks a band of the model.
        ModelError: the folder is no bundle, or the model has no dropout to sample.
        OutputError: the map cannot be written.
    """
    out = Path(out)
    bundle = model if isinstance(model, Bundle) else load(model)
    mapper = _Mapper(bundle, samples if bundle.has_dropout else 0, sd_step, seed)
    facts = dict(tags or {})
    if not isinstance(model, Bundle):
        facts["MODEL_ID"] = hash_file(Path(model) / "model.safetensors")[:16]
    if out.exists() and Path(imagery).exists() and out.samefile(imagery):
        raise OutputError(f"cannot write {out}: it is the imagery itself; name another file")
    with Stack(imagery, bundle.bands) as stack, writing(out) as part:
        tiles = part.with_name(f"{part.stem}.tiles.tif")
        tiles.unlink(missing_ok=True)
        try:
            with write_errors(out), rasterio.open(tiles, "w", **_profile(stack, mapper)) as raw:
                _describe(raw, bundle, mapper, facts)
                windows = list(stack.grid.windows(mapper.tile))
                with closing(mapper.run(stack, windows)) as done:
                    for window, values in console.track(done, "map", len(windows)):
                        raw.write(values, window=window)
            with write_errors(out):
                _to_cog(tiles, part)
            check_written(part, out, [mapper.pixels])
        finally:
            tiles.unlink(missing_ok=True)
    return mapper.summary()


class _Mapper:
    """Predicts one window at a time and keeps the map's totals."""

    def __init__(self, bundle: Bundle, samples: int, step: int, seed: int):
        self.bundle, self.samples, self.step, self.seed = bundle, samples, step, seed
        self.tile = step * max(1, TILE // step)  # whole blocks: no block spans two tiles
        self.bands = 2 if samples else 1
        self.pixels = self.negative = 0
        # Dropout draws from torch's one generator, so one window at a time; and in a network of its
        # own, so that the means computed meanwhile stay free of it.
        self._dropout = Lock()
        self._sampler = replace(bundle, network=copy.deepcopy(bundle.network))
        self.total = np.zeros(self.bands)
        self.low, self.high = np.inf, -np.inf

    def run(self, stack: Stack, windows: list[Window]) -> Iterator[tuple[Window, np.ndarray]]:
        """Every window with its values, in order; read here, computed in one thread a core.

        A thread a core, each with torch's own threads off, keeps every core busy with batches
        that fit its cache. At most two windows a thread wait: memory does not grow with the map.
        """
        workers = cpu_count() or 1
        half = self.bundle.patch // 2
        self.bundle.network.eval()
        waiting: deque[tuple[Window, Future]] = deque()
        with one_thread(), ThreadPoolExecutor(workers) as pool:
            try:
                for window in windows:
                    pixels = stack.read(window, halo=half)
                    job = pool.submit(self._predict, stack.grid, window, *pixels)
                    waiting.append((window, job))
                    if len(waiting) > 2 * workers:
                        yield self._finished(*waiting.popleft())
                while waiting:
                    yield self._finished(*waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _finished(self, window: Window, job: Future) -> tuple[Window, np.ndarray]:
        values = job.result()
        self._count(values[:, np.isfinite(values[0])])
        np.maximum(values[0], 0, out=values[0])  # NaN stays NaN
        return window, values

    def _predict(self, grid: Grid, window: Window, data, valid, wanted) -> np.ndarray:
        """float32 (band, y, x) of one window, NaN where nothing is predicted."""
        side = (self.bundle.patch,) * 2
        wanted = wanted & sliding_window_view(valid, side).all(axis=(-2, -1))
        out = np.full((self.bands, window.height, window.width), np.nan, np.float32)
        rows, cols = np.nonzero(wanted)
        if rows.size:
            chips = _Chips(data, grid, window, self.bundle.patch)
            out[0, rows, cols] = self._mean(chips, rows, cols)
            if self.samples:
                with self._dropout:
                    out[1, rows, cols] = self._spread(chips, rows, cols, window)
        return out

    def _mean(self, chips: "_Chips", rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                self.bundle.predict(*chips.at(rows[i : i + CHUNK], cols[i : i + CHUNK]))
                for i in range(0, len(rows), CHUNK)
            ]
        )

    def _spread(self, chips: "_Chips", rows, cols, window: Window) -> np.ndarray:
        k = self.step
        centre_distance = (rows % k - (k - 1) / 2) ** 2 + (cols % k - (k - 1) / 2) ** 2
        block = rows // k * (window.width // k + 1) + cols // k
        order = np.lexsort((centre_distance, block))
        _, first, member = np.unique(block[order], return_index=True, return_inverse=True)
        chosen = order[first]
        # A seed a window, so that the spread of a window does not depend on the ones before it.
        entropy = [self.seed, window.row_off, window.col_off]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        values = np.concatenate(
            [
                self._sampler.spread(
                    *chips.at(rows[part], cols[part]), samples=self.samples, seed=seed + i
                )
                for i, part in enumerate(np.array_split(chosen, -(-len(chosen) // CHUNK)))
            ]
        )
        spread = np.empty(len(rows), np.float32)
        spread[order] = values[member]
        return spread

    def _count(self, values: np.ndarray) -> None:
        if not values.size:
            return
        self.pixels += values.shape[1]
        self.negative += int((values[0] < 0).sum())
        self.total += values.sum(axis=1, dtype=np.float64)
        self.low = min(self.low, float(values[0].min()))
        self.high = max(self.high, float(values[0].max()))

    def summary(self) -> dict:
        means = self.total / max(self.pixels, 1)
        return {
            "pixels": self.pixels,
            "negative_set_to_0": self.negative,
            "mean": float(means[0]) if self.pixels else None,
            "min": max(0.0, self.low) if self.pixels else None,
            "max": self.high if self.pixels else None,
            "mean_sd": float(means[1]) if self.samples and self.pixels else None,
            "samples": self.samples,
            "sd_step": self.step,
        }


class _Chips:
    """The chips of one window, cut when asked for."""

    def __init__(self, data: np.ndarray, grid: Grid, window: Window, patch: int):
        half, side = patch // 2, (patch, patch)
        rows = np.arange(window.row_off - half, window.row_off + window.height + half)
        cols = np.arange(window.col_off - half, window.col_off + window.width + half)
        lon, lat = grid.lonlat(rows[:, None], cols[None, :])
        self._data = sliding_window_view(data, side, axis=(1, 2))  # (band, y, x, P, P)
        self._lon = sliding_window_view(lon, side)
        self._lat = sliding_window_view(lat, side)

    def at(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """chips (n, P, P, band), lon and lat (n, P, P) centred on pixels of the window."""
        chips = np.ascontiguousarray(self._data[:, rows, cols].transpose(1, 2, 3, 0))
        return chips, self._lon[rows, cols], self._lat[rows, cols]


def _profile(stack: Stack, mapper: _Mapper) -> dict:
    grid = stack.grid
    return {
        "driver": "GTiff",
        "dtype": "float32",
        "count": mapper.bands,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": np.nan,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }


def _describe(raw, bundle: Bundle, mapper: _Mapper, tags: dict[str, str]) -> None:
    facts = bundle.facts
    target = facts.get("target", "plant species richness")
    raw.set_band_description(1, f"{target}, mean")
    raw.set_band_unit(1, "species")
    if mapper.samples:
        where = (
            "at every pixel"
            if mapper.step == 1
            else f"at one pixel of each {mapper.step} x {mapper.step} block"
        )
        raw.set_band_description(2, f"{target}, standard deviation")
        raw.set_band_unit(2, "species")
        raw.update_tags(
            2, METHOD=f"Monte Carlo dropout, {mapper.samples} samples, {where}; not the total error"
        )
    if facts.get("virtual"):
        raw.update_tags(VIRTUAL=facts["virtual"])
    raw.update_tags(
        SOFTWARE=f"spatioformer {__version__}",
        MODEL=facts.get("name", type(bundle.network).__name__),
        GRAIN=facts.get("grain", "plot size not stated"),
        TARGET=target,
        **tags,
    )


def _to_cog(tiles: Path, out: Path) -> None:
    """Copy into a Cloud Optimized GeoTIFF with overviews."""
    rasterio.shutil.copy(
        tiles,
        out,
        driver="COG",
        compress="DEFLATE",
        predictor="FLOATING_POINT",
        blocksize=TILE,
        overview_resampling="AVERAGE",
        overviews="IGNORE_EXISTING",
    )
