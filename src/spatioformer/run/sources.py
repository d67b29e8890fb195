"""The sources of a run's imagery: their grid, their items, and layers and sources by year."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from spatioformer.archives.answer import read_answer, with_answer
from spatioformer.archives.opening import sources_of
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import offsets
from spatioformer.archives.yearly import FailedItems
from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.archives import STATIC
from spatioformer.config.imagery import EXAMPLE, ImagerySection
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.layers import OpenLayer, open_layer
from spatioformer.geo.raster.remarks import check_pieces
from spatioformer.geo.raster.stack import check_band_names, with_classes
from spatioformer.run.context import RunContext
from spatioformer.run.imagery import grid_of, layer_of

FOLDER = "archives"
"""Folder of a run for what comes from archives."""

ITEMS = f"{FOLDER}/items.json"
READERS = 4
"""Windows read at once; each reads several scenes at once."""

BATCH = 32
"""Windows that are read before an interruption is noticed."""

HIGHEST = 84  # degrees; UTM ends there


def grid_of_sources(section: ImagerySection) -> Grid:
    """The grid of a section with sources: its own, that of its first layer, or one in UTM.

    Raises:
        ConfigError: the first collection is not known.
        ImageryError: the first layer, the grid or the region cannot be used.
    """
    if section.grid is not None and section.region is not None:
        return grid_of(section.grid, section.region)
    if section.layers:
        with open_layer(layer_of(section.layers[0], _trust(section))) as layer:
            grid = layer.grid
        return grid if section.region is None else grid.clip(section.region)
    assert section.region is not None  # the configuration sees to it
    return utm_grid(section.region, sources_of(section)[0].collection.resolution)


def utm_grid(region: tuple[float, float, float, float], resolution: float) -> Grid:
    """A grid in the UTM zone of a region's centre, with edges at multiples of the resolution.

    Args:
        region: (W, E, S, N), degrees; W > E crosses the antimeridian.
        resolution: side of a pixel, m.

    Raises:
        ImageryError: the region lies beyond 84 degrees north or south, where UTM has no zones.
    """
    west, east, south, north = region
    if max(north, -south) > HIGHEST:
        raise ImageryError(
            f"imagery.region reaches to {max(north, -south):g} degrees, and UTM ends at {HIGHEST}; "
            f"choose a CRS for it and a resolution, for example {EXAMPLE}"
        )
    centre = west + ((east - west) % 360 or 360) / 2
    zone = int((centre + 180) % 360 // 6) + 1
    code = (32600 if north + south >= 0 else 32700) + zone
    crs = known_crs(f"EPSG:{code}", "imagery.region")
    bounds = transform_bounds(LONLAT.to_wkt(), crs.to_wkt(), west, south, east, north)
    low, high = np.floor(bounds[:2]), np.ceil(bounds[2:])
    left, bottom = (np.floor(low / resolution) * resolution).tolist()
    right, top = (np.ceil(high / resolution) * resolution).tolist()
    return Grid.from_bounds(crs, (left, bottom, right, top), (resolution, resolution))


def _trust(section: ImagerySection) -> Trust:
    return Trust(section.trust, section.folder)


def stack_of(run: RunContext) -> SourceStack:
    """The sources of a run with the items that its search stage found.

    Raises:
        ConfigError, ImageryError: as `with_answer` and `read_answer`.
    """
    section = run.config.imagery
    assert section is not None  # else the run has no such stage
    answer = read_answer(section, run.folder / ITEMS)
    return with_answer(section, grid_of_sources(section), answer, offline=run.offline)


@dataclass
class YearStack:
    """Layers and sources as one, read by window and year: what a stack of that year would hold.

    Attributes:
        layers: open layers, the same in all years.
        sources: those without items that could not be read.
        console: where items are named that could not be read.
        left_out: why each item that was left out could not be read, by source and id.
    """

    layers: Sequence[OpenLayer]
    sources: SourceStack
    console: Console = SILENT
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        return self.sources.grid

    @property
    def bands(self) -> list[str]:
        return [name for layer in self.layers for name in layer.band_names] + self.sources.bands

    def windows(self, windows: Sequence[Window], year: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number and the values of each window, float32 (band, y, x), NaN for none.

        Where an item cannot be read, the windows that it touches come again without it.

        Raises:
            ImageryError: an item cannot be read, and the source's `on_error` is stop.
        """
        waiting, finished = list(range(len(windows))), set[int]()
        while waiting:
            reasons: dict[str, str] = {}
            for number, outcome in self._outcomes(windows, waiting, year):
                if isinstance(outcome, FailedItems):
                    reasons |= outcome.reasons
                    continue
                finished.add(number)
                static = [layer.read(windows[number], self.grid) for layer in self.layers]
                yield number, np.concatenate([*static, outcome])
            finished -= {n for n in finished if self._touches(windows[n], year, reasons)}
            waiting = [n for n in range(len(windows)) if n not in finished]
            for name, reason in sorted(reasons.items()):
                self.console.say(f"  left out {name}: {reason}")
            self.sources = self.sources.without(reasons)
            for source, failed in self.sources.failed.items():
                known = self.left_out.setdefault(source, {})
                known |= {name: reasons[name] for name in sorted(failed & set(reasons))}
        self._say_offsets(windows, year)

    def _say_offsets(self, windows: Sequence[Window], year: int) -> None:
        """Name items whose offset the catalogue states wrongly, among those that were read."""
        if all(source.collection.offset_claim is None for source in self.sources.sources):
            return
        read = {item.id for window in windows for _, item in self.sources.items(window, year)}
        offsets(self.sources, year, self.console, read)

    def _outcomes(
        self, windows: Sequence[Window], numbers: Sequence[int], year: int
    ) -> Iterator[tuple[int, np.ndarray | FailedItems]]:
        """Read some of the windows, several at once, because reading waits for the network."""

        def read(number: int) -> np.ndarray | FailedItems:
            try:
                return self.sources.read(windows[number], year)
            except FailedItems as error:
                return error

        with ThreadPoolExecutor(READERS) as pool:
            for first in range(0, len(numbers), BATCH):
                batch = numbers[first : first + BATCH]
                yield from zip(batch, pool.map(read, batch), strict=True)

    def _touches(self, window: Window, year: int, failed: Collection[str]) -> bool:
        return any(item.id in failed for _, item in self.sources.items(window, year))


