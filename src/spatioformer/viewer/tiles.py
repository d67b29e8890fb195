"""Tiles: PNG pictures of 256 x 256 pixels that carry a layer's numbers, or a picture.

Of a tile of numbers, R * 256 + G is the value in steps of the layer's scale. Bit 0 of B says that
there is a value, bit 1 that it lies inside the area of applicability (set where that is unknown),
bit 2 that there is none because the run masks this land.
"""

import zlib
from struct import pack

import numpy as np
from numpy.typing import NDArray

from spatioformer.viewer.layers import STEPS, Floats, Layer
from spatioformer.viewer.rasters import TILE, Rasters
from spatioformer.viewer.unmapped import Unmapped

Bytes = NDArray[np.uint8]

VALUE, TRUSTED, MASKED = 1, 2, 4
"""Bits of the third byte."""

LEVEL = 4
"""Level of compression; 6 takes twice the time for 3 % fewer bytes."""


def tile(
    rasters: Rasters, unmapped: Unmapped, layer: Layer, year: int | str, z: int, x: int, y: int
) -> bytes | None:
    """PNG of a tile; None where the layer has no value and no land is masked.
    Call it in the rasters' pool.

    Raises:
        ImageryError: the raster is damaged.
    """
    if layer.look.kind == "rgb":
        bands = rasters.tile(layer.rasters[year], layer.bands, z, x, y)
        return None if bands is None else _unless_empty(picture(bands, layer.legend), 3)
    values = numbers(rasters, layer, year, z, x, y)
    if values is None:
        return None
    masked = unmapped.tile(z, x, y, ~np.isfinite(values[0]))
    return _unless_empty(packed(*values, layer.scale, layer.offset, masked), 2)


def numbers(
    rasters: Rasters, layer: Layer, year: int | str, z: int, x: int, y: int
) -> tuple[Floats, Floats | None] | None:
    """Values (y, x) of a tile, and its band of trust, or None; None outside the raster.

    Raises:
        ImageryError: the raster is damaged.
    """
    names = (*layer.bands, *((layer.trust,) if layer.trust else ()))
    bands = rasters.tile(layer.rasters[year], names, z, x, y)
    if bands is None:
        return None
    if not layer.trust:
        return layer.combine(bands), None
    return layer.combine(bands), bands[-1] if layer.applies else 1 - bands[-1]


def empty() -> bytes:
    """A tile without a value, of numbers or of a picture."""
    return png(np.zeros((TILE, TILE, 4), np.uint8))


def _unless_empty(pixels: Bytes, channel: int) -> bytes | None:
    return png(pixels) if pixels[..., channel].any() else None


def packed(
    values: Floats,
    trust: Floats | None,
    scale: float,
    offset: float,
    masked: NDArray[np.bool_] | None = None,
) -> Bytes:
    """Pixels (y, x, 3) that carry values (y, x); NaN and what is outside the range has no value.

    Args:
        trust: 1 inside the area of applicability, (y, x); None where it is unknown. Of an overview
            pixel it is a share, and half counts as inside.
        masked: masked land, (y, x); None: there is none.
    """
    steps = np.rint((values.astype(np.float64) - offset) / scale)
    holds = np.isfinite(steps) & (steps >= 0) & (steps <= STEPS)
    number = np.where(holds, steps, 0).astype(np.uint16)
    trusted = holds if trust is None else holds & (trust >= 0.5)
    bits = VALUE * holds + TRUSTED * trusted
    if masked is not None:
        bits = np.where(masked & ~holds, MASKED, bits)
    return np.stack([number >> 8, number & 255, bits], axis=-1).astype(np.uint8)


def unpacked(
    pixels: Bytes, scale: float, offset: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values (y, x), NaN where there is none, and whether they are trusted, of a tile's pixels."""
    number = pixels[..., 0].astype(np.float64) * 256 + pixels[..., 1]
    values = np.where(pixels[..., 2] & VALUE, number * scale + offset, np.nan)
    return values, (pixels[..., 2] & TRUSTED) > 0


def picture(bands: Floats, stretch) -> Bytes:
    """Pixels (y, x, 4) of a picture of three bands, or of one in grey; clear without a value.

    Args:
        bands: (band, y, x), NaN where there is no value.
        stretch: values shown as black and as full colour, of each band.
    """
    holds = np.isfinite(bands).all(axis=0)
    scaled = [
        np.clip((band - low) / max(high - low, 1e-12), 0, 1) * 255
        for band, (low, high) in zip(bands, stretch, strict=True)
    ]
    colours = np.where(holds, np.nan_to_num(np.stack(scaled)), 0)
    if len(colours) == 1:
        colours = np.repeat(colours, 3, axis=0)
    return np.rint(np.stack([*colours, 255 * holds], axis=-1)).astype(np.uint8)


def png(pixels: Bytes) -> bytes:
    """PNG of pixels (y, x, 3 or 4); the same pixels give the same bytes."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # filter 1 of each row: Sub
    flat = pixels.reshape(height, width * channels)
    rows[:, 0] = 1
    rows[:, 1:] = flat
    rows[:, 1 + channels :] -= flat[:, :-channels]
    header = pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
