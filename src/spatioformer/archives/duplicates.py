"""Leave out older processings of a scene that a catalogue also holds in a newer one.

- Sentinel-2: of one datatake and tile, the newest processing baseline. Items of the same baseline
  all stay: each may hold a part of the tile.
- Landsat: of one satellite, path, row and day, first those that are no longer "real time", then
  those with surface temperature, then the newest processing.
- Digital Earth products: of one product, tile and time, the newest dataset version.
- Any other item whose identifier ends in a version, such as ".v2.0": the newest version.
"""

import re
from collections.abc import Hashable, Iterable

from spatioformer.archives.items import Item

Version = tuple[tuple[int, ...] | str, ...]

SENTINEL = re.compile(r"S2[A-D]_MSIL2A_(\d{8}T\d{6})_N(\d{4})_R\d{3}_T([0-9A-Z]{5})_(\d{8}T\d{6})")
DATATAKE = re.compile(r"GS2[A-D]_(\d{8}T\d{6})_\d{6}_N(\d{2})\.(\d{2})")
LANDSAT = re.compile(
    r"(L[CTEO]0[4-9])_(L2S[PR])_(\d{6})_(\d{8})(?:_(\d{8}))?_(\d{2})_(T1|T2|RT)(?:_S[RT])?"
)
VERSION = re.compile(r"(.+)[._]v(\d+(?:\.\d+)*)")


def newest(items: Iterable[Item]) -> tuple[list[Item], int]:
    """The items without older processings, and how many these were.

    Items of one identifier, which two boxes or pages of a search give, count as one.
    """
    single = {item.id: item for item in items}
    best: dict[Hashable, Version] = {}
    keyed = []
    for item in single.values():
        key, version = _scene_of(item)
        keyed.append((item, key, version))
        best[key] = max(best.get(key, version), version)
    kept = [item for item, key, version in keyed if version == best[key]]
    return kept, len(single) - len(kept)


def _scene_of(item: Item) -> tuple[Hashable, Version]:
    """What was observed, and in which processing: the larger, the newer."""
    for identify in (_sentinel, _landsat, _digital_earth, _versioned):
        identity = identify(item)
        if identity is not None:
            return identity
    return ("id", item.id), ()


def _sentinel(item: Item) -> tuple[Hashable, Version] | None:
    properties = item.properties
    platform = str(properties.get("platform", "")).lower()
    stated = str(properties.get("s2:product_uri", ""))
    if product := SENTINEL.match(stated) or SENTINEL.match(item.id):
        return ("s2", product[0][:3], product[1], product[3]), ((int(product[2]),),)
    datatake = DATATAKE.match(str(properties.get("s2:datatake_id", "")))
    tile = str(properties.get("grid:code") or properties.get("s2:mgrs_tile") or "")
    if datatake is None or not tile:
        return None
    baseline = str(properties.get("s2:processing_baseline") or f"{datatake[2]}.{datatake[3]}")
    numbers = tuple(int(n) for n in re.findall(r"\d+", baseline))
    return ("s2", platform, datatake[1], tile.removeprefix("MGRS-")), (numbers,)


def _landsat(item: Item) -> tuple[Hashable, Version] | None:
    product = LANDSAT.fullmatch(item.id)
    if product is None:
        return None
    settled, complete = int(product[7] != "RT"), int(product[2] == "L2SP")
    key = ("landsat", product[1], product[3], product[4], product[6])
    return key, ((settled, complete), product[5] or str(item.properties.get("created", "")))


def _digital_earth(item: Item) -> tuple[Hashable, Version] | None:
    properties = item.properties
    product, tile = properties.get("odc:product"), properties.get("odc:region_code")
    version = str(properties.get("odc:dataset_version") or "")
    if product is None or tile is None or not version:
        return None
    numbers = tuple(int(n) for n in re.findall(r"\d+", version))
    settled = int(properties.get("dea:dataset_maturity") != "interim")
    return ("odc", product, tile, item.start, item.end), (numbers, (settled,))


def _versioned(item: Item) -> tuple[Hashable, Version] | None:
    product = VERSION.fullmatch(item.id)
    if product is None:
        return None
    return ("id", product[1]), (tuple(int(n) for n in product[2].split(".")),)
