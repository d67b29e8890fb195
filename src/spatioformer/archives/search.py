"""Search a source's catalogue for the items of a year in a region."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from spatioformer.archives.catalogues import find, names
from spatioformer.archives.catalogues.convert import item_of
from spatioformer.archives.catalogues.footprints import touching
from spatioformer.archives.catalogues.query import Query, boxes_of, span_of
from spatioformer.archives.collections import Collection, chosen_bands
from spatioformer.archives.duplicates import newest
from spatioformer.archives.items import Item
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.archives import SourceSection
from spatioformer.config.fields import Region

AROUND = (1, 5)
"""Years round an empty search in which the nearest dates are looked for, one after the other."""


@dataclass(frozen=True)
class Found:
    """Items of one year.

    Attributes:
        items: by start, then identifier.
        older: how many items were left out since the catalogue has a newer processing of them.
        cloudy: how many were left out since they have more cloud than `max_cloud`.
        least_cloud: smallest share of cloud of those; None: there were none.
        lacking: identifiers of items that lack a band or quality band which is read, and its name.
    """

    items: tuple[Item, ...]
    older: int = 0
    cloudy: int = 0
    least_cloud: float | None = None
    lacking: tuple[tuple[str, str], ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What was left out, a phrase each."""
        remarks = []
        if self.older:
            remarks.append(f"{self.older:,} older processings of the same scenes left out")
        if self.cloudy:
            remarks.append(f"{self.cloudy:,} items with more cloud than max_cloud left out")
        if self.lacking:
            name, band = self.lacking[0]
            remarks.append(f"{len(self.lacking):,} items left out, for example {name}: no {band}")
        return remarks


def search(
    section: SourceSection, collection: Collection, region: Region, year: int, access: Access
) -> list[Item]:
    """Items of a year that touch a region, by start and identifier.

    Args:
        section: the source.
        collection: its collection, of `collection_of`.
        region: (W, E, S, N), degrees; W > E crosses the antimeridian.
        year: the year, or that in which the season begins.
        access: how the catalogue is read.

    Raises:
        ImageryError: the catalogue cannot be read, or an item lacks a band and `on_error` is stop.
    """
    return list(look_up(section, collection, region, year, access).items)


def look_up(
    section: SourceSection, collection: Collection, region: Region, year: int, access: Access
) -> Found:
    """As `search`, with what was left out."""
    if section.season is not None and collection.kind != "scenes":
        raise ConfigError(
            f"source {section.name}: {collection.name} has one image a year, so `season` selects "
            "nothing; remove it"
        )
    if collection.is_of_files:
        return Found(tuple(_of_files(section, collection, region, year, access)))
    if collection.catalogue == "zarr":
        return Found(tuple(_of_store(collection, region, year, access)))
    start, end = span_of(year, section.season)
    query = Query(boxes_of(region), start, end)
    items = _items(collection, query, access)
    items = [item for item in items if _is_of(item, collection, start, end)]
    _check_ids(items, collection, access.owner)
    kept, older = newest(items)
    clear = [item for item in kept if not _is_cloudy(item, section.max_cloud)]
    clouds = [cloud_of(item) for item in kept if _is_cloudy(item, section.max_cloud)]
    whole, lacking = _complete(clear, section, collection, access.owner)
    return Found(
        items=tuple(sorted(whole, key=lambda item: (item.start, item.id))),
        older=older,
        cloudy=len(clouds),
        least_cloud=min((cloud for cloud in clouds if cloud is not None), default=None),
        lacking=tuple(lacking),
    )


def _of_files(
    section: SourceSection, collection: Collection, region: Region, year: int, access: Access
) -> list[Item]:
    """Files of terrain, climate and soil; they lie at addresses of a form, without a catalogue."""
    from spatioformer.archives.predictors.forms import file_items
    from spatioformer.archives.predictors.vrt import vrt_items

    items = vrt_items if collection.catalogue == "vrt" else file_items
    return items(collection, chosen_bands(section, collection), region, year, access)


def _of_store(collection: Collection, region: Region, year: int, access: Access) -> list[Item]:
    """Zones of a store of embeddings; it is laid out by place and year, without a catalogue."""
    from spatioformer.archives.embeddings.tessera import tessera_items

    bands = [band.name for band in collection.bands]
    return tessera_items(collection.endpoint, collection.name, bands, region, year, access)


def _items(collection: Collection, query: Query, access: Access) -> list[Item]:
    """Items of a query whose footprint touches its boxes."""
    raws = list(find(collection, query, access))
    try:
        hit = touching(raws, query.boxes)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ImageryError(
            f"{access.owner}: an item of {collection.endpoint} has no place that can be read "
            f"({str(error)[:100]}); it is damaged, or the catalogue is of another kind"
        ) from error
    near = [raw for raw, touches in zip(raws, hit, strict=True) if touches]
    return [item_of(raw, collection, access.owner) for raw in near]


