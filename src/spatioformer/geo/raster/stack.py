"""Combine local rasters into one stack on one grid, with named bands and an explicit mask.

The stack is a tiled GeoTIFF. Its float32 bands have their names as descriptions, and NaN where
there is no data. Its internal mask marks the pixels to predict: all bands are valid, inside the
region and the outline, not excluded by a mask raster. Chips may contain masked pixels, but no
missing ones.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.common.files import writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.grid import Grid
from spatioformer.geo.limit import Limit
from spatioformer.geo.outline import Outline
from spatioformer.geo.raster.checks import refuse_address, short, text_errors
from spatioformer.geo.raster.classes import is_among
from spatioformer.geo.raster.colours import colours_of
from spatioformer.geo.raster.layers import Layer, OpenLayer, open_layer, unreadable
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.regular import remark_of
from spatioformer.geo.raster.remarks import check_pieces, class_remark, units_remark
from spatioformer.geo.raster.statistics import Statistics, no_data
from spatioformer.geo.raster.values import (
    Values,
    band_titles,
    check_numbers,
    has_shadowed_alpha,
    is_stack,
    valid_mask,
    value_bands,
)
from spatioformer.geo.raster.writing import BLOCK, check_written, stack_profile, write_errors

MOST_PIXELS = 1e11  # 400 GB a band; Australia in pixels of 30 m has 2e10
__all__ = ["Layer", "Mask", "Stack", "build_stack", "valid_mask"]


@dataclass(frozen=True)
class Mask:
    """Class raster of the pixels that are not predicted, for example water or cropland."""

    layer: Layer
    exclude: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", replace(self.layer, categorical=True, is_mask=True))


def build_stack(
    layers: Sequence[Layer],
    out: Path,
    *,
    grid: Grid | None = None,
    region: tuple[float, float, float, float] | None = None,
    masks: Sequence[Mask] = (),
    outline: Callable[[Grid], Outline | None] | None = None,
    console: Console = SILENT,
) -> dict:
    """Resample `layers` to one grid and write the stack to `out`.

    Args:
        layers: rasters, in the order of the bands.
        out: path of the stack.
        grid: target grid; None: the grid of the first layer.
        region: (W, E, S, N) in degrees, to which the grid is clipped.
        masks: class rasters that exclude pixels.
        outline: gives the outline on the target grid; pixels outside it are not predicted.

    Returns:
        Summary: shape, resolution, region, share of pixels to predict, statistics of each band; of
        an outline its facts and how many pixels to predict lie outside it.

    Raises:
        ImageryError: a layer cannot be read, holds no data on the grid, two bands share a name, or
            no pixel lies inside the outline.
        OutputError: the stack cannot be written.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(open_layer(layer)) for layer in layers]
        check_pieces(opened)
        grid = grid or opened[0].grid
        grid = grid.clip(region) if region is not None else grid
        _check_size(grid)
        limit = Limit(outline(grid)) if outline is not None else Limit(None)
        notes = [*limit.notes, *(remark for o in opened if (remark := class_remark(o)))]
        notes += [remark for layer in opened if (remark := units_remark(layer))]
        opened = [with_classes(layer, grid, console) for layer in opened]
        masking = [(stack.enter_context(open_layer(m.layer)), m.exclude) for m in masks]
        notes += [o.regularity for o in (*opened, *(m for m, _ in masking)) if o.regularity]
        notes += [
            f"mask {mask.layer.name}: `resampling: bilinear` interpolates its class codes, and "
            "pixels at the edges of excluded classes are predicted; `mode` excludes them"
            for mask, _ in masking
            if mask.interpolates_on(grid)
        ]
        names = check_band_names(opened)
        pixels = _Pixels(opened, grid, masking, limit)
        with writing(out) as part, write_errors(out):
            statistics = _write(part, names, pixels, console)
            # before a useless stack replaces a good one
            summary = limit.facts | statistics.summary(layers)
            check_written(part, out, statistics.count.tolist())
        notes += [note for layer in opened if (note := layer.tally.remark(layer.layer.name))]
    for note in notes:
        console.say(f"note: {note}")
    return {
        "bands": names,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_string(),
        "resolution": [abs(grid.transform.a), abs(grid.transform.e)],
        "region": [round(v, 6) for v in grid.region],
        "notes": notes,
    } | summary


