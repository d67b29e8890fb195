"""Check the imagery of a run by the headers of its files."""

import shutil
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.errors import ImageryError, OutputError, SpatioformerError
from spatioformer.config.imagery import ImagerySection, MaskSection, RasterSection
from spatioformer.config.schema import RunConfig
from spatioformer.run.check_sources import source_problems
from spatioformer.run.problems import Problem, caught, is_whole

if TYPE_CHECKING:
    from spatioformer.geo.grid import Grid
    from spatioformer.geo.raster.layers import OpenLayer

WITHOUT_HEADER = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".he5")
COMPRESSION = 20  # a stack on disk is not smaller than its values by more than this


def imagery_problems(
    config: RunConfig, folder: Path, stages: Collection[str]
) -> "Generator[Problem, None, Grid | None]":
    """Rasters, sources, their bands and CRSs, the grid and the region, the size of the stack.

    Returns:
        The grid of the stack, as the value of `yield from`; None: not known.
    """
    from spatioformer.geo.outline import read_outline
    from spatioformer.geo.raster.remarks import check_pieces

    section = config.imagery
    assert section is not None  # else the run has no such stage
    if section.outline_file is not None:
        key = "imagery.outline" if section.region_file is None else "imagery.region"
        yield from caught(key, partial(read_outline, section.outline_file))
    with ExitStack() as stack:
        opened: dict[str, OpenLayer] = {}
        is_complete = yield from _open_rasters(section, stack, opened)
        of_sources = yield from _bands_of_sources(config, section)
        layers = [layer for key, layer in opened.items() if key.startswith("imagery.layers")]
        pieces = list(caught("imagery.layers", partial(check_pieces, layers)))
        yield from pieces or caught("imagery.layers", partial(_band_names, layers, of_sources))
        try:
            grid = _grid(section, opened, bool(of_sources) and is_complete)
        except SpatioformerError as error:
            yield "imagery.grid" if section.grid else "imagery.region", error
            return None
        if grid is not None:
            if not pieces:
                yield from _elsewhere(grid, opened)
            bands = sum(max(1, len(layer.band_names)) for layer in layers) + len(of_sources)
            values = grid.height * grid.width * bands
            if "imagery" in stages:
                yield from caught("out", partial(_check_disk, values, folder))
        return grid


def _open_rasters(
    section: ImagerySection, stack: ExitStack, opened: "dict[str, OpenLayer]"
) -> Generator[Problem, None, bool]:
    """Open layers and masks into `opened`, by key; returns whether all of them are open."""
    from spatioformer.geo.raster.checks import Trust
    from spatioformer.geo.raster.layers import open_layer
    from spatioformer.run.imagery import layer_of
    from spatioformer.run.masks import check_mask

    trust = Trust(section.trust, section.folder)
    entries: list[tuple[str, RasterSection]] = [
        (f"imagery.layers.{i}", layer) for i, layer in enumerate(section.layers)
    ]
    for i, mask in enumerate(section.masks):
        yield from caught(f"imagery.masks.{i}", partial(check_mask, mask, i, section.collections))
        if isinstance(mask, MaskSection):
            entries.append((f"imagery.masks.{i}", mask))
    for key, layer in entries:
        if not is_whole(layer.path, *WITHOUT_HEADER):
            try:
                opened[key] = stack.enter_context(open_layer(layer_of(layer, trust)))
            except SpatioformerError as error:
                yield key, error
    return len(opened) == len(entries)


def _bands_of_sources(
    config: RunConfig, section: ImagerySection
) -> Generator[Problem, None, list[str]]:
    """Check the sources; returns their bands, none if a source has a problem."""
    if not section.sources:
        return []
    from spatioformer.archives.opening import source_bands

    problems = list(source_problems(config))
    yield from problems
    if any(key.startswith("imagery.sources") for key, _ in problems):
        return []
    return source_bands(section)


def _grid(
    section: ImagerySection, opened: "Mapping[str, OpenLayer]", by_sources: bool
) -> "Grid | None":
    """The grid of the stack; None where a raster that sets it is not open."""
    if by_sources:
        from spatioformer.run.sources import grid_of_sources

        return grid_of_sources(section)
    from spatioformer.run.imagery import grid_of
    from spatioformer.run.outline import region_of

    if section.grid is not None and section.region is not None:
        return grid_of(section.grid, section.region)
    if "imagery.layers.0" not in opened:
        return None
    region, grid = region_of(section), opened["imagery.layers.0"].grid
    return grid if region is None else grid.clip(region)


def _band_names(layers: Sequence["OpenLayer"], of_sources: Sequence[str]) -> None:
    from spatioformer.geo.raster.stack import check_band_names

    names = check_band_names(layers)
    if of_sources:
        from spatioformer.run.sources import check_bands

        check_bands(names, of_sources)


def _elsewhere(grid: "Grid", opened: Mapping[str, "OpenLayer"]) -> Iterator[Problem]:
    """Layers and masks that do not touch the grid."""
    from spatioformer.geo.raster.statistics import no_data

    for key, layer in opened.items():
        if is_apart(grid.region, layer.grid.region):
            name = layer.band_names[0] if layer.band_names else layer.layer.name
            if key.startswith("imagery.layers"):
                yield key, no_data(name)
            else:
                yield (
                    key,
                    ImageryError(
                        f"mask {name} lies outside the imagery: it covers W, E, S, N = "
                        f"{_rounded(layer.grid.region)}, the imagery {_rounded(grid.region)}; "
                        "check its file, or remove the mask"
                    ),
                )


def is_apart(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two regions (W, E, S, N) have no point in common, whatever turn their degrees are."""
    if not all(map(isfinite, (*one, *other))):
        return False
    if one[3] <= other[2] or other[3] <= one[2]:
        return True
    width, other_width = ((r[1] - r[0]) % 360 or 360 for r in (one, other))
    if abs(one[1] - one[0]) >= 360 or abs(other[1] - other[0]) >= 360:
        return False
    ahead = (other[0] - one[0]) % 360
    return ahead >= width and 360 - ahead >= other_width


def _rounded(region: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in region]


def _check_disk(values: int, folder: Path) -> None:
    """Raise if the stack of so many float32 values cannot be on the disk of the run folder."""
    free = shutil.disk_usage(folder).free
    least = values * 4 / COMPRESSION
    if least > free:
        raise OutputError(
            f"cannot write {folder}: the imagery of {values * 4 / 1e9:,.1f} GB takes "
            f"{least / 1e9:,.1f} GB at least and {free / 1e9:,.1f} GB are free; free some space, "
            "or give a smaller `imagery.region` or a coarser `imagery.grid`"
        )
