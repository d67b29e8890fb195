"""Polygons over a raster: the pixels of each polygon, the share of each pixel inside, and areas.

Polygons are transformed to pixel coordinates (column, row of pixel edges) first, so that rotated,
south-up and oblong grids need no special case. Then they are cut into windows, and one window at a
time is in memory.
"""

from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from spatioformer.common.errors import ImageryError, PlotError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.burning import burned
from spatioformer.geo.vector.opening import check_crs, list_layers, read_vector

SIDE = 512  # largest side of a window, pixels
POINTS = 4  # the share of a pixel is counted on POINTS x POINTS points
PARTS = 100  # segments of an edge as long as its polygon, so that reprojection can bend it

Floats = NDArray[np.float64]


def read_polygons(
    path: str | Path, name: str | None = None, layer: str | None = None
) -> gpd.GeoDataFrame:
    """Read the polygons of a vector file, one row each, in its CRS: columns name, geometry.

    Args:
        name: field with the polygons' names; None: numbers from 1.
        layer: name of the layer, for a file with several.

    Raises:
        PlotError: the file is unreadable or empty, or has no polygon, no CRS, no such field or
            layer.
    """
    layers = list_layers(path)
    if layer is None and len(layers) == 1:
        layer = layers[0]
    if layer not in layers:
        has = "the layers " + ", ".join(map(repr, layers)) if layers else "no layers"
        raise PlotError(f"{path} has {has}; choose one with --layer")
    return named_polygons(read_vector(path, layer), name, str(path))


def named_polygons(frame, name: str | None = None, source: str = "the table") -> gpd.GeoDataFrame:
    """Columns name and geometry of a table of polygons; error messages call it `source`.

    Raises:
        PlotError: as `read_polygons`.
    """
    if not isinstance(frame, gpd.GeoDataFrame) or frame.geometry.dropna().empty:
        raise PlotError(f"{source} holds no polygon; give a layer of polygons")
    kinds = frame.geometry.geom_type.dropna()
    wrong = kinds[~kinds.isin(("Polygon", "MultiPolygon"))]
    if len(wrong):
        raise PlotError(
            f"{source} holds a {wrong.iloc[0]} (row {wrong.index[0] + 1}) instead of a polygon; "
            "give a layer of polygons"
        )
    if frame.crs is None:
        raise PlotError(f"{source} has no coordinate reference system; write one into the file")
    check_crs(frame, source)
    if name is not None and name not in frame.columns:
        fields = ", ".join(repr(c) for c in frame.columns if c != frame.geometry.name)
        raise PlotError(f"{source} has no field {name!r}; its fields are {fields or 'none'}")
    names = np.arange(1, len(frame) + 1) if name is None else frame[name].to_numpy()
    return gpd.GeoDataFrame({"name": names}, geometry=frame.geometry.to_numpy(), crs=frame.crs)


def on_pixels(polygons: gpd.GeoSeries, grid: Grid) -> NDArray[np.object_]:
    """Polygons (n,) in pixel coordinates of `grid`; empty if missing or outside the projection.

    Edges are straight in the CRS of the polygons.

    Raises:
        ImageryError: a polygon lies partly outside the domain of the grid's projection.
    """
    crs = polygons.crs
    assert crs is not None  # `named_polygons` refuses tables without one
    shapes = with_vertices(polygons.to_numpy())
    if not crs.equals(grid.crs, ignore_axis_order=True):
        to_grid = Transformer.from_crs(crs, grid.crs, always_xy=True)
        shapes = shapely.transform(shapes, lambda xy: np.column_stack(to_grid.transform(*xy.T)))
        shapes = np.array([_within_projection(shape, grid) for shape in shapes])
        if grid.crs.is_geographic and not crs.is_geographic:
            shapes = np.array([unwrapped(shape) for shape in shapes])
    if grid.crs.is_geographic:
        shapes = np.array([_shifted_to(shape, grid) for shape in shapes])
    a, b, c, d, e, f = (~grid.transform)[:6]
    matrix = np.array([[a, d], [b, e]])
    return shapely.transform(shapes, lambda xy: xy @ matrix + (c, f))


