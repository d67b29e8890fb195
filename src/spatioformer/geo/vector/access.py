"""Places that people can reach: within a distance of roads or places, outside excluded areas."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from spatioformer.common.earth import MEAN_RADIUS_KM, chord, unit_vectors
from spatioformer.common.errors import PlotError

STEPS = 10
"""Points along a line for each distance `within`; distances to the line err by 0.2 % at most."""


@dataclass(frozen=True)
class Access:
    """Limits on the place of a site; see `read_access`.

    Attributes:
        within: largest distance to the nearest of `near`, km; None sets no limit.
        near: (k, 2) lon, lat of points along roads or of places, degrees.
        exclude: closed areas, lon/lat degrees, or None.
    """

    within: float | None = None
    near: NDArray[np.float64] | None = None
    exclude: BaseGeometry | None = None

    def allows(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Test which places (n,), in degrees, can be reached: bool (n,)."""
        from scipy.spatial import KDTree

        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        reachable = np.ones(lon.shape, bool)
        if self.within is not None:
            assert self.near is not None  # `read_access` requires both or neither
            reach = chord(self.within / MEAN_RADIUS_KM, radius=1.0)
            roads = KDTree(unit_vectors(*self.near.T))
            distance = roads.query(unit_vectors(lon, lat), distance_upper_bound=reach)[0]
            reachable &= distance <= reach
        if self.exclude is not None:
            shapely.prepare(self.exclude)
            reachable &= ~shapely.intersects_xy(self.exclude, lon, lat)
        return reachable


def read_access(
    near: str | Path | None = None,
    within: float | None = None,
    exclude: str | Path | None = None,
) -> Access | None:
    """Read limits from vector files in any CRS; None if none is given.

    Args:
        near: file of points or lines (roads).
        within: largest distance of a site to them, km.
        exclude: file of closed areas (polygons).

    Raises:
        PlotError: a file that cannot be read, is empty or has no CRS; one of near and within
            without the other; a distance that is not above 0.
    """
    if (near is None) != (within is None):
        raise PlotError(
            f"--near {near} and --within {within} must be given together; give a layer of roads or "
            "places and a distance in kilometres"
        )
    if within is not None and not 0 < within < np.inf:
        raise PlotError(f"--within {within:g} must be above 0; give a distance in kilometres")
    if near is None and exclude is None:
        return None
    along = None if near is None or within is None else _along(_read(near), within)
    closed = None if exclude is None else shapely.union_all(_read(exclude))
    return Access(within, along, closed)


def _read(path: str | Path) -> NDArray[np.object_]:
    """Geometries of a vector file in lon/lat."""
    import geopandas as gpd

    from spatioformer.geo.vector.opening import read_vector

    layer = read_vector(path)
    if not isinstance(layer, gpd.GeoDataFrame) or layer.geometry.dropna().empty:
        raise PlotError(f"{path} holds no geometry; give points, lines or polygons")
    if layer.crs is None:
        raise PlotError(f"{path} has no coordinate reference system; write one into the file")
    try:
        return gpd.GeoSeries(layer.geometry.dropna()).to_crs("EPSG:4326").to_numpy()
    except Exception as error:  # pyproj raises several unrelated kinds
        raise PlotError(
            f"{path} has the coordinate reference system {layer.crs.name!r}, which cannot be "
            "converted to longitude and latitude; reproject it, for example with ogr2ogr -t_srs "
            "EPSG:4326"
        ) from error


def _along(shapes: NDArray[np.object_], within: float) -> NDArray[np.float64]:
    """Points (k, 2) along the shapes, at most `within` / STEPS kilometres apart."""
    degrees = np.degrees(within / STEPS / MEAN_RADIUS_KM)
    return shapely.get_coordinates(shapely.segmentize(shapes, degrees))
