"""A tile of imagery on its way into a model: checked, and cut into chips or into blocks.

Shapes: P the model's patch side, h = P // 2 its halo; Y, X rows and columns of the tile with its
halo, y, x without.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from spatioformer.common.errors import ModelError

CHUNK = 4096  # chips held at once: bounds memory, whatever the chip size
BLOCK = 96  # pixels a side that a dense network computes at once: bounds memory, stays in the cache

Place = tuple[np.ndarray, np.ndarray] | tuple[slice, slice]


@dataclass(frozen=True)
class PixelTile:
    """Pixels with their halo, and which of them to predict.

    Attributes:
        data: float32 (band, Y, X), rows north first.
        valid: bool (Y, X), False where `data` means nothing.
        lon, lat: float64 (Y, X), degrees.
        wanted: bool (y, x).
        patch: P.
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
        """A tile for a model of those bands; `wanted` None means all pixels.

        Raises:
            ModelError: other bands, a tile smaller than its halo, or arrays that disagree.
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
                f"looks {patch // 2} pixels around each pixel; give tiles of {patch} x {patch} or "
                "more, the halo included"
            )
        inside = tuple(n - patch + 1 for n in outer)
        wanted = np.ones(inside, bool) if wanted is None else np.asarray(wanted, bool)
        for name, array, shape in (
            ("valid", valid, outer), ("lon", lon, outer), ("lat", lat, outer),
            ("wanted", wanted, inside),
        ):  # fmt: skip
            if array.shape != shape:
                raise ModelError(
                    f"{name} has the shape {array.shape} where a tile of {data.shape} needs "
                    f"{shape}; give an entry a pixel"
                )
        return cls(data, valid, lon, lat, wanted, patch)

    def empty(self, *tail: int) -> np.ndarray:
        """float32 (y, x, *tail) of NaN, to be filled."""
        return np.full((*self.wanted.shape, *tail), np.nan, np.float32)

    def chips(self) -> Iterator[tuple[Place, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Wanted pixels whose chip holds no nodata, CHUNK at a time: where they are, and their
        chips (n, P, P, band), lon and lat (n, P, P)."""
        side = (self.patch, self.patch)
        rows, cols = np.nonzero(self.whole & self.wanted)
        chips = sliding_window_view(self.data, side, axis=(1, 2))  # (band, y, x, P, P)
        lon, lat = sliding_window_view(self.lon, side), sliding_window_view(self.lat, side)
        for i in range(0, len(rows), CHUNK):
            at = rows[i : i + CHUNK], cols[i : i + CHUNK]
            yield at, (chips[:, *at].transpose(1, 2, 3, 0), lon[at], lat[at])

    @property
    def halo(self) -> int:
        return self.patch // 2

    @property
    def whole(self) -> np.ndarray:
        """bool (y, x): pixels whose chip holds no nodata."""
        chips = sliding_window_view(self.valid, (self.patch, self.patch))
        return np.asarray(chips.all(axis=(-2, -1)))

    @property
    def predictable(self) -> np.ndarray:
        """bool (y, x): wanted pixels that hold data, whatever lies around them."""
        h = self.halo
        return self.wanted & self.valid[h : len(self.valid) - h, h : self.valid.shape[1] - h]

    def blocks(self) -> Iterator[tuple[Place, tuple[np.ndarray, ...]]]:
        """Blocks of at most BLOCK x BLOCK pixels that hold a predictable one: where they are, and
        with their halo data (1, Y, X, band), lon, lat and valid (1, Y, X)."""
        todo = self.predictable
        height, width = todo.shape
        for row in range(0, height, BLOCK):
            for col in range(0, width, BLOCK):
                at = slice(row, min(row + BLOCK, height)), slice(col, min(col + BLOCK, width))
                if not todo[at].any():
                    continue
                outer = tuple(slice(s.start, s.stop + self.patch - 1) for s in at)
                data = self.data[:, *outer].transpose(1, 2, 0)
                others = (self.lon[outer], self.lat[outer], self.valid[outer])
                yield at, tuple(array[None] for array in (data, *others))


def checked_chips(
    chips: np.ndarray, lon: np.ndarray, lat: np.ndarray, bands: Sequence[str], patch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chips float32 (n, P, P, band), lon and lat float64 (n, P, P) for a model of those bands.

    Raises:
        ModelError: another shape, or a value that is not finite.
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
            f"lon {lon.shape} and lat {lat.shape} must both be {chips.shape[:3]}: the degrees "
            "of every pixel of every chip"
        )
    for name, array in (("chips", chips), ("lon", lon), ("lat", lat)):
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise ModelError(f"{bad} values in {name} are not finite; leave out chips with nodata")
    return chips, lon, lat
