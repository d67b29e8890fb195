"""Land cover of archives for exclusion masks: from a collection and a year to a raster of codes."""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from spatioformer.archives.collections import Collection, collection_of
from spatioformer.archives.legends import Legend, legend_of, legends
from spatioformer.archives.opening import access_of
from spatioformer.archives.pools import open_pool
from spatioformer.archives.search import search
from spatioformer.archives.source import Source
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.work import compute_windows, load_window
from spatioformer.common.cache import Cache
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.common.files import hash_value, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.config.archives import MaskSourceSection, every_year
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.writing import stack_profile, write_errors

WINDOW = 512
MOST_YEARS = 5  # years for which a catalogue is asked before a mask is given up
NO_CLASS = -1


def mask_collection(
    mask: MaskSourceSection, extra: str | None, owner: str
) -> tuple[Collection, Legend]:
    """The collection of a mask and the legend of its codes; nothing is searched.

    Args:
        extra: YAML file with further rows of the table of collections.

    Raises:
        ConfigError: the collection is not known, or holds no classes.
    """
    try:
        collection = collection_of(mask.source(1972), () if extra is None else (extra,))
    except ConfigError as error:
        if mask.collection in legends():
            raise ConfigError(
                f"{owner}: {mask.collection} is a legend without a collection; give your own "
                f"raster: `path: ...` and `legend: {mask.collection}`"
            ) from error
        raise
    if collection.kind != "classes":
        raise ConfigError(
            f"{owner}: {collection.name} holds measurements, not classes; choose a land cover such "
            "as esa-worldcover, or use it in `imagery.sources`"
        )
    if collection.legend is None:
        raise ConfigError(
            f"{owner}: the row of {collection.name} has no `legend`; add the name of one of "
            f"{', '.join(legends())}"
        )
    if len(collection.bands) != 1:
        raise ConfigError(
            f"{owner}: the row of {collection.name} has {len(collection.bands)} bands; a land "
            "cover has one"
        )
    return collection, legend_of(collection.legend, owner)


def candidate_years(mask: MaskSourceSection, collection: Collection, year: int | None) -> list[int]:
    """Years of a mask, the nearest to `year` first, of two as near the earlier; None: the latest.

    Raises:
        ConfigError: none of the mask's years is the collection's.
    """
    first, last = collection.years or (1972, None)
    available = range(first, (last or date.today().year) + 1)
    wanted = available if mask.years is None else every_year(mask.years)
    chosen = [y for y in wanted if y in available]
    if not chosen:
        raise ConfigError(
            f"mask {mask.title}: {collection.name} has the years {first} to "
            f"{last or 'now'}, none of `years`; correct them"
        )
    near = chosen[-1] if year is None else year
    return sorted(chosen, key=lambda y: (abs(y - near), y))[:MOST_YEARS]


def write_mask(
    mask: MaskSourceSection,
    number: int,
    section: ImagerySection,
    grid: Grid,
    year: int | None,
    out: Path,
    *,
    offline: bool = False,
    workers: int | None = None,
    console: Console = SILENT,
) -> dict[str, Any]:
    """Write the class codes of a mask on a grid, of the available year nearest to `year`.

    Where a pixel of the grid is larger than one of the collection, it holds the most frequent
    class. Tiles are mosaicked by identifier. The raster is int16, -1 where there is no class.

    Args:
        number: position in `imagery.masks`, for messages.
        year: year of the map; None: the latest one.

    Returns:
        Facts: name, collection, year, number of items, excluded (name of each code), licence,
        attribution, citation.

    Raises:
        ConfigError: as `mask_collection`; a class is not known; codes do not fit the legend.
        ImageryError: nothing covers the grid in the nearest years, or a file cannot be read.
        OutputError: `out` cannot be written.
    """
    owner = f"imagery.masks[{number}] ({mask.title})"
    collection, legend = mask_collection(mask, section.collections, owner)
    codes = legend.excluded(mask.exclude, owner)
    years = candidate_years(mask, collection, year)
    stack = _searched(mask, collection, section, grid, years, owner, offline)
    (used,) = stack.years
    if year is not None and used != year:
        console.say(f"  mask {mask.title}: land cover of {used}, the nearest year to {year}")
    windows = list(grid.windows(WINDOW))
    cache = Cache(out.parent, f"{out.stem}.windows")
    store = cache.arrays(hash_value([stack.key(window, used) for window in windows]))
    with open_pool(None, workers or os.cpu_count() or 1) as pool:
        stack = compute_windows(stack, used, windows, store, pool, console=console)
    present: set[int] = set()
    profile = {**stack_profile(grid, 1), "dtype": "int16", "nodata": NO_CLASS, "predictor": 2}
    with writing(out) as part, write_errors(out):
        with rasterio.open(part, "w", **profile) as target:
            target.set_band_description(1, mask.title)
            target.update_tags(SOFTWARE=f"spatioformer {__version__}", YEAR=str(used))
            for window in windows:
                values = load_window(stack, used, window, store)
                classes = np.where(np.isfinite(values[0]), values[0], NO_CLASS).astype(np.int16)
                present.update(np.unique(classes).tolist())
                target.write(classes, 1, window=window)
        legend.check_codes(present - {NO_CLASS}, f"{owner}: {collection.name} of {used}")
    cache.clear()
    return {
        "name": mask.title,
        "collection": collection.name,
        "year": used,
        "items": len(stack.sources[0].items[used]),
        "excluded": {str(code): legend.classes.get(code, "no data") for code in codes},
        "licence": collection.licence,
        "attribution": collection.attribution,
        "citation": collection.citation,
    }


def _searched(
    mask: MaskSourceSection,
    collection: Collection,
    section: ImagerySection,
    grid: Grid,
    years: Iterable[int],
    owner: str,
    offline: bool,
) -> SourceStack:
    """The collection of the first year that has items on the grid."""
    access = access_of(section, collection, owner, offline=offline)
    for year in years:
        part = mask.source(year)
        if items := search(part, collection, grid.region, year, access):
            source = Source(part, collection, access, {year: tuple(items)})
            return SourceStack((source,), grid)
    listed = ", ".join(map(str, sorted(years)))
    region = [round(value, 3) for value in grid.region]
    raise ImageryError(
        f"{owner}: {collection.endpoint} has no item of {collection.id} in {region} in the years "
        f"{listed}; choose other `years`, another land cover, or a raster of your own (`path`)"
    )
