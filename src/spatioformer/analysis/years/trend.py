"""Maps of several years -> one raster of their mean, variability, trend and real changes.

Read window by window, all years of a window at once: memory grows with the years, not the map.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from spatioformer import __version__
from spatioformer.analysis.trends import (
    Autocorrelation,
    PValues,
    mann_kendall,
    real_changes,
    theil_sen,
)
from spatioformer.analysis.years.series import Series
from spatioformer.common.files import writing
from spatioformer.common.progress import Console
from spatioformer.geo.raster.stack import check_written
from spatioformer.mapping.raster import BLOCK, cog, profile

CACHE = 64 * 2**20  # bytes of GDAL's block cache
PROBES = 64  # windows from which the autocorrelation is estimated

BANDS = {
    "mean": ("mean over years", "species"),
    "sd": ("standard deviation over years", "species"),
    "years": ("years with a value", ""),
    "slope": ("Theil-Sen slope", "species/year"),
    "p": ("p of the Mann-Kendall test", ""),
    "significant": ("trend significant (1) or not (0)", ""),
}
CHANGES = {
    "changes": ("changes between years larger than their interval", ""),
    "first_change": ("year of the first such change", "year"),
    "last_change": ("year of the last such change", "year"),
}
KEPT_TAGS = ("TARGET", "GRAIN", "MODEL", "MODEL_ID", "VIRTUAL")


@dataclass(frozen=True)
class Rule:
    """How a trend is tested.

    Args:
        fdr: share of the significant pixels that may be false discoveries.
        least: years a pixel needs for a slope and a test.
        rho: autocorrelation of the years' noise; None to estimate it from the maps.
    """

    fdr: float
    least: int
    rho: float | None


@dataclass
class Found:
    """What the windows of a trend add up to; `rho` is what the test allowed for."""

    rho: float
    p_threshold: float = -1.0
    pixels: int = 0
    slopes: float = 0.0
    changed: int = 0
    rising: int = 0
    falling: int = 0
    p: PValues = field(default_factory=PValues)


def write_trend(series: Series, out: Path, rule: Rule, console: Console) -> Found:
    """Write the raster of BANDS, and of CHANGES where the maps have intervals.

    Raises:
        ImageryError: a map is damaged.
        OutputError: no space, or an unwritable place.
    """
    bands = BANDS | (CHANGES if "lower" in series.layers else {})
    # A file of bands apart: `significant` is written when all p are known, and p read back.
    shape = profile(series.grid, len(bands)) | {"interleave": "band"}
    windows = list(series.grid.windows(BLOCK))
    with writing(out) as part, rasterio.Env(GDAL_CACHEMAX=CACHE):
        found = Found(autocorrelation(series) if rule.rho is None else rule.rho)
        with cog(part, out, shape) as raw:
            _describe(raw, bands, series)
            for window in console.track(windows, "trend"):
                layers = window_layers(series.read(window), series.years, rule.least, found.rho)
                _count(found, layers)
                if (layers["years"] > 0).any():
                    height, width = window.height, window.width
                    for number, name in enumerate(bands, start=1):
                        if name != "significant":
                            raw.write(layers[name].reshape(height, width), number, window=window)
            found.p_threshold = found.p.threshold(rule.fdr)
            for window in windows:
                _mark(raw, list(bands), window, found)
            raw.update_tags(
                FALSE_DISCOVERY_RATE=str(rule.fdr),
                P_THRESHOLD=f"{found.p_threshold:.6g}",
                LEAST_YEARS=str(rule.least),
                AUTOCORRELATION=str(found.rho),
            )
        check_written(part, out, [found.pixels])
    return found


def autocorrelation(series: Series) -> float:
    """Of the years' noise, from at most PROBES windows spread evenly over the map."""
    windows = list(series.grid.windows(BLOCK))
    found = Autocorrelation(len(series.years))
    for window in windows[:: -(-len(windows) // PROBES)]:
        found.add(series.read(window)[0])
    return found.rho


def window_layers(
    values: np.ndarray, years: np.ndarray, least: int, rho: float
) -> dict[str, np.ndarray]:
    """The layers of a window, all but `significant`, float32 (pixel,); NaN where not defined.

    Args:
        values: float32 (layer, year, pixel): the mean; or mean, lower, upper.
        years: (year,), ascending.
        least: years a pixel needs for a slope and a test.
        rho: autocorrelation of the years' noise, which the test allows for.
    """
    mean = values[0].astype(np.float64)
    count = np.isfinite(mean).sum(0)
    slope, p = theil_sen(mean, years), mann_kendall(mean, rho)[1]
    slope[count < least] = p[count < least] = np.nan
    total = np.nansum(mean, axis=0)
    average = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    squares = np.nansum((mean - average) ** 2, axis=0)
    spread = np.sqrt(
        np.divide(squares, count - 1, out=np.full(count.shape, np.nan), where=count > 1)
    )
    found = {"mean": average, "sd": spread, "years": count, "slope": slope, "p": p}
    if len(values) == 3:
        found |= _changes(values.astype(np.float64), years)
    for layer in found:
        found[layer] = np.where(count > 0, found[layer], np.nan).astype(np.float32)
    return found


def _changes(values: np.ndarray, years: np.ndarray) -> dict[str, np.ndarray]:
    """The layers of CHANGES (pixel,): a change from 2015 to 2016 is of the year 2016."""
    real = real_changes(*values) != 0
    some, newer = real.any(0), years[1:]
    return {
        "changes": real.sum(0),
        "first_change": np.where(some, newer[real.argmax(0)], np.nan),
        "last_change": np.where(some, newer[::-1][real[::-1].argmax(0)], np.nan),
    }


def _count(found: Found, layers: dict[str, np.ndarray]) -> None:
    found.pixels += int((layers["years"] > 0).sum())
    found.slopes += float(np.nansum(layers["slope"], dtype=np.float64))
    found.p.add(layers["p"])
    if "changes" in layers:
        found.changed += int((layers["changes"] > 0).sum())


def _mark(raw: DatasetWriter, bands: list[str], window: Window, found: Found) -> None:
    """Write `significant` in one window."""
    p, slope = (raw.read(bands.index(name) + 1, window=window) for name in ("p", "slope"))
    tested = np.isfinite(p)
    if tested.any():
        significant = p <= np.float32(found.p_threshold)
        found.rising += int((significant & (slope > 0)).sum())
        found.falling += int((significant & (slope < 0)).sum())
        marked = np.where(tested, significant, np.nan).astype(np.float32)
        raw.write(marked, bands.index("significant") + 1, window=window)


def _describe(raw: DatasetWriter, bands: dict[str, tuple[str, str]], series: Series) -> None:
    target = series.tags.get("TARGET", "plant species richness")
    for number, (title, unit) in enumerate(bands.values(), start=1):
        raw.set_band_description(number, f"{target}, {title}")
        if unit:
            raw.set_band_unit(number, unit)
    raw.update_tags(
        SOFTWARE=f"spatioformer {__version__}",
        YEARS=",".join(map(str, series.years.tolist())),
        **{name: value for name, value in series.tags.items() if name in KEPT_TAGS},
    )
