"""A folder of scenes: STAC items in JSON, or rasters whose names say what they are.

Where the folder holds STAC items, these alone count. Otherwise the name of each GeoTIFF or JPEG
2000 gives its date (20150314, 2015-03-14, or for yearly collections 2015) and its band: the end of
the name is a key of the band ("_B04", "_red"), perhaps with a resolution after it ("_B04_10m"). A
raster with several bands has them in its descriptions, or in the order of the collection's numbers.
Products of Landsat Collection 2 and of Sentinel-2 keep the names they were delivered with.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError
from spatioformer.config.messages import escaped

ENDINGS = (".tif", ".tiff", ".jp2")
DAY = re.compile(
    r"(?<![0-9])(19|20)([0-9]{2})([-_]?)(0[1-9]|1[0-2])\3(0[1-9]|[12][0-9]|3[01])"
    r"(?:T([0-9]{6}))?(?![0-9])"
)
YEAR = re.compile("(?<![0-9])((?:19|20)[0-9]{2})(?![0-9])")
LANDSAT = re.compile(r"L([CTE])0([4-9])_(L2S[PR])_([0-9]{6})_([0-9]{8})_([0-9]{8})_02_(T1|T2|RT)")
SENTINEL = re.compile(
    r"(S2[A-D])_MSIL2A_([0-9]{8}T[0-9]{6})_N([0-9]{2})([0-9]{2})_R[0-9]{3}_T([0-9A-Z]{5})_[0-9T]{15}"
)

_OF_OLI = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")
_OF_TM = ("blue", "green", "red", "nir08", "swir16", "lwir", "swir22")
SENSORS = {"C": _OF_OLI, "T": _OF_TM, "E": _OF_TM}
"""Key in catalogues of band 1, 2, ... of each sensor, by the letter in a Landsat product's name."""


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Scenes of a folder and the folders in it.

    Raises:
        ImageryError: there is no such folder, or a raster in it cannot be read.
    """
    folder = _folder(collection, access)
    items = list(_stac_items(folder, collection))
    if items:
        _check_items(folder, collection, access)
        yield from items
        return
    for scene in _scenes(folder, collection, access):
        if scene.first <= query.end.strftime("%Y-%m-%dT%H:%M:%SZ") and scene.last >= (
            query.start.strftime("%Y-%m-%dT%H:%M:%SZ")
        ):
            yield _item(scene, collection, access)


def names(collection: Collection, access: Access) -> list[str]:
    """Collections that the STAC items of the folder name."""
    items = _stac_items(_folder(collection, access), None)
    return sorted({str(item["collection"]) for item in items if item.get("collection")})


def _folder(collection: Collection, access: Access) -> Path:
    folder = Path(collection.endpoint)
    if not folder.is_dir():
        raise ImageryError(
            f"{access.owner}: {escaped(folder)} is not a folder; give in `endpoint` the "
            "folder that holds the scenes"
        )
    return folder


def _stac_items(folder: Path, collection: Collection | None) -> Iterator[RawItem]:
    """STAC items in a folder, of one collection; paths in them start at their file."""
    for path in sorted(folder.rglob("*.json")):
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # other JSON of a product, such as Landsat's metadata in another encoding
        if not isinstance(item, dict) or item.get("type") != "Feature" or "assets" not in item:
            continue
        if collection is None or item.get("collection") in (None, collection.id):
            yield {**item, "links": [{"rel": "self", "href": str(path.absolute())}]}


@dataclass
class _Scene:
    """Rasters of one date and place.

    Attributes:
        first, last: its time, RFC 3339.
        bands: number and file of each key; for a file whose bands are not known yet the key is "".
    """

    name: str
    first: str
    last: str
    properties: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)


def _check_items(folder: Path, collection: Collection, access: Access) -> None:
    """Raise if a folder of STAC items also holds a band of the collection that none of them names.

    Raises:
        ImageryError: it does.
    """
    held = {
        PurePath(str(asset.get("href", ""))).name
        for item in _stac_items(folder, None)
        for asset in (item.get("assets") or {}).values()
    }
    keys = _keys(collection)
    for path in _rasters(folder):
        named = _named(path, folder, keys, collection.kind != "scenes")
        if path.name not in held and named is not None and named[0] in keys:
            raise ImageryError(
                f"{access.owner}: {escaped(folder)} holds STAC items, but none of them names "
                f"{escaped(path.name)}, so it would not be read; add an item for it, or remove the "
                "items (.json) so that names of files count"
            )


def _keys(collection: Collection) -> set[str]:
    return {key for part in collection.parts for key in part.keys}


def _rasters(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)


def _scenes(folder: Path, collection: Collection, access: Access) -> list[_Scene]:
    keys = _keys(collection)
    scenes: dict[str, _Scene] = {}
    for path in _rasters(folder):
        named = _named(path, folder, keys, collection.kind != "scenes")
        if named is None:
            if _band_key(path.stem, keys)[0]:
                raise ImageryError(
                    f"{access.owner}: the name of {escaped(path)} says its band but no "
                    f"{'date' if collection.kind == 'scenes' else 'year'}, so it would not be "
                    "read; put one into the name, such as 20210615, or remove the file"
                )
            continue
        key, scene = named
        if not key and _is_single(path):
            continue  # neither a band of the collection nor several
        kept = scenes.setdefault(scene.name, scene)
        if key not in kept.files or _finer(path, kept.files[key]):
            kept.files[key] = path.absolute()
    return list(scenes.values())


def _is_single(path: Path) -> bool:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as dataset:
            return dataset.count == 1
    except RasterioError:
        return True


def _finer(path: Path, other: Path) -> bool:
    """Whether a file holds smaller pixels than another, by the "10m" in their names."""
    sizes = [re.findall("[_-]([0-9]{1,4})m$", p.stem, re.IGNORECASE) for p in (path, other)]
    return bool(sizes[0] and sizes[1]) and int(sizes[0][0]) < int(sizes[1][0])


def _named(path: Path, folder: Path, keys: set[str], yearly: bool) -> tuple[str, _Scene] | None:
    """Key of a raster's band ("" for several), and its scene; None without a date."""
    place = str(path.relative_to(folder).with_suffix(""))
    if product := LANDSAT.search(path.stem):
        rest = path.stem[product.end() :].strip("_")
        return _landsat_key(rest, product[1]), _landsat(product)
    key, rest = _band_key(path.stem, keys)
    if product := SENTINEL.search(place):
        return (key, _sentinel(product)) if key else None
    day = DAY.search(path.stem) or DAY.search(place)
    name = str(path.relative_to(folder).parent / rest)
    if day is not None:
        date = f"{day[1]}{day[2]}-{day[4]}-{day[5]}"
        clock = day[6] or "000000"
        moment = f"{date}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
        return key, _Scene(name, moment, moment, {"datetime": moment})
    if yearly and (year := YEAR.search(path.stem) or YEAR.search(place)):
        first, last = f"{year[1]}-01-01T00:00:00Z", f"{year[1]}-12-31T23:59:59Z"
        return key, _Scene(name, first, last, {"start_datetime": first, "end_datetime": last})
    return None


