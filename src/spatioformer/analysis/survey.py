"""Where to survey next: the sites that would leave least of the map unlike every plot.

Let D(p) be the dissimilarity of pixel p to the nearest plot and w(p) the width of its interval. A
site s is worth

    gain(s) = sum_p w(p) max(0, D(p)^2 - d(p, s)^2) / sum_p w(p) D(p)^2

the share of the width-weighted squared dissimilarity that it removes. Sites are taken one by one,
each the best when those before it are surveyed: that spreads them out, and for such a sum the
greedy choice keeps at least 63 % of what the best set of sites would remove (Nemhauser, Wolsey &
Fisher 1978, Math. Program. 14:265, facility location).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray

from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_text, writing
from spatioformer.common.streams import Stream, generator
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.vector.access import Access
from spatioformer.models.uncertainty import Uncertainty

if TYPE_CHECKING:
    import geopandas as gpd

Floats = NDArray[np.float64]

PIXELS = 5000
"""Pixels that stand for the map, drawn evenly, and as many that may become sites."""

FORMATS = (".gpkg", ".csv", ".gpx")


def choose(
    points: Floats, weights: Floats, nearest: Floats, candidates: Floats, count: int
) -> tuple[NDArray[np.int64], Floats]:
    """The greedy choice.

    Args:
        points: (m, q) pixels, in units of the dissimilarity index.
        weights: (m,) at least 0; `nearest`: (m,) dissimilarity of the pixels before any site.
        candidates: (c, q) places that can be surveyed; `count` of them are taken.

    Returns:
        Indices of candidates (count,), in order of choice, and the gain of each, a share.
    """
    squares = (points**2).sum(1) - 2 * candidates @ points.T + (candidates**2).sum(1)[:, None]
    apart = np.maximum(squares, 0).astype(np.float32)  # (c, m)
    left = (nearest**2).astype(np.float32)
    weights = (weights / max(float(weights @ nearest**2), 1e-300)).astype(np.float32)
    # A candidate's gain only falls as sites are taken, so an old gain is a bound: few are renewed.
    bound = np.array([_gain(row, left, weights) for row in apart])
    chosen, gains = [], []
    for _ in range(count):
        while True:
            best = int(bound.argmax())
            gain = _gain(apart[best], left, weights)
            renewed, bound[best] = gain < bound[best], gain
            if not renewed or gain >= bound.max():
                break
        chosen.append(best)
        gains.append(gain)
        left = np.minimum(left, apart[best])
        bound[best] = -1  # a place is proposed once
    return np.array(chosen), np.array(gains)


def _gain(apart: NDArray, left: NDArray, weights: NDArray) -> float:
    return float(weights @ np.maximum(left - apart, 0))


@dataclass(frozen=True)
class _Pixels:
    """Some mapped pixels: predictors of the area, width, dissimilarity, place; (n, ...) each."""

    points: Floats
    width: Floats
    di: Floats
    inside: NDArray[np.bool_]
    lon: Floats
    lat: Floats

    def __getitem__(self, rows) -> "_Pixels":
        return _Pixels(*(values[rows] for values in vars(self).values()))


def propose(
    run: str | Path, count: int, access: Access | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Sites to survey next, the best first.

    Args:
        run: folder of a run whose map is made and whose model was evaluated.
        count: how many sites.
        access: where people can go; None is everywhere on the map.
        seed: of the pixels that stand for the map.

    Returns:
        Columns site (1, 2, ...), lon, lat (degrees), gain (a share, see above), total_gain, width
        (of the interval now, species), di (now), inside (the area of applicability now).

    Raises:
        OutputError: the folder is no such run, or fewer than `count` pixels can be reached.
        ModelError: the model was never calibrated.
    """
    run = Path(run)
    for name in ("map.tif", "imagery.tif", "model/config.json"):
        if not (run / name).exists():
            raise OutputError(
                f"{run} is no run with a map: {name} is missing; give the folder of a finished run"
            )
    pixels = _read(run, Uncertainty.load(run / "model"))
    rng = generator(seed, Stream.SURVEY)
    targets = pixels[rng.permutation(len(pixels.di))[:PIXELS]]
    reach = np.ones(len(pixels.di), bool)
    if access is not None:
        reach = access.allows(pixels.lon, pixels.lat)
    open_to = np.flatnonzero(reach)
    if len(open_to) < count:
        raise OutputError(
            f"only {len(open_to):,} of {len(reach):,} mapped pixels can be reached, fewer than the "
            f"{count} sites asked for; widen --within, exclude less, or ask for fewer sites"
        )
    candidates = pixels[rng.permutation(open_to)[: max(PIXELS, count)]]
    chosen, gain = choose(targets.points, targets.width, targets.di, candidates.points, count)
    sites = candidates[chosen]
    return pd.DataFrame(
        {
            "site": np.arange(1, count + 1),
            "lon": sites.lon,
            "lat": sites.lat,
            "gain": gain,
            "total_gain": gain.cumsum(),
            "width": sites.width,
            "di": sites.di,
            "inside": sites.inside,
        }
    )