def check_band_names(opened: Sequence[OpenLayer]) -> list[str]:
    """Names of the bands of all layers, in order.

    Raises:
        ImageryError: two bands share a name.
    """
    names = [name for layer in opened for name in layer.band_names]
    repeated = {n for n in names if names.count(n) > 1}
    if repeated:
        raise ImageryError(
            f"band name {sorted(repeated)[0]!r} occurs twice; set `band_names` in one layer"
        )
    return names


def _check_size(grid: Grid) -> None:
    if grid.width * grid.height > MOST_PIXELS:
        raise ImageryError(
            f"the imagery would have {grid.height:,} x {grid.width:,} pixels, more than "
            f"{MOST_PIXELS:.0g}; give a `region`, or a `grid` with a larger resolution"
        )


def with_classes(opened: OpenLayer, grid: Grid, console: Console) -> OpenLayer:
    """A categorical layer with its classes set: the given ones, or those that occur on the grid."""
    layer = opened.layer
    if not layer.categorical or layer.classes is not None:
        return opened
    classes: set[int] = set()
    for window in console.track(list(grid.windows(1024)), "classes"):
        values, present = opened.read_classes(window, grid)
        values = values[present]
        broken = values[values != np.round(values)]
        if broken.size:
            raise ImageryError(
                f"layer {layer.name}: {layer.path} holds values like {broken[0]:g}, not classes; "
                "remove `categorical: true` or give a class raster"
            )
        classes |= set(map(int, np.unique(values).tolist()))
    if not classes:
        raise no_data(layer.name)
    if len(classes) > 64:
        raise ImageryError(
            f"layer {layer.name}: {len(classes)} classes in {layer.path}, more than 64; list those "
            "to use under `classes`"
        )
    with_classes = OpenLayer(
        replace(layer, classes=tuple(sorted(classes))), opened.dataset, opened.grid
    )
    with_classes.tally, with_classes.regularity = opened.tally, opened.regularity
    return with_classes


