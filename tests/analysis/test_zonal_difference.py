"""Difference of two polygons' means: its interval from the sum over all pairs of pixels."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from spatioformer.analysis.zonal import summarise
from spatioformer.analysis.zonal_difference import difference
from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ArgumentError
from spatioformer.evaluation.correlation import (
    ErrorCorrelation,
    mean_correlation,
    mean_cross_correlation,
)
from spatioformer.geo.raster.areas import pixel_areas
from tests.helpers.landscape import NORTH, STEP, WEST, write_raster

CORRELATION = ErrorCorrelation(30.0, 0.3, 0.8)
TITLES = ("r, mean", "r, lower end of the 90 % interval", "r, upper end of the 90 % interval")


@pytest.fixture
def map_(tmp_path):
    rng = np.random.default_rng(0)
    mean = rng.uniform(10, 30, (20, 20)).astype(np.float32)
    half = rng.uniform(2, 6, (20, 20)).astype(np.float32)
    data = np.stack([mean, mean - half, mean + half])
    return write_raster(tmp_path / "map.tif", data, nodata=np.nan, names=TITLES), mean, half


def squares(*corners: tuple[int, int], side: int = 4) -> gpd.GeoDataFrame:
    boxes = [
        shapely.box(
            WEST + col * STEP, NORTH - (row + side) * STEP, WEST + (col + side) * STEP,
            NORTH - row * STEP,
        )
        for row, col in corners
    ]  # fmt: skip
    return gpd.GeoDataFrame(geometry=boxes, crs="EPSG:4326")


def test_the_interval_is_that_of_the_double_sum(map_):
    path, mean, half = map_
    polygons = squares((2, 3), (4, 9))
    answer = difference(path, summarise(path, polygons, CORRELATION), CORRELATION)
    from rasterio.windows import Window

    from spatioformer.geo.grid import Grid
    from spatioformer.geo.raster.opening import open_raster

    with open_raster(path) as source:
        grid = Grid.of(source)
    areas = pixel_areas(grid, Window(0, 0, 20, 20))
    weights = np.zeros((20, 20))
    for sign, (row, col) in ((1, (2, 3)), (-1, (4, 9))):
        place = slice(row, row + 4), slice(col, col + 4)
        weights[place] = sign * areas[place] / areas[place].sum()
    rows, cols = np.nonzero(weights)
    w = weights[rows, cols] * half[rows, cols]
    points = on_sphere(np.column_stack(grid.lonlat(rows, cols)))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    variance = 0.8**2 * 0.7 * w @ np.exp(-apart / 30) @ w
    assert answer["half_width"] == pytest.approx(np.sqrt(variance), rel=1e-4)
    assert answer["mean"] == pytest.approx((weights * mean).sum(), rel=1e-5)
    assert answer["upper"] - answer["mean"] == pytest.approx(answer["half_width"])


def test_neighbours_are_compared_more_certainly_than_far_places(map_):
    path, _, _ = map_

    def half_width(*corners):
        table = summarise(path, squares(*corners), CORRELATION)
        independent = np.hypot(*table["half_width"])
        return difference(path, table, CORRELATION)["half_width"] / independent

    assert half_width((2, 2), (2, 6)) < half_width((2, 2), (16, 16)) < 1
    assert half_width((2, 2), (2, 2)) == 0


def test_a_polygon_outside_has_no_difference(map_):
    path, _, _ = map_
    table = summarise(path, squares((2, 2), (200, 200)), CORRELATION)
    assert np.isnan(list(difference(path, table, CORRELATION).values())).all()
    with pytest.raises(ArgumentError, match="between two polygons, and there are 1; give two"):
        difference(path, table.iloc[:1], CORRELATION)


def test_mean_cross_correlation_is_the_weighted_mean_over_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 50, (300, 3)), rng.normal(20, 50, (40, 3))
    u, v = rng.uniform(0, 2, 300), rng.uniform(0, 2, 40)
    alike = np.exp(-np.linalg.norm(a[:, None] - b[None], axis=2) / 70)
    expected = u @ alike @ v / (u.sum() * v.sum())
    assert mean_cross_correlation(a, u, b, v, 70.0) == pytest.approx(expected, rel=1e-10)
    assert mean_cross_correlation(a, 0 * u, b, v, 70.0) == 1
    n = len(u)
    with_itself = mean_cross_correlation(a, np.ones(n), a, np.ones(n), 70.0)
    others = mean_correlation(a, np.ones(n), 70.0)
    assert with_itself == pytest.approx((1 + (n - 1) * others) / n, rel=1e-6)
