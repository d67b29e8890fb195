"""Coloured pictures of whole layers, and which tiles cover a map."""

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.palette import MASKED
from spatioformer.viewer import style, tiles
from spatioformer.viewer.layers import Layer
from spatioformer.viewer.rasters import TILE, Rasters
from spatioformer.viewer.unmapped import Unmapped

SIDE = 1024
"""Longer side of a picture, pixels."""

STRIPE = 8
"""Distance of the stripes over untrusted land, pixels."""

MOST_LATITUDE = 85.0511287
"""Northern edge of Web Mercator, degrees."""

Bytes = NDArray[np.uint8]
Bounds = tuple[float, float, float, float]


def mercator(lon: float, lat: float) -> tuple[float, float]:
    """Place in Web Mercator, from 0 to 1 eastwards and southwards."""
    lat = min(max(lat, -MOST_LATITUDE), MOST_LATITUDE)
    north = float(np.arctanh(np.sin(np.radians(lat)))) / np.pi
    return (lon + 180) / 360, (1 - north) / 2


def bounding_tiles(bounds: Bounds, zoom: int) -> tuple[list[int], list[int]]:
    """Columns and rows of the tiles of a zoom that touch bounds (W, S, E, N), degrees."""
    west, south, east, north = bounds
    (left, top), (right, bottom) = mercator(west, north), mercator(east, south)
    count = 2**zoom
    first, last = int(left * count), int(np.ceil(right * count - 1e-9))
    if west > east:  # over the antimeridian
        columns = [*range(first, count), *range(min(last, first))]
    else:
        columns = list(range(max(0, first), min(count, max(last, first + 1))))
    upper, lower = int(top * count), int(np.ceil(bottom * count - 1e-9))
    return columns, list(range(max(0, upper), min(count, max(lower, upper + 1))))


def overview(
    rasters: Rasters, unmapped: Unmapped, layer: Layer, year: int | str, bounds: Bounds
) -> Bytes:
    """Picture (y, x, 4) of a layer over bounds, in Web Mercator. Call it in the rasters' pool.

    Untrusted land has stripes, masked land is grey; what else has no value is clear.

    Raises:
        ImageryError: the raster is damaged.
    """
    west, south, east, north = bounds
    (left, top), (right, bottom) = mercator(west, north), mercator(east, south)
    right = right + 1 if west > east else right
    size = max(right - left, bottom - top)
    zoom = int(np.clip(np.ceil(np.log2(SIDE / TILE / size)), 0, layer.maxzoom))
    across = left + (np.arange(_pixels(right - left, size)) + 0.5) / SIDE * size
    down = top + (np.arange(_pixels(bottom - top, size)) + 0.5) / SIDE * size
    world = TILE * 2**zoom
    cols, rows = (across % 1 * world).astype(int), (down * world).astype(int)
    out = np.zeros((len(rows), len(cols), 4), np.uint8)
    for x in np.unique(cols // TILE).tolist():
        for y in np.unique(rows // TILE).tolist():
            place = np.ix_(rows // TILE == y, cols // TILE == x)
            inner = np.ix_(rows[rows // TILE == y] % TILE, cols[cols // TILE == x] % TILE)
            pixels = _coloured(rasters, unmapped, layer, year, zoom, x, y)
            if pixels is not None:
                out[place] = pixels[inner]
    return _striped(out) if layer.trust is not None else out


def _pixels(extent: float, size: float) -> int:
    return max(1, round(SIDE * extent / size))


def _coloured(
    rasters: Rasters, unmapped: Unmapped, layer: Layer, year: int | str, z: int, x: int, y: int
) -> Bytes | None:
    """Pixels (y, x, 4) of a tile; the opacity of untrusted pixels is 254."""
    raster = layer.rasters[year]
    if layer.look.kind == "rgb":
        bands = rasters.tile(raster, layer.bands, z, x, y)
        return None if bands is None else tiles.picture(bands, layer.legend)
    numbers = tiles.numbers(rasters, layer, year, z, x, y)
    if numbers is None:
        return None
    values, trust = numbers
    holds = np.isfinite(values)
    index = np.zeros(values.shape, np.int64)
    if layer.look.kind == "classes":
        colours = _rgb([entry["colour"] for entry in layer.look.classes])
        index[holds] = np.rint(values[holds]).astype(int)
    else:
        colours = _rgb(list(style.scale(layer.look.colours)))
        low, high = np.array(layer.legend, np.float64)
        share = (values[holds] - low) / (high - low)
        index[holds] = np.clip(np.rint(share * 255), 0, 255).astype(int)
    opacity = np.where(holds, 255 if trust is None else np.where(trust >= 0.5, 255, 254), 0)
    pixels = np.concatenate([colours[index], opacity[..., None]], axis=-1).astype(np.uint8)
    masked = unmapped.tile(z, x, y, ~holds)
    if masked is not None:
        pixels[masked] = (*_rgb([MASKED])[0].tolist(), 255)
    return pixels


def _rgb(colours: list[str]) -> Bytes:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.uint8)


def _striped(pixels: Bytes) -> Bytes:
    """Dark diagonal stripes over pixels whose opacity is 254, which becomes full."""
    rows, cols = np.indices(pixels.shape[:2])
    untrusted = pixels[..., 3] == 254
    stripe = untrusted & ((rows + cols) % STRIPE < STRIPE // 4)
    pixels[stripe, :3] //= 3
    pixels[untrusted, 3] = 255
    return pixels