def _read(run: Path, known: Uncertainty) -> _Pixels:
    """Every mapped pixel, window by window; of a large map an even share."""
    from spatioformer.models.uncertainty import predictors

    parts = []
    with Stack(run / "imagery.tif", known.bands) as stack, rasterio.open(run / "map.tif") as mapped:
        mean_sd = [i for i, title in enumerate(mapped.descriptions, 1) if _is_input(title)]
        step = max(1, int((mapped.height * mapped.width / 4_000_000) ** 0.5))
        for window in stack.grid.windows(1024):
            layers = mapped.read(mean_sd, window=window)[:, ::step, ::step]
            rows, cols = np.nonzero(np.isfinite(layers[0]))
            data = stack.read(window)[0][:, ::step, ::step][:, rows, cols].T
            lon, lat = stack.grid.lonlat(window.row_off + step * rows, window.col_off + step * cols)
            mean, *sd = layers[:, rows, cols]
            found = known.layers(mean, sd[0] if sd else None, data, lon, lat)
            points = known.area.points(predictors(data, lon, lat, known.lon_origin))
            width = (found["upper"] - found["lower"]).astype(np.float64)
            di = found["di"].astype(np.float64)
            parts.append((points, width, di, found["inside"], lon, lat))
    return _Pixels(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _is_input(title: str | None) -> bool:
    return (title or "").endswith((", mean", ", standard deviation"))


def write_sites(sites: pd.DataFrame, out: str | Path) -> None:
    """Write what `propose` gives as GeoPackage, CSV or GPX, by the suffix of `out`.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    out = Path(out)
    check_format(out)
    if out.suffix == ".csv":
        with writing(out) as part:
            sites.to_csv(part, index=False, float_format="%.6g")
    elif out.suffix == ".gpx":
        write_text(out, _gpx(sites))
    else:
        with writing(out) as part:
            _points(sites).to_file(part, driver="GPKG", layer="sites")


def check_format(out: str | Path) -> None:
    """Raises:
    OutputError: the suffix is none of FORMATS.
    """
    if Path(out).suffix not in FORMATS:
        raise OutputError(
            f"cannot write {out}: {Path(out).suffix or 'no suffix'} is not known; name a file that "
            f"ends with {', '.join(FORMATS)}"
        )


def _points(sites: pd.DataFrame) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    where = gpd.points_from_xy(sites["lon"], sites["lat"])
    return gpd.GeoDataFrame(sites, geometry=where, crs="EPSG:4326")


def _gpx(sites: pd.DataFrame) -> str:
    """Waypoints for a hand-held receiver (GPX 1.1)."""
    lines = [
        f'  <wpt lat="{site.lat:.6f}" lon="{site.lon:.6f}"><name>{escape(str(site.site))}</name>'
        f"<desc>gain {site.gain:.3%}, interval {site.width:.1f} species wide</desc></wpt>"
        for site in sites.itertuples()
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<gpx version="1.1" creator="spatioformer" xmlns="http://www.topografix.com/GPX/1/1">',
            *lines,
            "</gpx>\n",
        ]
    )
