"""Items of a collection whose bands are VRT files over many tiles, as those of SoilGrids are.

A VRT is only read as text: GDAL never opens it, and its tiles must lie below its own folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from xml.etree import ElementTree

import numpy as np
from affine import Affine

from spatioformer.archives.catalogues.query import boxes_of
from spatioformer.archives.collections import Band, Collection
from spatioformer.archives.items import Asset, Bounds, Item
from spatioformer.archives.predictors.forms import asset_of, times
from spatioformer.archives.remote import Access, read_bytes
from spatioformer.common.errors import ImageryError
from spatioformer.config.fields import Region
from spatioformer.config.messages import escaped
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import Grid

LARGEST = 256 * 2**20  # bytes of a VRT
SAMPLES = 5  # places along a side of a tile whose longitude and latitude are computed

Box = tuple[int, int, int, int]
"""Column, row, width and height in a mosaic, pixels."""


@dataclass(frozen=True)
class Mosaic:
    """What a VRT states.

    Attributes:
        grid: of all pixels.
        files: address of each tile, and the number of its band.
    """

    grid: Grid
    files: dict[Box, tuple[str, int]]


def vrt_items(
    collection: Collection, bands: Sequence[Band], region: Region, year: int, access: Access
) -> list[Item]:
    """Items of a region, one for each tile; the VRT of each band is read.

    Args:
        bands: those that are read.
        region: (W, E, S, N), degrees; W > E crosses the antimeridian.

    Raises:
        ConfigError: the form of the row names something that there is not.
        ImageryError: a VRT cannot be read, or is more than a mosaic of tiles.
    """
    start, end = times(collection, year)
    assets: dict[Box, dict[str, Asset]] = {}
    mosaic: Mosaic | None = None
    for band in bands:
        href = asset_of(collection, band, {**collection.chosen, "year": year}).href
        parsed = parse_vrt(read_bytes(href, access, limit=LARGEST), href, access.owner)
        if mosaic is not None and parsed.grid != mosaic.grid:
            raise ImageryError(
                f"{access.owner}: {escaped(href)} has another grid than the bands before it; read "
                "them as two sources"
            )
        mosaic = parsed
        for box, (tile, number) in parsed.files.items():
            assets.setdefault(box, {})[band.name] = Asset(tile, number)
    if mosaic is None:
        return []
    boxes = sorted(assets)
    places = _degrees(mosaic.grid, np.array(boxes, float).reshape(-1, 4))
    items = []
    for box, place in zip(boxes, places, strict=True):
        if not _touches(place, region):
            continue
        col, row, width, height = box
        transform = mosaic.grid.transform @ Affine.translation(col, row)
        items.append(
            Item(
                f"{collection.id}_x{col}_y{row}",
                collection.name,
                start,
                end,
                place,
                assets[box],
                mosaic.grid.crs.to_wkt(),
                tuple(transform[:6]),
                (height, width),
            )
        )
    return items


def parse_vrt(content: bytes, href: str, owner: str) -> Mosaic:
    """The grid and the tiles of a VRT.

    Args:
        href: its address or path, at which those of the tiles start.
        owner: beginning of messages.

    Raises:
        ImageryError: it is no VRT, or not a plain mosaic of whole tiles below its folder.
    """
    where = f"{owner}: {escaped(href)}"
    plain = content.replace(b"\0", b"").upper()  # also in UTF-16
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise ImageryError(f"{where} defines a document type or entities, which no VRT needs")
    try:
        root = ElementTree.parse(BytesIO(content)).getroot()
        shape = int(root.attrib["rasterYSize"]), int(root.attrib["rasterXSize"])
        c, a, b, f, d, e = (float(text) for text in _text(root, "GeoTransform").split(","))
        band = root.findall("VRTRasterBand")[0]
        files = dict(_source(source, href, where) for source in band if _is_source(source))
        remedy = "give the address of another one in `endpoint`"
        grid = Grid.placed(
            known_crs(_text(root, "SRS"), where, remedy), Affine(a, b, c, d, e, f), shape, where,
            remedy,
        )  # fmt: skip
    except (ElementTree.ParseError, KeyError, IndexError, ValueError) as error:
        raise ImageryError(
            f"{where} is no VRT that can be read ({escaped(str(error), 100)}); check `endpoint`"
        ) from error
    return Mosaic(grid, files)


def _text(element: ElementTree.Element, name: str) -> str:
    text = element.findtext(name)
    if not text:
        raise ValueError(f"it has no {name}")
    return text


def _is_source(element: ElementTree.Element) -> bool:
    return element.tag in ("SimpleSource", "ComplexSource")


def _source(source: ElementTree.Element, href: str, where: str) -> tuple[Box, tuple[str, int]]:
    """Place of one tile in the mosaic, its address, and the number of its band."""
    name = source.find("SourceFilename")
    if name is None or not name.text or name.attrib.get("relativeToVRT") != "1":
        raise ImageryError(f"{where} names a tile that is not relative to it; it is not read")
    path = PurePosixPath(name.text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "://" in name.text:
        raise ImageryError(f"{where} names a tile outside its folder; it is not read")
    col, row, width, height = _rect(source, "DstRect")
    if _rect(source, "SrcRect") != (0, 0, width, height):
        raise ImageryError(f"{where} resamples or cuts its tiles, which is not supported")
    allowed = ("SourceBand", "SourceProperties", "SrcRect", "DstRect", "SourceFilename", "NODATA")
    if strange := next((part.tag for part in source if part.tag not in allowed), None):
        raise ImageryError(f"{where} changes the values of its tiles ({strange}); it is not read")
    folder, _, _ = href.replace("\\", "/").rpartition("/")
    return (col, row, width, height), (
        f"{folder}/{path.as_posix().removeprefix('./')}",
        int(source.findtext("SourceBand") or 1),
    )


def _rect(source: ElementTree.Element, name: str) -> Box:
    rect = source.find(name)
    if rect is None:
        raise ValueError(f"a tile has no {name}")
    sides = [float(rect.attrib[key]) for key in ("xOff", "yOff", "xSize", "ySize")]
    if any(side != round(side) for side in sides):
        raise ValueError("a tile does not lie on whole pixels")
    col, row, width, height = (int(side) for side in sides)
    return col, row, width, height


def _degrees(grid: Grid, boxes: np.ndarray) -> list[Bounds]:
    """(W, S, E, N) of boxes (n, 4) = column, row, width, height; all round if it is not known."""
    share = np.linspace(0, 1, SAMPLES)
    cols = boxes[:, 0, None, None] + boxes[:, 2, None, None] * share[None, None, :] - 0.5
    rows = boxes[:, 1, None, None] + boxes[:, 3, None, None] * share[None, :, None] - 0.5
    with np.errstate(invalid="ignore"):
        lon, lat = grid.lonlat(*np.broadcast_arrays(rows, cols))
    bounds: list[Bounds] = []
    for x, y in zip(lon.reshape(len(boxes), -1), lat.reshape(len(boxes), -1), strict=True):
        inside = np.isfinite(x) & np.isfinite(y)
        if not inside.any():
            bounds.append((-180.0, -90.0, 180.0, 90.0))
            continue
        sides = x[inside].min(), y[inside].min(), x[inside].max(), y[inside].max()
        west, south, east, north = (float(side) for side in sides)
        bounds.append((west, south, east, north))
    return bounds


def _touches(box: Bounds, region: Region) -> bool:
    """Whether a box meets a region; a tile's curved edges may reach beyond its box a little."""
    spare = 0.1 * max(box[2] - box[0], box[3] - box[1])
    return any(
        box[0] - spare <= east and box[2] + spare >= west
        and box[1] - spare <= north and box[3] + spare >= south
        for west, south, east, north in boxes_of(region)
    )  # fmt: skip
