"""The outline of a map: land outside it is not predicted, and no site is proposed there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from spatioformer.common.earth import KM_PER_DEGREE, MEAN_RADIUS_KM, arc, arc_of, unit_vectors
from spatioformer.common.errors import PlotError
from spatioformer.geo.grid import Grid
from spatioformer.geo.land.countries import (
    ACCURACY_KM,
    countries_of,
    nearest_countries,
    outline_of,
)
from spatioformer.geo.land.store import load
from spatioformer.geo.vector.opening import list_layers, read_vector
from spatioformer.geo.vector.zones import (
    moved_east,
    named_polygons,
    polygonal,
    unwrapped,
    with_vertices,
)

SURROUNDINGS_KM = 50.0
"""Radius of the surroundings that a plot in no country keeps, km."""

WHOLE = shapely.box(-180, -90, 180, 90)
"""The outline where no plot lies in a country."""

LATTICE = 16  # pixels between the points by which the extent of a window is found
BAND = 1.0  # degrees of latitude in which a degree of longitude counts as equally long
FARTHEST = 540  # degrees; beyond, coordinates are no longitudes of any turn

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class Outline:
    """An area in lon and lat, degrees, cut at the antimeridian.

    Attributes:
        area: polygons.
        title: for messages: the countries, or the file.
        facts: for the record of the run.
        notes: sentences for the user.
    """

    area: BaseGeometry
    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def region(self) -> Region:
        """(W, E, S, N), degrees; W > E across the antimeridian."""
        west, south, east, north = (float(v) for v in self.area.bounds)
        if east - west > 180:  # perhaps on both sides of the antimeridian
            lon = shapely.get_coordinates(shapely.segmentize(self.area, 1.0))[:, 0]
            left, right = arc_of(lon % 360)
            if (right - left) % 360 < 355:
                west, east = ((v + 180) % 360 - 180 for v in (left, right))
        return west, east, south, north

    def holds(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Test which places, in degrees, lie inside or on the edge: bool, same shape."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        with np.errstate(invalid="ignore"):
            lon = np.where(lon == 180, 180.0, (lon + 180) % 360 - 180)
        shapely.prepare(self.area)
        return np.isfinite(lon) & np.isfinite(lat) & shapely.intersects_xy(self.area, lon, lat)

    def inside(self, window: Window, grid: Grid) -> NDArray[np.bool_]:
        """Test which pixel centres of a window lie inside: bool (y, x)."""
        rows = window.row_off + np.arange(window.height)
        cols = window.col_off + np.arange(window.width)
        box = _box(*grid.lonlat(_some(rows)[:, None], _some(cols)[None]))
        area = self.area
        shapely.prepare(area)
        if box is not None:
            if not shapely.intersects(area, box):
                return np.zeros((len(rows), len(cols)), bool)
            if shapely.contains(area, box):
                return np.ones((len(rows), len(cols)), bool)
            area = shapely.clip_by_rect(area, *box.bounds)
        part = Outline(area, self.title)
        return part.holds(*grid.lonlat(rows[:, None], cols[None]))


def _some(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.append(numbers[::LATTICE], numbers[-1]))


def _box(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> shapely.Polygon | None:
    """A box around a window, from a lattice of its pixels; None where one box cannot hold it.

    The margin is the largest step of the lattice, so that no pixel between its points is missed.
    """
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    steps = [np.abs(np.diff(v, axis=axis)).max(initial=1e-6) for v in (lon, lat) for axis in (0, 1)]
    across, along = max(steps[:2]), max(steps[2:])
    west, east, south, north = lon.min(), lon.max(), lat.min(), lat.max()
    if across > 90 or east + across > 180 or west - across < -180 or max(north, -south) > 85:
        return None
    return shapely.box(west - across, south - along, east + across, north + along)


def read_outline(path: str | Path) -> Outline:
    """Read an outline from a file of polygons in any CRS; all its polygons together.

    Raises:
        PlotError: the file cannot be read, has several layers, is empty, holds other shapes than
            polygons, has no CRS, or reaches beyond the Earth.
    """
    layers = list_layers(path)
    if len(layers) > 1:
        raise PlotError(
            f"{path} has the layers {', '.join(map(repr, layers))}, and an outline is one layer; "
            "write that layer into a file of its own"
        )
    frame = named_polygons(read_vector(path), None, str(path))
    crs = frame.crs
    assert crs is not None  # `named_polygons` refuses tables without one
    series = gpd.GeoSeries(with_vertices(frame.geometry.to_numpy()), crs=crs)
    try:
        shapes = series.to_crs("EPSG:4326").to_numpy()
    except Exception as error:  # pyproj raises several unrelated kinds
        raise _no_place(path, str(crs.name)) from error
    bounds = shapely.total_bounds(shapes)
    if np.isnan(bounds).all():
        raise PlotError(f"{path} holds no polygon with an area; give a layer of polygons")
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise _no_place(path, str(crs.name))
    if np.abs(bounds[[1, 3]]).max() > 90.001 or np.abs(bounds[[0, 2]]).max() > FARTHEST:
        west, south, east, north = bounds
        raise PlotError(
            f"{path} reaches W, E, S, N = {west:g}, {east:g}, {south:g}, {north:g}, which are no "
            "degrees of longitude and latitude; write the CRS of its coordinates into the file, "
            "for example with ogr2ogr -a_srs EPSG:32755"
        )
    if not crs.is_geographic:
        shapes = np.array([unwrapped(shape) for shape in shapes])
    area = on_globe(shapely.union_all(shapely.make_valid(shapes)))
    if area.is_empty:
        raise PlotError(f"{path} holds no polygon with an area; give a layer of polygons")
    return Outline(area, str(path), {"file": Path(path).name})


def _no_place(path: str | Path, crs: str) -> PlotError:
    return PlotError(
        f"{path} holds coordinates that its coordinate reference system ({crs}) cannot convert to "
        "longitude and latitude; write the right one into the file, for example with ogr2ogr "
        "-a_srs EPSG:4326"
    )


def on_globe(shape: BaseGeometry) -> BaseGeometry:
    """A shape with longitudes of any turn, cut at the antimeridian, longitudes in [-180, 180]."""
    west, _, east, _ = shape.bounds
    if shape.is_empty or (west >= -180 and east <= 180):
        return polygonal(shape)
    parts = []
    for turn in (-360, 0, 360):
        part = shapely.clip_by_rect(shape, -180 - turn, -90, 180 - turn, 90)
        parts.append(moved_east(part, turn))
    return polygonal(shapely.union_all(shapely.make_valid(parts)))


def auto_outline(lon: ArrayLike, lat: ArrayLike, margin_km: float = 0.0) -> Outline:
    """The countries of plots: land of other countries lies outside, and so does the open sea.

    All countries with a plot are joined. Along coasts, not along borders, the outline is widened,
    because the bundled coast is accurate to `ACCURACY_KM`. A plot within that distance of a country
    counts to it; another plot in the sea keeps `SURROUNDINGS_KM` around it.

    Args:
        lon, lat: of the plots, degrees (n,).
        margin_km: smallest distance by which coasts are widened, such as the side of a pixel, km.

    Returns:
        The outline; the whole Earth, with a note, if no plot lies in a country.
    """
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    names = countries_of(lon, lat)
    sea = np.flatnonzero(names == "")
    nearest, km = nearest_countries(lon[sea], lat[sea])
    coastal = km <= ACCURACY_KM
    names[sea[coastal]] = nearest[coastal]
    sea, km, nearest = sea[~coastal], km[~coastal], nearest[~coastal]
    countries = sorted(set(names) - {""})
    if not countries:
        note = f"none of the {len(lon):,} plots lies in a country, so the outline limits nothing"
        return Outline(WHOLE, "auto", {"countries": [], "plots_in_no_country": len(lon)}, (note,))
    land = outline_of(countries)
    margin = max(ACCURACY_KM, margin_km)
    apart = np.unique(np.round(np.column_stack([lon[sea], lat[sea]]), 2), axis=0)  # 1 km
    discs = [_disc(*place) for place in apart]
    around = on_globe(shapely.union_all([*widened(land, margin), *discs]))
    area = shapely.union_all([land, shapely.difference(around, _others(countries, around))])
    facts = {"countries": countries, "margin_km": margin, "plots_in_no_country": len(sea)}
    title = ", ".join(countries)
    notes = [f"outline: {title}; land of other countries and the open sea lie outside"]
    if len(sea):
        far = int(np.argmax(km))
        notes.append(
            f"{len(sea):,} of {len(lon):,} plots lie in no country of the bundled outlines, up to "
            f"{km[far]:,.0f} km from the nearest coast ({nearest[far]}; lon "
            f"{lon[sea[far]]:.3f}, lat {lat[sea[far]]:.3f}); their surroundings of "
            f"{SURROUNDINGS_KM:g} km are inside the outline"
        )
    return Outline(polygonal(area), title, facts, tuple(notes))


def _others(countries: list[str], around: BaseGeometry) -> BaseGeometry:
    """The land of all other countries that touches an area."""
    held = load()
    shapes = [s for name, s in zip(held.names, held.shapes, strict=True) if name not in countries]
    shapely.prepare(around)
    return shapely.union_all(np.array(shapes)[shapely.intersects(around, shapes)])


def widened(area: BaseGeometry, km: float) -> Iterator[BaseGeometry]:
    """Parts of an area in bands of latitude, each widened by `km` or slightly more.

    Longitudes of the parts may lie beyond 180 degrees.
    """
    _, south, _, north = area.bounds
    for low in np.arange(np.floor(south / BAND) * BAND, north, BAND):
        part = shapely.clip_by_rect(area, -180, low, 180, low + BAND)
        if not part.is_empty:
            yield _buffered(part, km, max(abs(low), abs(low + BAND)))


def _disc(lon: float, lat: float) -> BaseGeometry:
    return _buffered(shapely.Point(lon, lat), SURROUNDINGS_KM, abs(lat))


def _buffered(shape: BaseGeometry, km: float, lat: float) -> BaseGeometry:
    """A shape widened by a distance where degrees of longitude are as long as at `lat`."""
    narrow = max(0.01, float(np.cos(np.radians(lat))))
    flat = shapely.transform(shape, lambda xy: xy * (narrow, 1))
    wide = shapely.buffer(flat, km / KM_PER_DEGREE, quad_segs=4)
    return shapely.transform(wide, lambda xy: xy / (narrow, 1))


def pixel_km(grid: Grid) -> float:
    """Longer side of a pixel in the middle of a grid, km."""
    row, col = grid.height / 2, grid.width / 2
    middle, right, below = unit_vectors(
        *grid.lonlat(np.array([row, row, row + 1]), np.array([col, col + 1, col]))
    )
    chords = [np.linalg.norm(other - middle) for other in (right, below)]
    return float(np.max(arc(np.array(chords) * MEAN_RADIUS_KM, MEAN_RADIUS_KM)))


def require_plots(outline: Outline, lon: ArrayLike, lat: ArrayLike) -> str | None:
    """Compare an outline with the plots: a note if some lie outside it.

    Raises:
        PlotError: all of them do.
    """
    inside = outline.holds(lon, lat)
    if not inside.any():
        shown = [round(value, 3) for value in outline.region]
        first = f"lon {np.ravel(lon)[0]:g}, lat {np.ravel(lat)[0]:g}"
        raise PlotError(
            f"none of the {inside.size:,} plots lies inside the outline {outline.title} (first: "
            f"{first}; outline W, E, S, N = {shown}); give the outline of the plots' area, or "
            "correct its CRS"
        )
    if inside.all():
        return None
    return (
        f"{np.sum(~inside):,} of {inside.size:,} plots lie outside the outline {outline.title}; "
        "models learn from them, but their surroundings are not mapped"
    )
