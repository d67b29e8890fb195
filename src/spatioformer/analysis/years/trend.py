"""Compute a raster of mean, variability, trend and real changes from maps of several years.

Maps are read window by window, all years at once: memory grows with the years, not with the map.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import DatasetWriter
from rasterio.windows import Window

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
from spatioformer.common.version import __version__
from spatioformer.geo.raster.cog import BLOCK, cog
from spatioformer.geo.raster.writing import check_written
from spatioformer.mapping.raster import profile

CACHE = 64 * 2**20  # size of GDAL's block cache, bytes
PROBES = 64  # largest number of windows from which the autocorrelation is estimated

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
    """Settings of the test for a trend.

    Args:
        fdr: share of the significant pixels that may be false discoveries.
        least: years that a pixel needs for a slope and a test.
        rho: autocorrelation of the years' noise, 0 <= rho < 1; None estimates it from the maps.
    """

    fdr: float
    least: int
    rho: float | None


@dataclass
class TrendTotals:
    """Totals over all windows of a trend; `rho` is the autocorrelation used in the test."""

    rho: float
    p_threshold: float = -1.0
    pixels: int = 0
    slopes: float = 0.0
    changed: int = 0
    rising: int = 0
    falling: int = 0
    p: PValues = field(default_factory=PValues)


def write_trend(series: Series, out: Path, rule: Rule, console: Console) -> TrendTotals:
    """Write the raster of BANDS, and of CHANGES if the maps have intervals.

    Raises:
        ImageryError: a map is damaged.
        OutputError: no space, or a folder that cannot be written.
    """
    bands = BANDS | (CHANGES if "lower" in series.layers else {})
    # Band interleaving, because `significant` is written last, when all p values are known.
    shape = profile(series.grid, len(bands)) | {"interleave": "band"}
    windows = list(series.grid.windows(BLOCK))
    with writing(out) as part, rasterio.Env(GDAL_CACHEMAX=CACHE):
        totals = TrendTotals(autocorrelation(series) if rule.rho is None else rule.rho)
        with cog(part, out, shape) as raw:
            _describe(raw, bands, series)
            for window in console.track(windows, "trend"):
                layers = window_layers(series.read(window), series.years, rule.least, totals.rho)
                _count(totals, layers)
                if (layers["years"] > 0).any():
                    height, width = window.height, window.width
                    for number, name in enumerate(bands, start=1):
                        if name != "significant":
                            raw.write(layers[name].reshape(height, width), number, window=window)
            totals.p_threshold = totals.p.threshold(rule.fdr)
            for window in windows:
                _mark(raw, list(bands), window, totals)
            raw.update_tags(
                FALSE_DISCOVERY_RATE=str(rule.fdr),
                P_THRESHOLD=f"{totals.p_threshold:.6g}",
                LEAST_YEARS=str(rule.least),
                AUTOCORRELATION=str(totals.rho),
            )
        check_written(part, out, [totals.pixels])
    return totals


def autocorrelation(series: Series) -> float:
    """Autocorrelation of the years' noise, from at most PROBES windows spread over the map."""
    windows = list(series.grid.windows(BLOCK))
    estimate = Autocorrelation(len(series.years))
    for window in windows[:: -(-len(windows) // PROBES)]:
        estimate.add(series.read(window)[0])
    return estimate.rho


def window_layers(
    values: np.ndarray, years: np.ndarray, least: int, rho: float
) -> dict[str, np.ndarray]:
    """Compute all layers of a window but `significant`: float32 (pixel,), NaN where not defined.

    Args:
        values: float32 (layer, year, pixel): mean, or mean, lower, upper; in species.
        years: (year,), ascending.
        least: years a pixel needs for a slope and a test.
        rho: autocorrelation of the years' noise, for the test.
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
    layers = {"mean": average, "sd": spread, "years": count, "slope": slope, "p": p}
    if len(values) == 3:
        layers |= _changes(values.astype(np.float64), years)
    for layer in layers:
        layers[layer] = np.where(count > 0, layers[layer], np.nan).astype(np.float32)
    return layers


def _changes(values: np.ndarray, years: np.ndarray) -> dict[str, np.ndarray]:
    """The layers of CHANGES, (pixel,); a change from 2015 to 2016 is dated 2016."""
    real = real_changes(*values) != 0
    changed, newer = real.any(0), years[1:]
    return {
        "changes": real.sum(0),
        "first_change": np.where(changed, newer[real.argmax(0)], np.nan),
        "last_change": np.where(changed, newer[::-1][real[::-1].argmax(0)], np.nan),
    }


def _count(totals: TrendTotals, layers: dict[str, np.ndarray]) -> None:
    totals.pixels += int((layers["years"] > 0).sum())
    totals.slopes += float(np.nansum(layers["slope"], dtype=np.float64))
    totals.p.add(layers["p"])
    if "changes" in layers:
        totals.changed += int((layers["changes"] > 0).sum())


def _mark(raw: DatasetWriter, bands: list[str], window: Window, totals: TrendTotals) -> None:
    """Write `significant` in one window, and count rising and falling pixels."""
    p, slope = (raw.read(bands.index(name) + 1, window=window) for name in ("p", "slope"))
    tested = np.isfinite(p)
    if tested.any():
        significant = p <= np.float32(totals.p_threshold)
        totals.rising += int((significant & (slope > 0)).sum())
        totals.falling += int((significant & (slope < 0)).sum())
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
