"""Where to survey next: sites that most reduce the dissimilarity of the map to all plots.

Let D(p) be the dissimilarity of pixel p to the nearest plot and w(p) the width of its interval. The
gain of a site s is

    gain(s) = sum_p w(p) max(0, D(p)^2 - d(p, s)^2) / sum_p w(p) D(p)^2

the share of the width-weighted squared dissimilarity that it removes. Sites are chosen one after
the other: each is the best given those before it, which spreads them out. For such a sum the greedy
choice removes at least 63 % of what the best set of sites would remove (Nemhauser, Wolsey & Fisher
1978, Math. Program. 14:265, facility location).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_text, writing
from spatioformer.common.streams import Stream, generator
from spatioformer.common.tables import write_csv
from spatioformer.geo.geopackage import write_geopackage
from spatioformer.geo.outline import Outline, auto_outline, read_outline, require_plots
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.vector.access import Access
from spatioformer.models.uncertainty import Uncertainty

if TYPE_CHECKING:
    import geopandas as gpd

Floats = NDArray[np.float64]

PIXELS = 5000
"""Size of the random sample of pixels that represents the map, and of the sample of candidates."""

FORMATS = (".gpkg", ".csv", ".gpx")


def choose(
    points: Floats, weights: Floats, nearest: Floats, candidates: Floats, count: int
) -> tuple[NDArray[np.int64], Floats]:
    """Choose `count` sites greedily.

    Args:
        points: (m, q) pixels, in units of the dissimilarity index.
        weights: (m,) interval widths, at least 0.
        nearest: (m,) dissimilarity of the pixels to the nearest plot.
        candidates: (c, q) places that can be surveyed.
        count: number of sites to choose.

    Returns:
        Indices of candidates (count,), in order of choice, and the gain of each, 0 to 1.
    """
    squares = (points**2).sum(1) - 2 * candidates @ points.T + (candidates**2).sum(1)[:, None]
    apart = np.maximum(squares, 0).astype(np.float32)  # (c, m)
    left = (nearest**2).astype(np.float32)
    weights = (weights / max(float(weights @ nearest**2), 1e-300)).astype(np.float32)
    # A candidate's gain only falls as sites are chosen, so an old gain is an upper bound: only a
    # few gains are recomputed.
    bound = np.array([_gain(row, left, weights) for row in apart])
    chosen, gains = [], []
    for _ in range(count):
        while True:
            best = int(bound.argmax())
            gain = _gain(apart[best], left, weights)
            lower, bound[best] = gain < bound[best], gain
            if not lower or gain >= bound.max():
                break
        chosen.append(best)
        gains.append(gain)
        left = np.minimum(left, apart[best])
        bound[best] = -1  # a place is chosen once
    return np.array(chosen), np.array(gains)


def _gain(apart: NDArray, left: NDArray, weights: NDArray) -> float:
    return float(weights @ np.maximum(left - apart, 0))


@dataclass(frozen=True)
class _Pixels:
    """A sample of mapped pixels: points of the area of applicability, widths, places; (n, ...)."""

    points: Floats
    width: Floats
    di: Floats
    inside: NDArray[np.bool_]
    lon: Floats
    lat: Floats

    def __getitem__(self, rows) -> "_Pixels":
        return _Pixels(*(values[rows] for values in vars(self).values()))


def survey_outline(run: str | Path, outline: str | None = None) -> Outline | None:
    """The outline in which sites are proposed; None if nothing limits them but the map.

    Args:
        run: folder of a run.
        outline: "auto" (the countries of the run's plots), "none", or a file of polygons; None:
            "auto", unless the run's configuration states an outline, which limits the map already.

    Raises:
        OutputError: the folder is no run.
        PlotError: the file cannot be used, or holds no plot.
    """
    from spatioformer.config.file import load_config

    run = Path(run)
    _require(run, ("map.tif", "config.resolved.yaml", "plots.parquet"))
    if outline is None:
        imagery = load_config(run / "config.resolved.yaml").imagery
        stated = imagery is not None and (imagery.outline or imagery.region_file)
        outline = "none" if stated else "auto"
    if outline == "none":
        return None
    lon, lat = pd.read_parquet(run / "plots.parquet", columns=["lon", "lat"]).to_numpy().T
    if outline == "auto":
        return auto_outline(lon, lat)
    chosen = read_outline(outline)
    require_plots(chosen, lon, lat)
    return chosen


def _require(run: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (run / name).exists():
            raise OutputError(
                f"{run} is not a run with a map: {name} is missing; give the folder of a finished "
                "run"
            )


def propose(
    run: str | Path,
    count: int,
    access: Access | None = None,
    *,
    outline: Outline | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Sites to survey next, the best first.

    Args:
        run: folder of a run that has evaluated its model and made its map.
        count: number of sites.
        access: where people can go; None: everywhere on the map.
        outline: where sites may lie, as of `survey_outline`; None: everywhere on the map.
        seed: random seed for the sample of pixels.

    Returns:
        Columns site (1, 2, ...), lon, lat (degrees), gain (a share, see above), total_gain, and the
        present values of width (of the interval, species), di, and inside (the area of
        applicability).

    Raises:
        OutputError: the folder is no such run, or fewer than `count` pixels can be reached.
        ModelError: the model has no calibrated uncertainty.
    """
    run = Path(run)
    _require(run, ("map.tif", "imagery.tif", "model/config.json"))
    pixels = _read(run, Uncertainty.load(run / "model"))
    rng = generator(seed, Stream.SURVEY)
    targets = pixels[rng.permutation(len(pixels.di))[:PIXELS]]
    allowed = np.ones(len(pixels.di), bool)
    if access is not None:
        allowed = access.allows(pixels.lon, pixels.lat)
    if outline is not None:
        allowed &= outline.holds(pixels.lon, pixels.lat)
    reachable = np.flatnonzero(allowed)
    if len(reachable) < count:
        raise OutputError(
            f"only {len(reachable):,} of {len(allowed):,} mapped pixels can be reached"
            f"{f' inside the outline {outline.title}' if outline else ''}, fewer than the {count} "
            "requested sites; widen --within, exclude less, or request fewer sites"
        )
    candidates = pixels[rng.permutation(reachable)[: max(PIXELS, count)]]
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


def _read(run: Path, uncertainty: Uncertainty) -> _Pixels:
    """Read all mapped pixels, window by window; from a large map a regular subsample."""
    from spatioformer.models.uncertainty import predictors

    parts = []
    imagery = Stack(run / "imagery.tif", uncertainty.bands)
    with imagery as stack, open_raster(run / "map.tif") as mapped:
        mean_sd = [i for i, title in enumerate(mapped.descriptions, 1) if _is_input(title)]
        step = max(1, int((mapped.height * mapped.width / 4_000_000) ** 0.5))
        for window in stack.grid.windows(1024):
            layers = mapped.read(mean_sd, window=window)[:, ::step, ::step]
            rows, cols = np.nonzero(np.isfinite(layers[0]))
            data = stack.read(window)[0][:, ::step, ::step][:, rows, cols].T
            lon, lat = stack.grid.lonlat(window.row_off + step * rows, window.col_off + step * cols)
            mean, *sd = layers[:, rows, cols]
            intervals = uncertainty.layers(mean, sd[0] if sd else None, data, lon, lat)
            predictor_rows = predictors(data, lon, lat, uncertainty.lon_origin)
            points = uncertainty.area.points(predictor_rows)
            width = (intervals["upper"] - intervals["lower"]).astype(np.float64)
            di = intervals["di"].astype(np.float64)
            parts.append((points, width, di, intervals["inside"], lon, lat))
    return _Pixels(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _is_input(title: str | None) -> bool:
    return (title or "").endswith((", mean", ", standard deviation"))


def write_sites(sites: pd.DataFrame, out: str | Path) -> None:
    """Write the sites of `propose` as GeoPackage, CSV or GPX, by the suffix of `out`.

    Raises:
        OutputError: the suffix is not in FORMATS, or the file cannot be written.
    """
    out = Path(out)
    check_format(out)
    if out.suffix == ".csv":
        with writing(out) as part:
            write_csv(sites, part, float_format="%.6g")
    elif out.suffix == ".gpx":
        write_text(out, _gpx(sites))
    else:
        write_geopackage(_points(sites), out, "sites")


def check_format(out: str | Path) -> None:
    """Check the suffix of `out`.

    Raises:
        OutputError: the suffix is not in FORMATS.
    """
    if Path(out).suffix not in FORMATS:
        raise OutputError(
            f"cannot write {out}: {Path(out).suffix or 'no suffix'} is not supported; name a file "
            f"that ends with {', '.join(FORMATS)}"
        )


def _points(sites: pd.DataFrame) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    points = gpd.points_from_xy(sites["lon"], sites["lat"])
    return gpd.GeoDataFrame(sites, geometry=points, crs="EPSG:4326")


def _gpx(sites: pd.DataFrame) -> str:
    """Waypoints for a GPS receiver (GPX 1.1)."""
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
