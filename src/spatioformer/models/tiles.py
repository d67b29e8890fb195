"""Check tiles of imagery and chips, and cut tiles into chips or blocks.

Shapes: P is the side of a chip, h = P // 2 the halo; Y, X are rows and columns of a tile with its
halo, and y, x without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from spatioformer.common.errors import ModelError

CHUNK = 4096  # chips in memory at once
BLOCK = 96
"""Side of a block that a dense network computes at once, pixels; it fits the processor cache."""

WIDE_BLOCK = 248
"""The same for the kernel of `nn.kernels`, which keeps a few rows in the cache, not blocks."""

Place = tuple[np.ndarray, np.ndarray] | tuple[slice, slice]
"""Position of pixels in a tile without its halo: rows and columns."""


@dataclass(frozen=True)
class PixelTile:
    """A tile of imagery with its halo, and the pixels to predict.

    Attributes:
        data: float32 (band, Y, X); the first row is the northernmost.
        valid: bool (Y, X), False where `data` is nodata.
        lon, lat: float64 (Y, X), degrees.
        wanted: bool (y, x), pixels to predict.
        patch: P, pixels.
    """

    data: np.ndarray
    valid: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    wanted: np.ndarray
    patch: int

    @classmethod
    def checked(
        cls,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None,
        bands: Sequence[str],
        patch: int,
    ) -> "PixelTile":
        """Check arrays and make a tile of them.

        Args:
            wanted: None means all pixels.
            bands: names of the model's bands.
            patch: side of the model's chips, pixels.

        Raises:
            ModelError: the number of bands differs, the tile is smaller than a chip, or the shapes
                do not match.
        """
        data, valid = np.asarray(data, np.float32), np.asarray(valid, bool)
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        if data.ndim != 3 or len(data) != len(bands):
            raise ModelError(
                f"a tile of shape {data.shape} does not fit the model, which takes ({len(bands)}, "
                f"rows, columns) with the bands {', '.join(bands)}; read those bands, in that order"
            )
        outer = data.shape[1:]
        if min(outer) < patch:
            raise ModelError(
                f"a tile of {outer[0]} x {outer[1]} pixels is smaller than its halo: the model "
                f"needs {patch // 2} pixels around each pixel; give tiles of at least {patch} x "
                f"{patch} pixels, the halo included"
            )
        inside = tuple(n - patch + 1 for n in outer)
        wanted = np.ones(inside, bool) if wanted is None else np.asarray(wanted, bool)
        for name, array, shape in (
            ("valid", valid, outer), ("lon", lon, outer), ("lat", lat, outer),
            ("wanted", wanted, inside),
        ):  # fmt: skip
            if array.shape != shape:
                raise ModelError(
                    f"{name} has the shape {array.shape}, but a tile of {data.shape} needs "
                    f"{shape}; give one entry for each pixel"
                )
        return cls(data, valid, lon, lat, wanted, patch)

    def empty(self, *tail: int) -> np.ndarray:
        """An array of NaN for predictions, float32 (y, x, *tail)."""
        return np.full((*self.wanted.shape, *tail), np.nan, np.float32)

    def chips(self) -> Iterator[tuple[Place, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Cut the chips of wanted pixels without nodata in their chip, CHUNK at a time.

        Yields:
            Position of the pixels, and their chips (n, P, P, band), lon and lat (n, P, P).
        """
        side = (self.patch, self.patch)
        rows, cols = np.nonzero(self.whole & self.wanted)
        chips = sliding_window_view(self.data, side, axis=(1, 2))  # (band, y, x, P, P)
        lon, lat = sliding_window_view(self.lon, side), sliding_window_view(self.lat, side)
        for i in range(0, len(rows), CHUNK):
            at = rows[i : i + CHUNK], cols[i : i + CHUNK]
            yield at, (chips[:, *at].transpose(1, 2, 3, 0), lon[at], lat[at])

    def windows(self, count: int) -> Iterator[tuple[Place, tuple[np.ndarray, ...]]]:
        """Cut a small tile around each predictable pixel, `count` at a time.

        Yields:
            Position of the pixels, and their data (n, P, P, band), lon, lat and valid (n, P, P).
        """
        side = (self.patch, self.patch)
        rows, cols = np.nonzero(self.predictable)
        data = sliding_window_view(self.data, side, axis=(1, 2))  # (band, y, x, P, P)
        others = [sliding_window_view(a, side) for a in (self.lon, self.lat, self.valid)]
        for i in range(0, len(rows), count):
            at = rows[i : i + count], cols[i : i + count]
            yield at, (data[:, *at].transpose(1, 2, 3, 0), *(a[at] for a in others))

    @property
    def sparse(self) -> bool:
        """Whether small tiles around the wanted pixels hold fewer pixels than the tile."""
        return int(self.wanted.sum()) * self.patch**2 < self.wanted.size

    @property
    def halo(self) -> int:
        return self.patch // 2

    @property
    def whole(self) -> np.ndarray:
        """Whether the chip of each pixel holds no nodata, bool (y, x)."""
        chips = sliding_window_view(self.valid, (self.patch, self.patch))
        return np.asarray(chips.all(axis=(-2, -1)))

    @property
    def predictable(self) -> np.ndarray:
        """Whether each pixel is wanted and holds data, bool (y, x); its chip may hold nodata."""
        h = self.halo
        return self.wanted & self.valid[h : len(self.valid) - h, h : self.valid.shape[1] - h]

    def blocks(self, side: int) -> Iterator[tuple[Place, tuple[np.ndarray, ...]]]:
        """Cut the tile into blocks of at most side x side pixels with a predictable pixel.

        Yields:
            Position of the block, and its data (1, Y, X, band), lon, lat and valid (1, Y, X), with
            their halo. Within the memory of `data`, each band is contiguous.
        """
        todo = self.predictable
        height, width = todo.shape
        for row in range(0, height, side):
            for col in range(0, width, side):
                at = slice(row, min(row + side, height)), slice(col, min(col + side, width))
                if not todo[at].any():
                    continue
                outer = tuple(slice(s.start, s.stop + self.patch - 1) for s in at)
                data = np.ascontiguousarray(self.data[:, *outer]).transpose(1, 2, 0)
                others = (self.lon[outer], self.lat[outer], self.valid[outer])
                yield at, tuple(a[None] for a in (data, *map(np.ascontiguousarray, others)))


def checked_chips(
    chips: np.ndarray, lon: np.ndarray, lat: np.ndarray, bands: Sequence[str], patch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check chips and their coordinates, and convert their types.

    Args:
        bands: names of the model's bands.
        patch: P, side of the model's chips, pixels.

    Returns:
        Chips, float32 (n, P, P, band); lon and lat, float64 (n, P, P).

    Raises:
        ModelError: a shape does not match, or a value is not finite.
    """
    chips = np.asarray(chips, np.float32)
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    expected = (patch, patch, len(bands))
    if chips.ndim != 4 or chips.shape[1:] != expected:
        raise ModelError(
            f"chips of shape {chips.shape} do not fit the model, which takes (n, {patch}, "
            f"{patch}, {len(bands)}) with the bands {', '.join(bands)}; cut chips of "
            "that size from imagery with those bands"
        )
    if lon.shape != chips.shape[:3] or lat.shape != chips.shape[:3]:
        raise ModelError(
            f"lon {lon.shape} and lat {lat.shape} must both have the shape {chips.shape[:3]}; "
            "give the degrees of every pixel of every chip"
        )
    for name, array in (("chips", chips), ("lon", lon), ("lat", lat)):
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise ModelError(f"{bad} values in {name} are not finite; leave out chips with nodata")
    return chips, lon, lat
