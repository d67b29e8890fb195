"""Write the composites of a year: a Cloud Optimized GeoTIFF, and a STAC item that says of what."""

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from spatioformer.archives.items import Item
from spatioformer.archives.offsets import OFFSET, Verdict, verdict
from spatioformer.archives.pools import Pool, open_pool
from spatioformer.archives.source import Source
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.work import compute_windows, load_window, nothing, window_size
from spatioformer.common.cache import Arrays, Cache
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import write_json, writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.config.archives import STATIC
from spatioformer.geo.raster.cog import cog_in_parts, cog_profile
from spatioformer.geo.raster.colours import colours_of
from spatioformer.geo.raster.writing import check_written
from spatioformer.geo.stac import raster_item

READERS = 8
CACHED = 1 / 8  # of the memory, for blocks of rasters; GDAL alone would take 5 % of the machine
SHOWN = 5  # items named in a message


def write_year(
    stack: SourceStack,
    year: int,
    out: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    memory: float = 2.0,
    console: Console = SILENT,
) -> dict[str, Any]:
    """Write the bands of a year to `out`, and their provenance to NAME.item.json.

    Finished windows are kept beside `out` until it is complete, so a killed run continues.

    Args:
        workers: windows computed at once; None: one a core. With a Dask scheduler, those sent
            ahead.
        scheduler: None or "threads", "processes", or the address of a dask.distributed scheduler.
        memory: limit of resident memory, GB, shared by the workers.

    Returns:
        Facts: bands, number of items used, items left out, items whose catalogue was wrong about
        the offset.

    Raises:
        ImageryError: an item cannot be read, or no pixel has a value.
        OutputError: `out` cannot be written.
    """
    count = workers or os.cpu_count() or 1
    cache = rasterio.Env(GDAL_CACHEMAX=int(CACHED * memory * 1e9))
    with cache, open_pool(scheduler, count, console) as pool:
        facts = {"year": year, "bands": stack.bands, "offsets": offsets(stack, year, console)}
        windows = list(stack.grid.windows(window_size(stack, year, count, memory)))
        kept = Cache(out.parent, f"{out.stem}.windows")
        store = kept.arrays(_name(stack, year))
        stack = _write_raster(stack, year, out, windows, store, pool, count, console)
    facts |= {
        "items": {source.section.name: len(source.of_year(year)) for source in stack.sources},
        "left_out": {name: sorted(ids) for name, ids in stack.failed.items()},
    }
    write_json(item_path(out), _item(stack, year, out, facts))
    kept.clear()
    return facts


def item_path(out: Path) -> Path:
    """Path of the STAC item beside a composite."""
    return out.with_name(f"{out.stem}.item.json")


