"""What is known of a clicked place: value, interval, applicability, years, and plots like it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.analysis.trends import FEWEST_YEARS, exact_p, theil_sen
from spatioformer.common.earth import MEAN_RADIUS_KM, arc, unit_vectors
from spatioformer.common.errors import SpatioformerError
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.uncertainty import Uncertainty, predictors
from spatioformer.viewer.catalogue import IMAGERY
from spatioformer.viewer.layers import Text
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.texts import text
from spatioformer.viewer.unmapped import OUTSIDE

Floats = NDArray[np.float64]

SHOWN = 5
"""Number of nearest plots, and of plots most alike."""


def at(run: ViewedRun, lon: float, lat: float, year: int | None) -> dict[str, Any]:
    """Content of `at.json`. Call it in the rasters' pool.

    Args:
        lon, lat: degrees.
        year: of the map; None: the run's own map.

    Raises:
        ImageryError: a raster is damaged.
    """
    raster = run.map_of(year)
    assert raster is not None  # the caller has checked the year
    pixel = run.rasters.pixel(raster, lon, lat)
    answer: dict[str, Any] = {"lon": lon, "lat": lat, "inside": pixel is not None}
    pixel = pixel or {}
    value = pixel.get("mean", np.nan)
    answer |= {"value": value, **{key: pixel.get(key) for key in ("lower", "upper", "sd")}}
    answer |= _applies(run, lon, lat, pixel)
    answer |= _series(run, lon, lat)
    return answer | _plots(run, lon, lat)


def _applies(run: ViewedRun, lon: float, lat: float, pixel: dict[str, float]) -> dict[str, Any]:
    """Whether the model applies at a mapped pixel, and why."""
    uncertainty, di = run.uncertainty, pixel.get("di", np.nan)
    answer = dict.fromkeys(("applies", "dissimilarity", "threshold", "missing"))
    if not np.isfinite(pixel.get("mean", np.nan)):
        missing, why = run.unmapped.reason(lon, lat) if pixel else ("outside", OUTSIDE)
        return answer | {"missing": missing, "why": why}
    if uncertainty is None or not np.isfinite(di):
        why = text(
            "The run did not measure where its model applies.",
            "La ejecución no midió dónde es aplicable su modelo.",
        )
        return answer | {"why": why}
    threshold = float(uncertainty.area.threshold_)
    inside = pixel.get("inside")
    applies = di <= threshold if inside is None else inside >= 0.5
    return {
        "applies": bool(applies),
        "dissimilarity": di,
        "threshold": threshold,
        "missing": None,
        "why": _why(applies, _largest_gap(run, uncertainty, lon, lat)),
    }


def _why(applies: bool, gap: str | None) -> Text:
    if applies:
        return text(
            "Some plots have conditions like those here.",
            "Algunas parcelas tienen condiciones como las de aquí.",
        )
    en, es = (
        "No plot has conditions like those here.",
        "Ninguna parcela tiene condiciones como las de aquí.",
    )
    if gap is None:
        return text(en, es)
    return text(
        f"{en} The largest difference to the most similar plot is in {gap}.",
        f"{es} La mayor diferencia con la parcela más parecida está en {gap}.",
    )


def _largest_gap(run: ViewedRun, uncertainty: Uncertainty, lon: float, lat: float) -> str | None:
    """Name of the predictor in which a place differs most from the plot most like it."""
    here = _features(run, uncertainty, lon, lat)
    if here is None:
        return None
    points, used = plot_points(run, uncertainty)
    nearest = points[np.linalg.norm(points - here, axis=1).argmin()]
    return used[int(np.abs(here - nearest).argmax())]


def plot_points(run: ViewedRun, uncertainty: Uncertainty) -> tuple[Floats, list[str]]:
    """Plots as points (n, q) whose distances are dissimilarities, and names of the q predictors."""
    if "points" not in run.memo:
        store = run.store
        half = store.patch // 2
        pixels = np.asarray(store.chips[:, half, half], np.float64)
        lon, lat = store.coordinates.T
        columns = [store.bands.index(band) for band in uncertainty.bands]
        table = predictors(pixels[:, columns], lon, lat, uncertainty.lon_origin)
        names = [*uncertainty.bands, "longitude", "latitude"]
        used = [n for n, u in zip(names, uncertainty.area.state()["used"], strict=True) if u]
        run.memo["points"] = uncertainty.area.points(table), used
    return run.memo["points"]


def _features(run: ViewedRun, uncertainty: Uncertainty, lon: float, lat: float) -> Floats | None:
    """A place as a point (q,); None where the run's imagery has no value."""
    if not (run.folder / IMAGERY).is_file():
        return None
    with Stack(run.folder / IMAGERY, uncertainty.bands) as stack:
        row, col = (int(v) for v in stack.grid.pixel(np.array(lon), np.array(lat)))
        if not stack.grid.holds(np.array(row), np.array(col)):
            return None
        data, valid, _ = stack.read(Window(col, row, 1, 1))
        if not valid[0, 0]:
            return None
        centre = stack.grid.lonlat(np.array([row]), np.array([col]))
    table = predictors(data[:, 0, 0][None], *centre, uncertainty.lon_origin)
    return uncertainty.area.points(table)[0]


