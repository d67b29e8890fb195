"""Whether visits lie in the country that their archive states: exchanged or negated coordinates.

CoordinateCleaner does so too (Zizka et al. 2019, Methods in Ecology and Evolution 10:744, test
`cc_coun`). Names of countries are those of the bundled outlines of Natural Earth; others, and
codes, are not compared.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatioformer.common.errors import PlotError
from spatioformer.geo.land.countries import countries_of, outline_of
from spatioformer.geo.land.store import load
from spatioformer.geo.plots.source import quoted

Floats = NDArray[np.float64]

_FAR = 0.2
"""Degrees from a country up to which a plot may belong to it: borders are drawn to 10 km."""

_MISTAKES: dict[str, Callable[[Floats, Floats], tuple[Floats, Floats]]] = {
    "latitude and longitude are exchanged": lambda lon, lat: (lat, lon),
    "the sign of the longitude is wrong": lambda lon, lat: (-lon, lat),
    "the sign of the latitude is wrong": lambda lon, lat: (lon, -lat),
}
"""What may be wrong -> lon and lat without it."""


def check_countries(visits: pd.DataFrame, lon: Floats, lat: Floats, name: str) -> list[str]:
    """Sentences on visits that lie in another country than the archive states.

    Args:
        visits: text columns country and plot_id.
        lon, lat: degrees (n,); NaN where unknown.
        name: of the archive.

    Raises:
        PlotError: most lie in their country only if latitude and longitude are exchanged, or a
            sign is changed.
    """
    spelled = {country.casefold(): country for country in load().names}
    stated = np.array([spelled.get(text.casefold(), "") for text in visits["country"]], object)
    compared = (stated != "") & np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90)
    rows = np.flatnonzero(compared)
    if not len(rows):
        return []
    rows = rows[~_are_near(stated[rows], lon[rows], lat[rows])]
    for mistake, mend in _MISTAKES.items():
        x, y = mend(lon[rows], lat[rows])
        good = np.zeros(len(rows), dtype=bool)
        usable = np.abs(y) <= 90
        good[usable] = countries_of(x[usable], y[usable]) == stated[rows][usable]
        if good.sum() > compared.sum() / 2:
            first = rows[good][0]
            raise PlotError(
                f"{mistake} in {name}: only so do {int(good.sum()):,} of {int(compared.sum()):,} "
                f"plots lie in the country that is stated, such as {stated[first]} for plot "
                f"{quoted(visits['plot_id'].iloc[first])}; correct the columns of the archive"
            )
    if not len(rows):
        return []
    first = rows[0]
    return [
        f"{len(rows):,} of {int(compared.sum()):,} plots lie more than {_FAR:g} degree outside the "
        f"country that is stated, such as plot {quoted(visits['plot_id'].iloc[first])} of "
        f"{stated[first]} at lon {lon[first]:g}, lat {lat[first]:g}"
    ]


def _are_near(stated: NDArray[np.object_], lon: Floats, lat: Floats) -> NDArray[np.bool_]:
    """Whether each place lies in the country stated for it, or near it."""
    near = countries_of(lon, lat) == stated
    for country in dict.fromkeys(stated[~near]):
        rows = np.flatnonzero(~near & (stated == country))
        outline = outline_of([country])
        shapely.prepare(outline)
        near[rows] = shapely.dwithin(outline, shapely.points(lon[rows], lat[rows]), _FAR)
    return near
