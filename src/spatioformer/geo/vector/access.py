"""Where people can go: within some distance of roads or places, and not in excluded areas."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.earth import MEAN_RADIUS_KM, chord, unit_vectors
from spatioformer.common.errors import PlotError

STEPS = 10
"""Points along a line for each distance that counts: they miss it by 0.2 % at most."""


@dataclass(frozen=True)
class Access:
    """Limits on where a site may lie; see `read_access`.

    Attributes:
        within: kilometres from the nearest of `near`; None sets no limit.
        near: (k, 2) lon, lat of points along roads or of places, degrees.
        exclude: areas that are closed, lon/lat, or None.
    """

    within: float | None = None
    near: NDArray[np.float64] | None = None
    exclude: shapely.Geometry | None = None

    def allows(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Whether each place (n,), in degrees, can be reached."""
        from scipy.spatial import KDTree

        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        found = np.ones(lon.shape, bool)
        if self.within is not None:
            reach = chord(self.within / MEAN_RADIUS_KM, radius=1.0)
            roads = KDTree(unit_vectors(*self.near.T))
            found &= roads.query(unit_vectors(lon, lat), distance_upper_bound=reach)[0] <= reach
        if self.exclude is not None:
            shapely.prepare(self.exclude)
            found &= ~shapely.intersects_xy(self.exclude, lon, lat)
        return found


def read_access(
    near: str | Path | None = None,
    within: float | None = None,
    exclude: str | Path | None = None,
) -> Access | None:
    """Limits from vector files in any CRS; None where none is given.

    Args:
        near: points or lines (roads), and `within` how many kilometres of them a site may lie.
        exclude: polygons that are closed.

    Raises:
        PlotError: a file that cannot be read, is empty or says no CRS; one of near and within
            without the other; a distance that is not above 0.
    """
    if (near is None) != (within is None):
        raise PlotError(
            f"--near {near} and --within {within} belong together; give a layer of roads or places "
            "and a distance in kilometres"
        )
    if within is not None and not 0 < within < np.inf:
        raise PlotError(f"--within {within:g} must be above 0; give kilometres")
    if near is None and exclude is None:
        return None
    along = None if near is None else _along(_read(near), within)
    closed = None if exclude is None else shapely.union_all(_read(exclude))
    return Access(within, along, closed)


def _read(path: str | Path) -> NDArray:
    """Geometries of a vector file in lon/lat."""
    import geopandas as gpd
    from pyogrio.errors import DataSourceError

    try:
        layer = gpd.read_file(path)
    except (DataSourceError, OSError) as error:
        raise PlotError(
            f"{path} cannot be read ({error}); give a GeoPackage, shapefile or GeoJSON"
        ) from error
    if not isinstance(layer, gpd.GeoDataFrame) or layer.geometry.dropna().empty:
        raise PlotError(f"{path} holds no geometry; give points, lines or polygons")
    if layer.crs is None:
        raise PlotError(f"{path} does not say its CRS; write it into the file")
    return layer.geometry.dropna().to_crs("EPSG:4326").to_numpy()


def _along(shapes: NDArray, within: float) -> NDArray[np.float64]:
    """Points (k, 2) along the shapes, at most `within` / STEPS kilometres apart."""
    degrees = np.degrees(within / STEPS / MEAN_RADIUS_KM)
    return shapely.get_coordinates(shapely.segmentize(shapes, degrees))