def _check_ids(items: Sequence[Item], collection: Collection, owner: str) -> None:
    """Raise if items of one identifier have different files: only one of them would be read."""
    files_of: dict[str, list[str]] = {}
    for item in items:
        files = [asset.href.partition("?")[0] for asset in item.assets.values()]
        if files_of.setdefault(item.id, files) != files:
            raise ImageryError(
                f"{owner}: {collection.endpoint} has two items with the id {item.id} and different "
                "files; give each scene an id of its own"
            )


def _is_of(item: Item, collection: Collection, start: datetime, end: datetime) -> bool:
    """Whether an item belongs to a span: a scene by its time, a yearly one by its middle."""
    moment = item.start if collection.kind == "scenes" else item.start + (item.end - item.start) / 2
    return start <= moment < end + timedelta(seconds=1)


def cloud_of(item: Item) -> float | None:
    """Share of cloud that the catalogue states for an item, 0 to 1."""
    stated = item.properties.get("eo:cloud_cover")
    return float(stated) / 100 if isinstance(stated, int | float) else None


def _is_cloudy(item: Item, most: float | None) -> bool:
    cloud = cloud_of(item)
    return most is not None and cloud is not None and cloud > most


def _complete(
    items: Sequence[Item], section: SourceSection, collection: Collection, owner: str
) -> tuple[list[Item], list[tuple[str, str]]]:
    """Items that have all bands and quality bands to be read, and what the others lack.

    Raises:
        ImageryError: all lack one, or some do and `on_error` is stop.
    """
    wanted = [band.name for band in chosen_bands(section, collection)]
    if section.indices:
        from spatioformer.archives.indices import needed_bands

        wanted += needed_bands(section.indices, collection)
    whole, lacking = [], []
    for item in items:
        parts = wanted + [
            mask.name
            for mask in collection.masks
            if collection.kind == "scenes" and mask.applies(item.properties)
        ]
        missing = next((name for name in parts if name not in item.assets), None)
        if missing is None:
            whole.append(item)
        else:
            lacking.append((item.id, missing))
    if lacking and (section.on_error == "stop" or not whole):
        name, band = lacking[0]
        count = "all items" if not whole else f"{len(lacking):,} of {len(items):,} items"
        keys = next(part.keys for part in collection.parts if part.name == band)
        raise ImageryError(
            f"{owner}: {count} lack the band {band} ({' or '.join(keys)} in the catalogue), for "
            f"example {name}; leave the band out of `bands`, or "
            + (
                "describe the collection in a row of your own in `imagery.collections`"
                if not whole
                else "leave such items out with `on_error: skip`"
            )
        )
    return whole, lacking


def empty_message(
    section: SourceSection,
    collection: Collection,
    region: Region,
    year: int,
    access: Access,
    found: Found | None = None,
) -> str:
    """A sentence for a search without result: what was asked, and what there is.

    Args:
        found: the result, where it is known: it says what was left out.
    """
    west, east, south, north = region
    if collection.is_of_files:
        return (
            f"{access.owner}: {collection.name} has no tile in [{west:g}, {east:g}, {south:g}, "
            f"{north:g}]: it is sea, or not covered; check `region`: [W, E, S, N] in degrees"
        )
    start, end = span_of(year, section.season)
    asked = (
        f"{access.owner}: {collection.endpoint} has no item of {collection.id} in [{west:g}, "
        f"{east:g}, {south:g}, {north:g}] from {start:%Y-%m-%d} to {end:%Y-%m-%d}"
    )
    if found is not None and found.cloudy:
        least = "" if found.least_cloud is None else f", the least {found.least_cloud:.0%}"
        return (
            f"{asked} with at most {section.max_cloud:.0%} of cloud: {found.cloudy:,} have "
            f"more{least}; raise `max_cloud`"
        )
    existing = _known_names(collection, access)
    if existing and collection.id not in existing:
        near = difflib.get_close_matches(collection.id, existing, n=len(existing), cutoff=0)
        listed = ", ".join(near[:10]) + (f" and {len(near) - 10} more" if len(near) > 10 else "")
        return f"{asked}: it has the collections {listed}; give one of them as `id`"
    dates = _nearest(collection, Query(boxes_of(region), start, end), access)
    if dates:
        return f"{asked}; the nearest dates there are {' and '.join(dates)}"
    return f"{asked}, nor within {AROUND[-1]} years; check `region`: [W, E, S, N] in degrees"


def _known_names(collection: Collection, access: Access) -> list[str]:
    try:
        return names(collection, access)
    except ImageryError:
        return []


def _nearest(collection: Collection, query: Query, access: Access) -> list[str]:
    """The last date before a span and the first after it, as far as there are any."""
    for years in AROUND:
        length = timedelta(days=366 * years)
        wide = replace(query, start=query.start - length, end=query.end + length)
        try:
            items = _items(collection, wide, access)
        except ImageryError:
            return []
        before = [item.start for item in items if item.start < query.start]
        after = [item.start for item in items if item.start > query.end]
        if before or after:
            ends = ([max(before)] if before else []) + ([min(after)] if after else [])
            return [f"{moment:%Y-%m-%d}" for moment in ends]
    return []
