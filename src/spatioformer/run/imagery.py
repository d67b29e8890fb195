"""From the configuration's imagery section to a stack on disk."""

from pathlib import Path
from typing import Any

import numpy as np
from rasterio.warp import transform_bounds

from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.imagery import GridSection, ImagerySection
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.stack import MOST_PIXELS, Layer, build_stack
from spatioformer.run.masks import layer_of, read_masks
from spatioformer.run.outline import Places, outline_on, region_of

__all__ = ["build_imagery", "first_grid", "grid_of", "layer_of"]


def build_imagery(
    section: ImagerySection,
    out: Path,
    console: Console = SILENT,
    *,
    composite: Path | None = None,
    masks: Path | None = None,
    offline: bool = False,
    places: Places | None = None,
    onto: Grid | None = None,
) -> dict[str, Any]:
    """Bring the layers of a section, whose paths are absolute, onto one grid and write the stack.

    Args:
        composite: raster with the bands of the section's sources, on the section's grid; they
            follow those of the layers.
        masks: folder of the masks that come from archives; None: `archives` beside `out`.
        offline: whether archives are read from the cache alone.
        places: gives the places of the plots, for the outline; None: there is none.
        onto: the grid, instead of the one that the section describes.

    Returns:
        Summary, as `build_stack`; with masks of archives their facts under `masks`.

    Raises:
        ImageryError: a layer, the grid or the region cannot be used.
        PlotError: the file of the outline cannot be used, or holds no plot.
        OutputError: the stack cannot be written.
    """
    region = region_of(section)
    trust = Trust(section.trust, section.folder)
    layers = [layer_of(layer, trust) for layer in section.layers]
    grid = onto
    if composite is not None:
        with open_layer(Layer(composite, "sources")) as opened:
            grid = opened.grid
        layers.append(Layer(composite, "sources"))
    elif onto is None and section.grid is not None and section.region is not None:
        grid = grid_of(section.grid, section.region)
    excluding, facts = read_masks(
        section,
        lambda: grid or first_grid(layers[0], region),
        masks or out.parent / "archives",
        offline=offline,
        console=console,
    )
    summary = build_stack(
        layers,
        out,
        grid=grid,
        region=None if grid else region,
        masks=excluding,
        outline=None if places is None else lambda grid: outline_on(section, grid, places),
        console=console,
    )
    return summary | {"masks": facts} if facts else summary


def first_grid(layer: Layer, region: tuple[float, float, float, float] | None) -> Grid:
    """The grid of the first layer, clipped to the region.

    Raises:
        ImageryError: the layer cannot be read, or lies outside the region.
    """
    with open_layer(layer) as opened:
        return opened.grid if region is None else opened.grid.clip(region)


def grid_of(section: GridSection, region: tuple[float, float, float, float]) -> Grid:
    """The grid that the configuration describes instead of the first layer's.

    Raises:
        ImageryError: the CRS is unknown, or does not fit the region or the resolution.
    """
    crs = known_crs(section.crs, "imagery.grid")
    west, east, south, north = region
    bounds = transform_bounds(LONLAT.to_wkt(), crs.to_wkt(), west, south, east, north)
    if not np.isfinite(bounds).all():
        raise ImageryError(
            f"imagery.grid: the region {list(region)} has no place in crs {section.crs!r}; choose "
            "a CRS made for that region"
        )
    sides = np.subtract(bounds[2:], bounds[:2]) / section.resolution
    if sides.prod() > MOST_PIXELS:
        raise ImageryError(
            f"imagery.grid: resolution {section.resolution:g} makes {sides[1]:.3g} x "
            f"{sides[0]:.3g} pixels of the region; give it in units of {section.crs} "
            f"({crs.axis_info[0].unit_name})"
        )
    return Grid.from_bounds(crs, bounds, (section.resolution,) * 2)
