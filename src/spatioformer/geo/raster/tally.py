"""Count values that look like missing data that no one declared."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

SHARE = 0.001  # of the pixels read; fewer are no remark
HUGE = 1e19  # no measurement is larger, but fill values such as 1e20 and -3.4e38 are
USUAL = (
    *(-999, -9999, -99999, -999999, 99999, 999999, -32768, -32767, 32767, 65535),
    *(-(2**31), 2**31 - 1, 2**32 - 1),
)
"""Values that files use for missing data, as integers."""


class Tally:
    """Counts, while a layer is read, of values that look like missing ones that no one declared.

    Only the smallest and the largest value of each window are looked at, for fill values lie
    outside the measurements.

    Args:
        units: (scale, offset) of each band.
    """

    def __init__(self, units: Sequence[tuple[float, float]]):
        self._units = units
        self._pixels = 0
        self._counts: Counter[float] = Counter()

    def add(self, values: np.ndarray) -> None:
        """Count in values (band, y, x), scaled, NaN where there is no data."""
        self._pixels += values.size
        if not values.size:
            return
        lows = np.fmin.reduce(values, axis=(1, 2))
        highs = np.fmax.reduce(values, axis=(1, 2))
        for band, low, high, (scale, offset) in zip(values, lows, highs, self._units, strict=True):
            for extreme in {float(low), float(high)}:
                raw = _unscaled(extreme, scale, offset)
                if raw is not None:
                    self._counts[raw] += int((band == extreme).sum())

    def suspect(self) -> tuple[float, float] | None:
        """The raw value that occurs most, and its share of the pixels if above 0.1 %; else None."""
        if not self._counts:
            return None
        value, count = self._counts.most_common(1)[0]
        share = count / self._pixels
        return (value, share) if share > SHARE else None

    def remark(self, name: str) -> str | None:
        """A sentence on the value that `suspect` returns."""
        suspect = self.suspect()
        if suspect is None:
            return None
        value, share = suspect
        shown = f"{value:.8g}"
        return (
            f"{100 * share:.2g} % of the values of {name} are {shown}, which looks like missing "
            f"data; if it is, set `nodata: {shown}` in that layer"
        )


def _unscaled(value: float, scale: float, offset: float) -> float | None:
    """The raw value if it looks like missing data, else None."""
    if not np.isfinite(value) or not scale:
        return None
    raw = (value - offset) / scale
    if abs(raw) >= HUGE:
        return raw
    near = round(raw)
    usual = near in USUAL and abs(raw - near) <= 1e-6 * abs(near)
    return float(near) if usual else None
