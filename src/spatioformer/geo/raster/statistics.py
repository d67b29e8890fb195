"""Statistics of the bands of a stack, gathered while it is written."""

from collections.abc import Sequence

import numpy as np

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.layers import Layer


def no_data(band: str) -> ImageryError:
    """Error for a band without any value on the grid."""
    return ImageryError(
        f"band {band} has no data at all on the chosen grid and region (all nodata, or the rasters "
        "do not overlap); check the files, `nodata` and `region`"
    )


class Statistics:
    """Running count, mean, spread and range of each band over the pixels to predict."""

    def __init__(self, names: list[str]):
        self.names = names
        self.pixels = self.wanted = 0
        self.count = np.zeros(len(names), np.int64)
        self.sums = np.zeros((2, len(names)))
        self.low = np.full(len(names), np.inf)
        self.high = np.full(len(names), -np.inf)

    def add(self, data: np.ndarray, wanted: np.ndarray) -> None:
        """Count in a window: data (band, y, x), wanted (y, x)."""
        self.pixels += wanted.size
        self.wanted += int(wanted.sum())
        for i, band in enumerate(data):
            values = band[np.isfinite(band)].astype(np.float64)
            if values.size:
                self.count[i] += values.size
                self.sums[:, i] += values.sum(), (values**2).sum()
                self.low[i] = min(self.low[i], values.min())
                self.high[i] = max(self.high[i], values.max())

    def tags(self) -> list[dict[str, str]]:
        """GDAL's tags for the statistics of each band; none for a band without a value."""
        every: list[dict[str, str]] = []
        for i, count in enumerate(self.count.tolist()):
            if not count:
                every.append({})
                continue
            mean, sd = self._moments(i)
            values = {
                "MINIMUM": self.low[i],
                "MAXIMUM": self.high[i],
                "MEAN": mean,
                "STDDEV": sd,
                "VALID_PERCENT": 100 * count / self.pixels,
            }
            every.append({f"STATISTICS_{key}": f"{value:.10g}" for key, value in values.items()})
        return every

    def _moments(self, i: int) -> tuple[float, float]:
        mean = float(self.sums[0, i] / self.count[i])
        return mean, float(np.sqrt(max(self.sums[1, i] / self.count[i] - mean**2, 0)))

    def summary(self, layers: Sequence[Layer]) -> dict:
        """Numbers of pixels, and of each band range, mean, spread and share of values.

        Raises:
            ImageryError: a band has no data, or no pixel has all bands.
        """
        empty = [n for n, c in zip(self.names, self.count, strict=True) if c == 0]
        if empty:
            raise no_data(empty[0])
        if self.wanted == 0:
            raise ImageryError(
                "no pixel with data in every band remains after the masks; check that the rasters "
                f"overlap ({', '.join(layer.name for layer in layers)}), and which classes "
                "`exclude` names"
            )
        mean = self.sums[0] / self.count
        sd = np.sqrt(np.maximum(self.sums[1] / self.count - mean**2, 0))
        return {
            "pixels": self.pixels,
            "pixels_to_predict": self.wanted,
            "statistics": {
                name: {
                    "min": float(self.low[i]),
                    "max": float(self.high[i]),
                    "mean": float(mean[i]),
                    "sd": float(sd[i]),
                    "valid_share": float(self.count[i] / self.pixels),
                }
                for i, name in enumerate(self.names)
            },
        }
