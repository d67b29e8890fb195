"""Layers of a run: what each shows, how it is coloured, and how its numbers are packed in tiles.

A tile carries numbers: value = (R * 256 + G) * scale + offset. So scale and offset follow from the
smallest and largest value of all pixels of the layer, over all its years.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatioformer.viewer.rasters import Raster

Floats = NDArray[np.float32]
Text = Mapping[str, str]
"""A text in English and Spanish: {"en": ..., "es": ...}."""

STEPS = 65535
"""Largest number that a tile's two bytes hold."""

ALIKE = 1e-5
"""Largest relative difference of values that are taken for the same in a legend."""

Group = Literal["richness", "uncertainty", "applicability", "change", "imagery"]
Kind = Literal["continuous", "diverging", "classes", "rgb"]


@dataclass(frozen=True)
class Look:
    """How a layer is named and coloured.

    Attributes:
        colours: name of the colour scale, see `style.SCALES`; empty for classes and pictures.
        classes: value, title and colour of each class.
    """

    group: Group
    title: Text
    unit: Text = field(default_factory=lambda: {"en": "", "es": ""})
    kind: Kind = "continuous"
    colours: str = ""
    classes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Layer:
    """A layer that is served.

    Attributes:
        id: its name in addresses.
        look: title, unit and colours.
        rasters: year, or "all", -> the raster.
        bands: names of the bands that are read: one, "lower" and "upper" of which the difference is
            shown, or three of a picture.
        span: smallest and largest value of the layer's pixels.
        legend: ends of the legend; for pictures those of each band.
        trust: band that says where the model applies, or None.
        applies: value of that band where the model applies; elsewhere it is 1 less this value.
    """

    id: str
    look: Look
    rasters: Mapping[int | str, Raster]
    bands: tuple[str, ...]
    span: tuple[float, float] = (0.0, 1.0)
    legend: tuple[float, float] | tuple[tuple[float, float], ...] = (0.0, 1.0)
    trust: str | None = None
    applies: int = 1

    @property
    def offset(self) -> float:
        return self.span[0]

    @property
    def scale(self) -> float:
        """Step between two numbers of a tile; 1 if all values are equal."""
        return (self.span[1] - self.span[0]) / STEPS or 1.0

    @property
    def years(self) -> list[int]:
        return sorted(year for year in self.rasters if isinstance(year, int))

    @property
    def maxzoom(self) -> int:
        """Zoom at which a tile's pixel is at most as large as the raster's."""
        return max(raster.maxzoom for raster in self.rasters.values())

    @property
    def combine(self) -> Callable[[Floats], Floats]:
        """From the bands (band, ...) to the layer's values (...)."""
        return _width if self.bands == ("lower", "upper") else _first

    def to_json(self) -> dict[str, Any]:
        """Description in `run.json`."""
        look = self.look
        minzoom = max(raster.minzoom for raster in self.rasters.values())
        return {
            "id": self.id,
            "group": look.group,
            "title": dict(look.title),
            "unit": dict(look.unit),
            "years": self.years or None,
            "kind": look.kind,
            "colours": look.colours,
            "range": None if look.kind == "rgb" else list(self.legend),
            "scale": self.scale,
            "offset": self.offset,
            "classes": list(look.classes) or None,
            "hatch": self.trust is not None,
            "minzoom": minzoom,
            "maxzoom": self.maxzoom,
        }


def _first(bands: Floats) -> Floats:
    return bands[0]


def _width(bands: Floats) -> Floats:
    return bands[1] - bands[0]


def span_of(rasters: Mapping[int | str, Raster], bands: tuple[str, ...]) -> tuple[float, float]:
    """Numbers between which all values of a layer lie.

    The width of an interval is at least 0 and at most the largest upper less the smallest lower.
    """
    ranges = [raster.ranges for raster in rasters.values()]
    if bands == ("lower", "upper"):
        low = min(r["lower"][0] for r in ranges)
        return 0.0, max(0.0, max(r["upper"][1] for r in ranges) - low)
    return min(r[bands[0]][0] for r in ranges), max(r[bands[0]][1] for r in ranges)


def legend_of(values: Floats, kind: Kind, span: tuple[float, float]) -> tuple[float, float]:
    """Ends of the legend: percentiles 1 and 99, rounded outwards; symmetric where diverging."""
    values = values[np.isfinite(values)]
    if not values.size or kind == "classes":
        return span
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    if kind == "diverging":
        high = max(abs(low), abs(high))
        low = -high
    if high - low <= ALIKE * max(abs(low), abs(high)):  # rounding of 32 bits
        return float(f"{low:.4g}"), float(f"{low:.4g}") + 1.0
    step = _step(high - low)
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def _step(width: float) -> float:
    """A twentieth of a width, rounded down to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(width / 20))
    return float(max(m * power for m in (1, 2, 5) if m * power <= width / 20))