def _band_key(stem: str, keys: set[str]) -> tuple[str, str]:
    """The key with which a name ends ("" for none), and the name without it."""
    rest = stem
    if match := re.search("[_-]([0-9]{1,4}m)$", rest, re.IGNORECASE):
        rest = rest[: match.start()]
    for key in sorted(keys, key=len, reverse=True):
        if rest.lower() == key.lower():
            return key, ""
        if re.search(f"[_. -]{re.escape(key)}$", rest, re.IGNORECASE):
            return key, rest[: -len(key) - 1]
    return "", stem


def _landsat_key(rest: str, sensor: str) -> str:
    """Key in catalogues of a file of a Landsat product, such as SR_B4."""
    if match := re.fullmatch("SR_B([1-7])", rest):
        return SENSORS[sensor][int(match[1]) - 1]
    return {"ST_B10": "lwir11", "ST_B6": "lwir"}.get(rest, rest.lower())


def _landsat(product: re.Match[str]) -> _Scene:
    date = product[5]
    moment = f"{date[:4]}-{date[4:6]}-{date[6:]}T00:00:00Z"
    properties = {
        "datetime": moment,
        "platform": f"landsat-{product[2]}",
        "landsat:correction": product[3],
        "landsat:collection_category": product[7],
    }
    return _Scene(product[0], moment, moment, properties)