@contextmanager
def year_stack(
    section: ImagerySection, sources: SourceStack, console: Console = SILENT
) -> Iterator[YearStack]:
    """Open the layers of a section beside its sources.

    Raises:
        ImageryError: a layer cannot be read, or two bands share a name.
    """
    with ExitStack() as stack:
        layers = [
            stack.enter_context(open_layer(layer_of(layer, _trust(section))))
            for layer in section.layers
        ]
        check_pieces(layers)
        layers = [with_classes(layer, sources.grid, console) for layer in layers]
        check_bands(check_band_names(layers), sources.bands)
        yield YearStack(layers, sources, console)


def check_bands(layers: Sequence[str], sources: Sequence[str]) -> None:
    """Raise if a band of a source has the name of a layer's band."""
    if shared := sorted(set(layers) & set(sources)):
        raise ImageryError(
            f"the band {shared[0]!r} is one of a layer and of a source; rename the source in "
            "`imagery.sources`, or set `band_names` in the layer"
        )


def season_of(section: ImagerySection) -> tuple[str, str] | None:
    """The season by which plots get their year: the one that all sources have, else none.

    Sources without years do not count.
    """
    seasons = {source.season for source in section.sources if source.years is not None}
    return seasons.pop() if len(seasons) == 1 else None


def composite_path(folder: Path, year: int) -> Path:
    """The composites of a year in a folder; those of sources without years for STATIC."""
    return folder / f"imagery_{year if year != STATIC else 'static'}.tif"