def with_vertices(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Valid polygons with extra vertices along their edges; empty polygons in place of None."""
    shapes = shapes.copy()
    shapes[shapely.is_missing(shapes)] = shapely.Polygon()
    shapes = np.array([polygonal(shape) for shape in shapely.make_valid(shapes)])
    left, bottom, right, top = shapely.bounds(shapes).T
    longest = np.fmax(right - left, top - bottom) / PARTS
    return shapely.segmentize(shapes, np.where(longest > 0, longest, 1.0))


def polygonal(shape: BaseGeometry) -> BaseGeometry:
    """The polygons among a geometry's parts; lines and points have no area."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = shapely.get_parts(shape)
    polygons = [p for part in parts for p in shapely.get_parts(part) if p.geom_type == "Polygon"]
    return shapely.MultiPolygon(polygons) if polygons else shapely.Polygon()


def _within_projection(shape: BaseGeometry, grid: Grid) -> BaseGeometry:
    finite = np.isfinite(shapely.get_coordinates(shape))
    if finite.all():
        return shape
    if not finite.any():
        return shapely.Polygon()
    raise ImageryError(
        f"a polygon extends beyond the domain of the map's CRS ({grid.crs.name}); clip it to the "
        "map's surroundings first"
    )


def unwrapped(shape: BaseGeometry) -> BaseGeometry:
    """Join a polygon that reprojection split at the antimeridian, using longitudes up to 360."""
    left, _, right, _ = shape.bounds
    if not right - left > 180:
        return shape
    return shapely.transform(shape, lambda xy: xy + np.where(xy[:, :1] < 0, (360, 0), (0, 0)))


def _shifted_to(shape: BaseGeometry, grid: Grid) -> BaseGeometry:
    """Shift a polygon by multiples of 360 degrees to the grid's longitudes: 170 W is 190 E."""
    left, _, right, _ = grid.bounds
    copies = [moved_east(shape, degrees) for degrees in (-360, 0, 360)]
    near = [copy for copy in copies if copy.bounds[2] > left and copy.bounds[0] < right]
    return near[0] if len(near) == 1 else shapely.union_all(near) if near else shapely.Polygon()


def moved_east(shape: BaseGeometry, degrees: int) -> BaseGeometry:
    return shapely.transform(shape, lambda xy: xy + (degrees, 0))


def pieces(
    shape: BaseGeometry, height: int, width: int
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Yield the windows that a polygon touches, and the share (y, x) of each pixel inside it.

    Shares are counted on `POINTS` x `POINTS` points a pixel, so adjacent polygons divide every
    pixel without overlap or gap.

    Args:
        shape: polygon in pixel coordinates.
        height, width: of the raster, pixels.
    """
    if shape.is_empty:
        return
    left, top, right, bottom = shape.bounds
    rows = max(0, int(np.floor(top))), min(height, int(np.ceil(bottom)))
    cols = max(0, int(np.floor(left))), min(width, int(np.ceil(right)))
    if rows[0] < rows[1] and cols[0] < cols[1]:
        yield from _split(shape, rows, cols)


def _split(
    shape: BaseGeometry, rows: tuple[int, int], cols: tuple[int, int]
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Split into halves recursively; each half handles only its own vertices."""
    shape = polygonal(shapely.clip_by_rect(shape, cols[0], rows[0], cols[1], rows[1]))
    if shape.is_empty:
        return
    height, width = rows[1] - rows[0], cols[1] - cols[0]
    if max(height, width) <= SIDE:
        yield Window(cols[0], rows[0], width, height), _shares(shape, rows, cols)
    elif height >= width:
        cut = _middle(*rows)
        yield from _split(shape, (rows[0], cut), cols)
        yield from _split(shape, (cut, rows[1]), cols)
    else:
        cut = _middle(*cols)
        yield from _split(shape, rows, (cols[0], cut))
        yield from _split(shape, rows, (cut, cols[1]))


def _middle(start: int, end: int) -> int:
    """A multiple of SIDE strictly between both ends, near the middle, to follow file blocks."""
    cut = round((start + end) / 2 / SIDE) * SIDE
    return cut if start < cut < end else (start // SIDE + 1) * SIDE


def _shares(
    shape: BaseGeometry, rows: tuple[int, int], cols: tuple[int, int]
) -> NDArray[np.float32]:
    height, width = rows[1] - rows[0], cols[1] - cols[0]
    if shape.area >= height * width * (1 - 1e-12):
        return np.ones((height, width), np.float32)
    place = Affine.translation(cols[0], rows[0]) @ Affine.scale(1 / POINTS)
    inside = burned([shape], (height * POINTS, width * POINTS), place)
    blocks = inside.reshape(height, POINTS, width, POINTS)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def nearest(
    shape: BaseGeometry, height: int, width: int
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Yield the pixel around a polygon too small to hold a point; nothing if it lies outside.

    The share is the area of the polygon, in pixels.
    """
    if shape.is_empty:
        return
    inner = shape.representative_point()
    row, col = int(np.floor(inner.y)), int(np.floor(inner.x))
    if 0 <= row < height and 0 <= col < width:
        yield Window(col, row, 1, 1), np.array([[np.clip(shape.area, 1e-6, 1)]], np.float32)


def polygon_areas(polygons: gpd.GeoSeries) -> Floats:
    """Areas (n,) of polygons on the ellipsoid, km2; edges are straight in the polygons' CRS."""
    shapes = gpd.GeoSeries(with_vertices(polygons.to_numpy()), crs=polygons.crs).to_crs("EPSG:4326")
    geod = Geod(ellps="WGS84")
    oriented = shapely.orient_polygons(shapes.to_numpy())
    return np.array([abs(geod.geometry_area_perimeter(shape)[0]) for shape in oriented]) / 1e6
