"""How exact the coordinates of visits are: rounding, centroids, capitals, geodetic datums.

Rounded coordinates and placeholders are found as CoordinateCleaner does (Zizka et al. 2019, Methods
in Ecology and Evolution 10:744): many more multiples of a step than chance gives; places within 1
km of the centroid of a country, from the bundled outlines of Natural Earth, of its capital, from
GeoNames, or of the place that stands for the secretariat of GBIF.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from spatioformer.common.earth import KM_PER_DEGREE, unit_vectors
from spatioformer.geo.land.capitals import load_capitals
from spatioformer.geo.land.store import load
from spatioformer.geo.plots.source import quoted

Floats = NDArray[np.float64]

STEPS_DEGREES = (1.0, 0.1, 0.01, 0.001)
STEPS_METRES = (10_000.0, 1000.0, 100.0)
"""Steps that coordinates may be rounded to, the coarsest first."""

GBIF_SECRETARIAT = (12.58, 55.67)
"""lon, lat that `cc_gbif` of CoordinateCleaner flags."""

_NEAR_KM = 1.0
_LEAST_COUNTRY = 0.3  # square degrees; the centroid of a small island is a usual place for a plot

_DATUMS = {
    "wgs84": 4326,
    "wgs 84": 4326,
    "wgs-84": 4326,
    "wgs1984": 4326,
    "world geodetic system 1984": 4326,
    "etrs89": 4258,
    "nad83": 4269,
    "nad27": 4267,
    "gda94": 4283,
    "gda2020": 7844,
    "ed50": 4230,
    "sad69": 4618,
    "sirgas2000": 4674,
    "agd66": 4202,
    "agd84": 4203,
    "nzgd49": 4272,
    "nzgd2000": 4167,
}
_NO_DATUM = frozenset({"", "unknown", "not recorded", "na", "none", "unspecified"})


def to_wgs84(visits: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Degrees of other datums as WGS 84, and notes.

    Args:
        visits: text columns lon, lat and datum; a datum that is not known is taken as WGS 84.
    """
    notes, visits = [], visits.copy()
    for datum in dict.fromkeys(visits["datum"]):
        if datum.lower() in _NO_DATUM or (code := _code(datum)) == 4326:
            continue
        rows = (visits["datum"] == datum).to_numpy()
        if code is None:
            notes.append(
                f"the datum {quoted(datum)} of {int(rows.sum()):,} visits is not known and taken "
                f"as WGS 84, which may move them by some hundred metres"
            )
            continue
        x, y = (pd.to_numeric(visits.loc[rows, n], errors="coerce") for n in ("lon", "lat"))
        lon, lat = Transformer.from_crs(code, 4326, always_xy=True).transform(
            x.to_numpy(np.float64), y.to_numpy(np.float64)
        )
        good = np.isfinite(lon) & np.isfinite(lat)
        index = visits.index[rows][good]
        visits.loc[index, "lon"] = [repr(float(v)) for v in lon[good]]
        visits.loc[index, "lat"] = [repr(float(v)) for v in lat[good]]
        notes.append(f"{int(good.sum()):,} visits were converted from {datum} to WGS 84")
    return visits, notes


def rounding(x: Floats, y: Floats, is_degrees: bool) -> Floats:
    """Step (n,) that each place is rounded to, in degrees or metres; NaN where it is not.

    A step counts if many more places are multiples of it than chance gives: of the places that are
    multiples of a tenth of it, one in a hundred is one in both coordinates.
    """
    steps = STEPS_DEGREES if is_degrees else STEPS_METRES
    known = np.isfinite(x) & np.isfinite(y)
    result = np.full(len(x), np.nan)
    if not known.any():
        return result
    finer = _multiples(x, y, steps[-1] / 10) & known
    for step in reversed(steps):
        multiples = _multiples(x, y, step) & known
        expected = finer.sum() / 100
        if multiples.sum() > expected + max(2.0, 4 * np.sqrt(expected)):
            result[multiples] = step
        finer = multiples
    return result


def _multiples(x: Floats, y: Floats, step: float) -> NDArray[np.bool_]:
    both = np.ones(len(x), dtype=bool)
    for values in (x, y):
        with np.errstate(invalid="ignore"):
            steps = values / step
            both &= np.abs(steps - np.round(steps)) < 1e-6
    return both


def step_metres(steps: Floats, is_degrees: bool) -> Floats:
    """Steps of rounding in metres, of latitude where they are degrees."""
    return steps * KM_PER_DEGREE * 1000 if is_degrees else steps


def rounding_notes(steps: Floats, is_degrees: bool) -> list[str]:
    """A sentence for each step that coordinates are rounded to."""
    notes = []
    for step in sorted(set(steps[np.isfinite(steps)].tolist()), reverse=True):
        count = int((steps == step).sum())
        metres = float(step_metres(np.array([step]), is_degrees)[0])
        size = f"{metres / 1000:.3g} km" if metres >= 1000 else f"{metres:.3g} m"
        unit = f"{step:g} degree (about {size})" if is_degrees else size
        notes.append(
            f"{count:,} of {len(steps):,} plots ({count / len(steps):.0%}) have coordinates "
            f"rounded to {unit}; imagery with smaller pixels may show another place"
        )
    return notes


def placeholders(lon: Floats, lat: Floats) -> list[str]:
    """What each place (n,) in degrees may stand for, such as a country; '' for none."""
    names, centres = _centres()
    result = [""] * len(lon)
    good = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90)
    if not good.any():
        return result
    from scipy.spatial import KDTree

    chord = _NEAR_KM / (KM_PER_DEGREE * 180 / np.pi)
    tree = KDTree(unit_vectors(centres[:, 0], centres[:, 1]))
    distance, nearest = tree.query(unit_vectors(lon[good], lat[good]), distance_upper_bound=chord)
    near = np.isfinite(distance)
    rows = np.flatnonzero(good)[near].tolist()
    for row, index in zip(rows, np.asarray(nearest)[near].tolist(), strict=True):
        result[row] = names[index]
    return result


def placeholder_notes(flags: Sequence[str]) -> list[str]:
    """A sentence on places that may stand for a country, its capital or an institution."""
    flagged = [flag for flag in flags if flag]
    if not flagged:
        return []
    shown = ", ".join(list(dict.fromkeys(flagged))[:3])
    return [
        f"{len(flagged):,} plots lie within {_NEAR_KM:g} km of a place that often stands for an "
        f"unknown one ({shown}); the column coordinate_flag names it"
    ]


def _centres() -> tuple[list[str], Floats]:
    held = load()
    pairs = [
        (f"centroid of {name}", shape)
        for name, shape in zip(held.names, held.shapes, strict=True)
        if shape.area >= _LEAST_COUNTRY
    ]
    points = shapely.centroid([shape for _, shape in pairs])
    capitals, cities = load_capitals()
    names = [*(name for name, _ in pairs), "GBIF secretariat", *(f"capital {c}" for c in capitals)]
    return names, np.vstack([shapely.get_coordinates(points), GBIF_SECRETARIAT, cities])


def _code(datum: str) -> int | None:
    """EPSG code of a geographic datum; None if it is not known."""
    plain = " ".join(datum.lower().split())
    if plain in _DATUMS:
        return _DATUMS[plain]
    stated = plain.replace(" ", "")
    for name, code in _DATUMS.items():
        if stated.endswith(f"({name})") or name.replace(" ", "") == stated:
            return code
    try:
        crs = CRS.from_user_input(datum)
    except CRSError:
        return None
    return crs.to_epsg() if crs.is_geographic else None