def _series(run: ViewedRun, lon: float, lat: float) -> dict[str, Any]:
    """Values of all years at a place, and the Theil-Sen slope."""
    series = []
    for year in run.years:
        raster = run.map_of(year)
        pixel = (raster and run.rasters.pixel(raster, lon, lat)) or {}
        if np.isfinite(pixel.get("mean", np.nan)):
            ends = {key: pixel.get(key) for key in ("lower", "upper")}
            series.append({"year": year, "value": pixel["mean"], **ends})
    if len(series) < FEWEST_YEARS:
        return {"series": series, "trend": None}
    years = np.array([entry["year"] for entry in series])
    values = np.array([entry["value"] for entry in series], np.float64)
    slope, low, high = (float(v) for v in slope_interval(values, years, 0.9))
    return {"series": series, "trend": {"slope": slope, "lower": low, "upper": high}}


def slope_interval(values: Floats, years: NDArray, level: float) -> tuple[float, float, float]:
    """Theil-Sen slope and its interval from the null distribution of Kendall's S.

    It holds the slopes that a test at 1 - level would not reject (Sen 1968, section 4). Years are
    taken to be independent. The ends are infinite where the years are too few for the level.
    """
    slope = float(theil_sen(values[:, None], years)[0])
    first, second = np.triu_indices(len(values), 1)
    slopes = np.sort((values[second] - values[first]) / (years[second] - years[first]))
    p = exact_p(len(values))
    beyond = np.flatnonzero(p <= 1 - level)
    if not beyond.size:
        return slope, -np.inf, np.inf
    least = int(beyond[0])
    least += (len(slopes) - least) % 2  # S has the parity of the number of pairs
    low = (len(slopes) - least) // 2
    return slope, float(slopes[low]), float(slopes[len(slopes) - 1 - low])


def _plots(run: ViewedRun, lon: float, lat: float) -> dict[str, Any]:
    """The nearest plots, and those most alike in the predictors of the area of applicability."""
    try:
        plots = run.plots
    except SpatioformerError:  # a run folder without its chips
        return {"nearest": [], "alike": []}
    places = unit_vectors(plots["lon"].to_numpy(), plots["lat"].to_numpy())
    chords = np.linalg.norm(places - unit_vectors(np.array([lon]), np.array([lat])), axis=1)
    km = arc(chords * MEAN_RADIUS_KM, MEAN_RADIUS_KM)
    nearest = [_plot(run, row, km) for row in np.argsort(km, kind="stable")[:SHOWN].tolist()]
    uncertainty, alike = run.uncertainty, []
    here = None if uncertainty is None else _features(run, uncertainty, lon, lat)
    if uncertainty is not None and here is not None:
        apart = np.linalg.norm(plot_points(run, uncertainty)[0] - here, axis=1)
        alike = [
            {**_plot(run, row, km), "distance": float(apart[row])}
            for row in np.argsort(apart, kind="stable")[:SHOWN].tolist()
        ]
    return {"nearest": nearest, "alike": alike}


def _plot(run: ViewedRun, row: int, km: Floats) -> dict[str, Any]:
    plot = run.plots.iloc[row]
    return {
        "id": plot["plot_id"],
        "lon": float(plot["lon"]),
        "lat": float(plot["lat"]),
        "km": float(km[row]),
        "observed": float(plot["observed"]),
        "predicted": float(plot["predicted"]),
    }