def _sentinel(product: re.Match[str]) -> _Scene:
    time = product[2]
    moment = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[9:11]}:{time[11:13]}:{time[13:]}Z"
    properties = {
        "datetime": moment,
        "platform": f"sentinel-{product[1][1:].lower()}",
        "s2:product_uri": f"{product[0]}.SAFE",
        "s2:processing_baseline": f"{product[3]}.{product[4]}",
        "grid:code": f"MGRS-{product[5]}",
    }
    return _Scene(product[0], moment, moment, properties)


def _item(scene: _Scene, collection: Collection, access: Access) -> RawItem:
    """The scene as a STAC item; each of its files is opened for its grid and its bands."""
    assets: dict[str, Any] = {}
    boxes = []
    for key, path in scene.files.items():
        asset, box = _asset(path, key, collection, access)
        assets[key or "data"] = asset
        boxes.append(box)
    return {
        "type": "Feature",
        "id": scene.name.replace("\\", "/"),
        "collection": collection.id,
        "bbox": list(boxes[0]),
        "geometry": None,
        "links": [],
        "assets": assets,
        "properties": scene.properties,
    }


def _asset(
    path: Path, key: str, collection: Collection, access: Access
) -> tuple[dict[str, Any], tuple[float, ...]]:
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    try:
        with rasterio.open(path) as dataset:
            if dataset.crs is None:
                raise ImageryError(
                    f"{access.owner}: {escaped(path)} has no coordinate system; set one, for "
                    "example with gdal_edit"
                )
            box = transform_bounds(dataset.crs, "EPSG:4326", *_ordered(dataset.bounds), 21)
            asset = {
                "href": str(path),
                "proj:code": dataset.crs.to_string(),
                "proj:transform": list(dataset.transform[:6]),
                "proj:shape": list(dataset.shape),
                "file:size": path.stat().st_size,
            }
            if not key:
                asset["bands"] = _described(dataset, path, collection, access)
    except (RasterioError, OSError) as error:
        raise ImageryError(
            f"{access.owner}: {escaped(path)} cannot be read ({escaped(str(error), 200)}); remove "
            "it from the folder, or get it again"
        ) from error
    return asset, box


def _ordered(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Bounds of a raster whose rows may run from south to north."""
    left, bottom, right, top = bounds
    return left, min(bottom, top), right, max(bottom, top)


def _described(
    dataset: Any, path: Path, collection: Collection, access: Access
) -> list[dict[str, str]]:
    """Names of the bands of a raster with several, by their descriptions or their numbers."""
    described = [str(text or "") for text in dataset.descriptions]
    keys = {key for band in collection.bands for key in (band.name, *band.keys)}
    if keys & set(described):
        return [{"name": text} for text in described]
    numbers = {band.number: band.name for band in collection.bands}
    if len(numbers) == len(collection.bands) and max(numbers) <= dataset.count:
        return [{"name": numbers.get(i + 1, "")} for i in range(dataset.count)]
    shown = ", ".join(text for text in described if text) or "none"
    raise ImageryError(
        f"{access.owner}: {escaped(path)} does not say which of its {dataset.count} bands is which "
        f"(descriptions: {escaped(shown, 100)}); name the file after its band, such as "
        f"{path.stem[:40]}_{collection.bands[0].keys[0]}{path.suffix}, describe its bands, or give "
        "each band of the collection its `number`"
    )