def offsets(
    stack: SourceStack,
    year: int,
    console: Console = SILENT,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """Items whose catalogue states another offset than their pixels show, by source.

    Args:
        only: identifiers of the items that are looked at; None: all of the year.

    Returns:
        Of each source with such items: their number, and what was done with each.
    """
    contradictions: dict[str, Any] = {}
    for source in stack.sources:
        if source.collection.offset_claim is None:
            continue
        verdicts = _verdicts(source, year, only)
        count = len(source.of_year(year)) if only is None else len(verdicts)
        if unknown := [name for name, offset in verdicts.items() if offset.unknown]:
            console.say(
                f"  {source.owner}: neither the catalogue nor dark pixels say whether the numbers "
                f"of {len(unknown)} of {count} items of {year} ({_listed(unknown)}) carry the "
                f"offset of {OFFSET}; they are taken to carry none"
            )
        wrong = {
            name: "subtracted" if offset.carried else "kept"
            for name, offset in verdicts.items()
            if offset.disagree
        }
        if not wrong:
            continue
        contradictions[source.section.name] = wrong
        console.say(
            f"  {source.owner}: the catalogue is wrong about the offset of {len(wrong)} of "
            f"{count} items of {year} ({_listed(wrong)}); their dark pixels decided "
            "(`offset: metadata` trusts the catalogue)"
        )
    return contradictions


def _listed(names: Collection[str]) -> str:
    """Some identifiers, for a message."""
    return ", ".join(list(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _verdicts(source: Source, year: int, only: Collection[str] | None = None) -> dict[str, Verdict]:
    """What is known about the offset of each item of a year that can be read."""
    if source.section.offset == "none":
        return {}
    items = [item for item in source.of_year(year) if only is None or item.id in only]

    def judge(item: Item) -> Verdict | None:
        try:
            return verdict(item, source)
        except ImageryError:  # its turn to be reported comes when it is read
            return None

    with ThreadPoolExecutor(READERS) as pool:
        judged = list(pool.map(judge, items))
    return {item.id: known for item, known in zip(items, judged, strict=True) if known is not None}


def _name(stack: SourceStack, year: int) -> str:
    from spatioformer.common.files import hash_value

    names = [source.section.model_dump(mode="json") for source in stack.sources]
    grid = [stack.grid.crs.to_wkt(), list(stack.grid.transform[:6]), list(stack.grid.shape)]
    return hash_value([names, grid, year])


def _write_raster(
    stack: SourceStack,
    year: int,
    out: Path,
    windows: Sequence[Window],
    store: Arrays,
    pool: Pool,
    workers: int,
    console: Console,
) -> SourceStack:
    """Compute the windows and write each while others are computed.

    Returns:
        The stack without the items that could not be read.
    """
    threads = min(workers, os.cpu_count() or 1)
    profile = cog_profile(stack.grid, len(stack.bands), "float32", float("nan"))
    counts: dict[tuple[int, int, int, int], np.ndarray] = {}
    written: set[str] = set()

    def describe(raw: DatasetWriter) -> None:
        for band, name in enumerate(stack.bands, start=1):
            raw.set_band_description(band, name)
        raw.colorinterp = colours_of(stack.bands)
        of_year = {} if year == STATIC else {"YEAR": str(year)}
        raw.update_tags(SOFTWARE=f"spatioformer {__version__}", **of_year)

    with writing(out) as part:
        with cog_in_parts(part, out, profile, describe, threads) as write:

            def add(key: str, window: Window, values: np.ndarray) -> None:
                place = window.flatten()
                if not values.size:
                    values = nothing(stack, window)
                count = np.isfinite(values).sum(axis=(1, 2))
                if count.any() or place in counts:  # it may replace values with an item now failed
                    write(values, window)
                counts[place] = count
                written.add(key)

            stack = compute_windows(
                stack, year, windows, store, pool, computed=add, console=console
            )
            for window in windows:  # those that an interrupted run computed
                key = stack.key(window, year)
                if key not in written:
                    add(key, window, load_window(stack, year, window, store))
            total = np.sum(list(counts.values()), axis=0)
            if not total.any():
                raise ImageryError(_nothing(stack, year))
        check_written(part, out, total.tolist(), threads)
    return stack


def _span(stack: SourceStack, year: int) -> tuple[int, int]:
    """First and last year that a composite describes; without a year, those of its collections."""
    if year != STATIC:
        return year, year
    items = [item for source in stack.sources for item in source.of_year(year)]
    return min(item.start.year for item in items), max(item.end.year for item in items)


def _nothing(stack: SourceStack, year: int) -> str:
    fewest = max(source.section.min_clear for source in stack.sources)
    items = sum(len(source.of_year(year)) for source in stack.sources)
    if year == STATIC:
        return (
            f"no pixel has a value although {items} items were read: the grid is sea, or lies "
            "outside them; check `region`"
        )
    return (
        f"no pixel of {year} has a value although {items} items were read: they are cloudy or "
        f"outside the grid; lower `min_clear` ({fewest}), widen `season`, or give other years"
    )


def _item(stack: SourceStack, year: int, out: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """STAC item of a composite: the collections, how it was made, and a link to every item used."""
    properties = {
        "spatioformer:sources": [
            {
                "name": source.section.name,
                "collection": source.collection.name,
                "composite": source.composite,
                "season": source.section.season,
                "items": len(source.of_year(year)),
                "license": source.collection.licence,
                "attribution": source.collection.attribution,
                "citation": source.collection.citation,
            }
            for source in stack.sources
        ],
        "spatioformer:left_out": facts["left_out"],
        "spatioformer:offsets_against_catalogue": facts["offsets"],
    }
    item = raster_item(out, {"imagery": out}, _span(stack, year), properties)
    item["links"] = [
        {"rel": "derived_from", "href": used["href"] or next(iter(used["assets"].values()), ""),
         "title": used["id"], "type": "application/json" if used["href"] else None}
        for used in stack.provenance(year)
    ]  # fmt: skip
    for link in item["links"]:
        if link["type"] is None:
            del link["type"]
    return item