@dataclass(frozen=True)
class _Pixels:
    """Layers and masks that are read on one grid."""

    layers: Sequence[OpenLayer]
    grid: Grid
    masks: Sequence[tuple[OpenLayer, tuple[int, ...]]]
    limit: Limit

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values (band, y, x) of a window, and the pixels to predict, bool (y, x)."""
        data = np.concatenate([layer.read(window, self.grid) for layer in self.layers])
        wanted = np.isfinite(data).all(axis=0)
        for layer, exclude in self.masks:
            classes, present = layer.read_mask(window, self.grid)
            # A mask raster's nodata means unknown: such pixels are not predicted either.
            wanted &= present & ~is_among(classes, exclude)
        return data, self.limit.within(wanted, window, self.grid)


def _write(part: Path, names: list[str], pixels: _Pixels, console: Console) -> Statistics:
    """Write a stack, window by window."""
    statistics, profile = Statistics(names), stack_profile(pixels.grid, len(names))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(part, "w", **profile) as target,
    ):
        for i, name in enumerate(names, start=1):
            target.set_band_description(i, name)
        for window in console.track(list(pixels.grid.windows(BLOCK)), "imagery"):
            data, wanted = pixels.read(window)
            target.write(data, window=window)
            target.write_mask(wanted, window=window)
            statistics.add(data, wanted)
        target.colorinterp = colours_of(names)
        for i, tags in enumerate(statistics.tags(), start=1):
            target.update_tags(i, **tags)
    return statistics


def _listed(names: Sequence[str]) -> str:
    """Names for a message: all of them if they are few and short."""
    shown = ", ".join(names[:12])
    return short(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


class Stack:
    """Raster that is open for reading by band name; a context manager.

    Args:
        path: a stack made by `build_stack`, or any raster with band descriptions.
        bands: names of the bands to read, in this order; None: all.

    Attributes:
        remark: how a NetCDF file's values were brought to equal steps; None: they lie so.

    Raises:
        ImageryError: the file cannot be opened, or lacks one of the bands.
    """

    def __init__(self, path: str | Path, bands: Sequence[str] | None = None):
        self.path = Path(path)
        refuse_address(self.path)
        if not self.path.exists():
            raise ImageryError(f"{self.path} does not exist; give the path of a raster")
        try:
            self._dataset = open_raster(self.path)
        except RasterioIOError as error:
            if "Failed to read directory" in str(error):  # a TIFF whose end is missing
                raise unreadable(self.path, error) from error
            raise ImageryError(
                f"{self.path} cannot be opened as a raster ({error}); give a GeoTIFF"
            ) from error
        try:
            self.grid = Grid.of(self._dataset, str(self.path))
            self._choose_bands(bands)
            check_numbers(self._dataset, self._indexes, str(self.path))
        except ImageryError:
            self._dataset.close()
            raise
        self.is_stack = is_stack(self._dataset)
        self.remark = remark_of(self._dataset)
        self._values = Values(self._dataset, tuple(self._indexes))

    def _choose_bands(self, bands: Sequence[str] | None) -> None:
        numbers = value_bands(self._dataset)
        titles = band_titles(self._dataset)
        names = [titles[i - 1] for i in numbers]
        described = [name or f"band_{i}" for i, name in zip(numbers, names, strict=True)]
        self.bands = list(bands) if bands is not None else described
        if all(b in described for b in self.bands):
            self._indexes = [numbers[described.index(b)] for b in self.bands]
        elif not any(names) and len(self.bands) == len(numbers):
            self._indexes = numbers  # bands without names are taken in order
        else:
            missing = [b for b in self.bands if b not in described]
            raise ImageryError(
                f"{self.path} lacks {len(missing)} of the {len(self.bands)} bands the model needs, "
                f"among them {missing[0]!r} (it has {_listed(described)}); give imagery with "
                f"the bands {_listed(self.bands)}, named by their descriptions"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self._dataset.close()

    def read(self, window: Window, halo: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read a window with a margin of `halo` pixels on each side.

        Returns:
            data: float32 (band, y, x) with the margin, 0 where invalid.
            valid: bool (y, x) with the margin, True if every band has a value; False outside.
            wanted: bool (y, x) without the margin, True if a prediction is wanted.
        """
        height, width = window.height + 2 * halo, window.width + 2 * halo
        row, col = window.row_off - halo, window.col_off - halo
        r0, c0 = max(0, row), max(0, col)
        r1, c1 = min(self.grid.height, row + height), min(self.grid.width, col + width)
        data = np.zeros((len(self._indexes), height, width), np.float32)
        valid = np.zeros((height, width), bool)
        wanted = np.zeros((height, width), bool)
        if r1 > r0 and c1 > c0:
            inner = Window(c0, r0, c1 - c0, r1 - r0)
            place = (slice(r0 - row, r1 - row), slice(c0 - col, c1 - col))
            try:
                values = self._read(inner)
                wanted[place] = self.mask(inner)
            except RasterioIOError as error:
                raise unreadable(self.path, error) from error
            ok = np.isfinite(values).all(axis=0)
            data[:, *place] = np.where(ok, values, 0)
            valid[place] = ok
        centre = (slice(halo, height - halo), slice(halo, width - halo))
        return data, valid, (wanted & valid)[centre]

    def mask(self, window: Window) -> np.ndarray:
        """bool (y, x): where the file's mask is valid.

        Raises:
            ImageryError: the file is damaged.
        """
        try:
            if has_shadowed_alpha(self._dataset):
                return np.isfinite(self._read(window)).any(axis=0)
            with text_errors():
                return self._dataset.dataset_mask(window=window) > 0
        except RasterioIOError as error:
            raise unreadable(self.path, error) from error

    @text_errors()
    def _read(self, window: Window) -> np.ndarray:
        """Values of a window inside the raster: float32 (band, y, x), NaN where there are none.

        A stack's mask says where to predict, so that data outside the mask are kept for chips.
        """
        if self.is_stack:
            return self._dataset.read(self._indexes, window=window)
        return self._values.read(window)
