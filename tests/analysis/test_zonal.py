"""Richness by polygon: known answers, brute force, correlated errors, odd places, bad input."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Geod
from scipy.stats import norm
from shapely.geometry import MultiPolygon, Point, Polygon, box

from spatioformer.analysis import zonal
from spatioformer.analysis.zonal import correlation_of, summarise, weighted_quantiles, write_zones
from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import EvaluationError, ImageryError, ModelError, PlotError
from spatioformer.common.files import read_json, write_json
from spatioformer.evaluation.correlation import (
    ErrorCorrelation,
    apart,
    correlation,
    mean_correlation,
)
from spatioformer.geo.grid import Grid
from spatioformer.geo.vector import zones
from tests.helpers.landscape import write_raster
from tests.helpers.maps import KINDS
from tests.helpers.tiny_run import Ended, assert_refused, finished, spatioformer

pytestmark = pytest.mark.slow

TITLES = tuple(
    f"plant species richness, {title}"
    for title in ("mean", "lower end of the interval", "upper end of the interval")
)
SHAPE = (40, 60)
HALF = 5.0  # half-width of the intervals of `some_map`


def some_map(path: Path, mean: np.ndarray, kind: str = "degrees", half=HALF, **options) -> Path:
    crs, transform = KINDS[kind]
    data = np.stack([mean, mean - half, mean + half]).astype(np.float32)
    place = {"crs": crs, "transform": transform, "nodata": np.nan} | options
    return write_raster(path, data, names=TITLES, **place)


def noise(seed: int = 0) -> np.ndarray:
    """Random values, some of them missing."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(10, 60, SHAPE)
    values[rng.random(SHAPE) < 0.1] = np.nan
    return values


def table(*shapes, crs="EPSG:4326") -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=list(shapes), crs=crs)


def on_map(shape, kind: str) -> gpd.GeoDataFrame:
    """A polygon given in pixels, in the CRS of a map of that kind."""
    crs, transform = KINDS[kind]
    a, b, c, d, e, f = transform[:6]
    move = shapely.transform(shape, lambda p: p @ np.array([[a, d], [b, e]]) + (c, f))
    return table(move, crs=crs)


RING = Point(20, 18).buffer(12).difference(box(15, 12, 24, 20))
PARTS = MultiPolygon([box(2.3, 3.7, 11.1, 9.2), Polygon([(40, 5), (57.5, 11), (44, 30.2)])])


def brute_force(path: Path, shape, reach: float, nugget: float) -> dict[str, float]:
    """Every pixel of its own: points in the polygon, geodesic corners, all pairs."""
    with rasterio.open(path) as source:
        mean, lower, upper = source.read().astype(float)
        grid = Grid.of(source)
    shares, areas = np.zeros(mean.shape), np.zeros(mean.shape)
    points = (np.arange(4) + 0.5) / 4
    geod = Geod(ellps="WGS84")
    for row, col in np.ndindex(mean.shape):
        y, x = np.meshgrid(row + points, col + points)
        shares[row, col] = shapely.contains_xy(shape, x, y).mean()
        # Pixel coordinates of corners are those of centres half a pixel up and left.
        corners = grid.lonlat(
            np.array([row, row, row + 1, row + 1]) - 0.5,
            np.array([col, col + 1, col + 1, col]) - 0.5,
        )
        areas[row, col] = abs(geod.polygon_area_perimeter(*corners)[0]) / 1e6
    at = np.nonzero((shares > 0) & np.isfinite(mean))
    weight = (shares * areas)[at]
    weight /= weight.sum()
    half = ((upper - lower) / 2)[at]
    places = on_sphere(np.column_stack(grid.lonlat(*at)))
    alike = np.exp(-apart(places) / reach)
    a = weight * half
    return {
        "pixels": len(weight),
        "mapped_km2": (shares * areas)[at].sum(),
        "mean": weight @ mean[at],
        "half_width": np.sqrt((1 - nugget) * (a @ alike @ a)),
        "half_width_counts": np.sqrt((1 - nugget) * (a @ alike @ a) + nugget * (a @ a)),
        "half_width_naive": np.sqrt(a @ a),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [RING, PARTS], ids=["ring", "parts"])
def test_every_kind_of_grid_against_brute_force(tmp_path, kind, shape):
    half = np.random.default_rng(1).uniform(2, 8, SHAPE)
    path = some_map(tmp_path / "map.tif", noise(), kind, half)
    found = summarise(path, on_map(shape, kind), ErrorCorrelation(40.0, 0.3)).iloc[0]
    expected = brute_force(path, shape, 40.0, 0.3)
    assert found["pixels"] == expected.pop("pixels")
    assert found["taken"] == "shares"
    for column, value in expected.items():
        np.testing.assert_allclose(found[column], value, rtol=1e-4, err_msg=column)
    np.testing.assert_allclose(
        found[["lower", "upper"]].astype(float),
        found["mean"] + np.array([-1, 1]) * found["half_width"],
    )


def test_a_constant_is_its_mean_and_all_its_quantiles(tmp_path):
    path = some_map(tmp_path / "map.tif", np.full(SHAPE, 31.0))
    found = summarise(path, on_map(RING, "degrees"), ErrorCorrelation(1e12)).iloc[0]
    for column in ("mean", "q05", "q25", "q50", "q75", "q95"):
        assert found[column] == pytest.approx(31, rel=1e-12)
    assert found["mapped_km2"] == pytest.approx(found["area_km2"], rel=0.005)
    # Errors that are the same everywhere do not average out.
    assert found["half_width"] == pytest.approx(HALF, rel=1e-6)
    assert found["half_width_naive"] < HALF / 15


def test_a_gradient_gives_its_integral_over_the_sphere(tmp_path):
    """Latitude over a box: pixels count by their area, and that shrinks to the pole."""
    transform = Affine(0.1, 0, 0, 0, -0.1, 80)
    lat = np.repeat(80 - (np.arange(400) + 0.5)[:, None] / 10, 20, axis=1)
    path = some_map(tmp_path / "map.tif", lat, transform=transform)
    found = summarise(path, table(box(0.13, 50.02, 1.9, 78.27))).iloc[0]
    low, high = np.radians([50.02, 78.27])
    antiderivative = [p * np.sin(p) + np.cos(p) for p in (low, high)]
    expected = np.degrees(np.diff(antiderivative)[0] / (np.sin(high) - np.sin(low)))
    assert found["mean"] == pytest.approx(expected, abs=0.02)
    assert abs(found["mean"] - (50.02 + 78.27) / 2) > 1, "not so without areas"
    assert found["mapped_km2"] == pytest.approx(found["area_km2"], rel=0.005)


def crs_of(text: str):
    from pyproj import CRS

    return CRS.from_user_input(text)


def test_windows_do_not_matter_and_every_pixel_counts_once(tmp_path, monkeypatch):
    path = some_map(tmp_path / "map.tif", noise())
    polygons = pd.concat([on_map(RING, "degrees"), on_map(PARTS, "degrees")])
    whole = summarise(path, polygons, ErrorCorrelation(40.0))
    seen = np.zeros(SHAPE, int)
    monkeypatch.setattr(zones, "SIDE", 7)
    for window, shares in zones.pieces(box(-3, -3, 99, 99), *SHAPE):
        assert max(window.width, window.height) <= 7
        assert (shares == 1).all()
        seen[window.toslices()] += 1
    assert (seen == 1).all()
    cut = summarise(path, polygons, ErrorCorrelation(40.0))
    pd.testing.assert_frame_equal(whole, cut, rtol=5e-6)  # areas are computed on other lattices


def test_polygons_that_meet_share_the_pixels_between_them(tmp_path):
    path = some_map(tmp_path / "map.tif", np.ones(SHAPE))
    left, right = box(3, 3, 20.37, 30), box(20.37, 3, 50, 30)
    shapes = [on_map(s, "degrees").geometry[0] for s in (left, right, left.union(right))]
    one, other, both = summarise(path, table(*shapes))["mapped_km2"]
    assert one + other == pytest.approx(both, rel=1e-6)


def test_correlation_decides_between_a_pixel_and_root_n(tmp_path):
    path = some_map(tmp_path / "map.tif", np.full(SHAPE, 30.0), half=HALF)
    polygon = on_map(box(5, 5, 25, 25), "degrees")
    rows = [summarise(path, polygon, ErrorCorrelation(r)).iloc[0] for r in (1e-3, 20, 200, 1e9)]
    widths = [row["half_width"] for row in rows]
    assert widths[0] == pytest.approx(HALF / 20, rel=1e-3) == rows[0]["half_width_naive"]
    assert (np.diff(widths) > 0).all()
    assert widths[-1] == pytest.approx(HALF, rel=1e-5)
    alone = summarise(path, polygon, ErrorCorrelation(200, nugget_share=1.0)).iloc[0]
    assert alone["half_width"] == 0
    assert alone["half_width_counts"] == pytest.approx(HALF / 20, rel=1e-3)
    scaled = summarise(path, polygon, ErrorCorrelation(20, scale=1.2)).iloc[0]
    assert scaled["half_width"] == pytest.approx(1.2 * widths[1])


def test_large_polygons_from_some_of_their_pixels(tmp_path, monkeypatch):
    """As near to the sum over all pairs as docs/zonal.md says, whatever the draw."""
    mean = noise()
    path = some_map(tmp_path / "map.tif", mean, half=np.abs(mean) / 5)
    polygon, known = on_map(box(0, 0, 60, 40), "degrees"), ErrorCorrelation(60.0, 0.2)
    monkeypatch.setattr(zonal, "PAIRED", 10_000)
    exact = summarise(path, polygon, known).iloc[0]
    assert 2000 < exact["pixels"] < 2400
    monkeypatch.setattr(zonal, "PAIRED", 400)
    monkeypatch.setattr(zonal, "KEPT", 1000)
    monkeypatch.setattr(zones, "SIDE", 16)
    drawn = [summarise(path, polygon, known, seed=seed).iloc[0] for seed in range(12)]
    for column in ("mean", "mapped_km2", "half_width_naive"):  # these need no draw
        np.testing.assert_allclose([row[column] for row in drawn], exact[column], rtol=5e-6)
    widths = np.array([row["half_width"] for row in drawn])
    assert 1e-6 < widths.std() / exact["half_width"] < 0.03
    assert abs(widths.mean() / exact["half_width"] - 1) < 0.01
    assert abs(np.mean([row["q50"] for row in drawn]) - exact["q50"]) < 1
    again = summarise(path, polygon, known, seed=3).iloc[0]
    pd.testing.assert_series_equal(again, drawn[3])


def test_intervals_of_means_hold_and_the_naive_ones_do_not(tmp_path):
    """Gaussian errors of a known correlation, as in benchmarks/zonal.py."""
    side, reach = 16, 150.0
    grid = Grid(crs_of("EPSG:4326"), Affine(0.25, 0, 140, 0, -0.25, -20), side, side)
    places = on_sphere(np.column_stack([v.ravel() for v in grid.lonlat(*np.mgrid[:side, :side])]))
    alike = correlation(apart(places), reach, 1e-9)
    rng = np.random.default_rng(0)
    errors = np.linalg.cholesky(alike) @ rng.normal(size=(side**2, 400))  # (pixel, field)
    half = norm.ppf(0.95)
    path = some_map(
        tmp_path / "map.tif", np.full((side, side), 50.0), half=half, transform=grid.transform
    )
    cells = table(*(box(140 + i, -21 - j, 141 + i, -20 - j) for j in range(4) for i in range(4)))
    found = summarise(path, cells, ErrorCorrelation(reach))
    true = errors.reshape(4, 4, 4, 4, 400).mean(axis=(1, 3)).reshape(16, 400)
    cover, naive = (
        (np.abs(true) <= found[column].to_numpy()[:, None]).mean()
        for column in ("half_width", "half_width_naive")
    )
    assert 0.87 < cover < 0.93
    assert naive < 0.6


def test_quantiles_are_hazen_s_where_weights_are_equal():
    values = np.random.default_rng(0).normal(size=57)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    np.testing.assert_allclose(
        weighted_quantiles(values, np.full(57, 3.0), shares),
        np.quantile(values, shares, method="hazen"),
    )
    np.testing.assert_allclose(
        weighted_quantiles(np.array([1.0, 9.0]), np.array([9, 1.0]), (0.45,)), 1
    )


@pytest.mark.slow
def test_correlation_is_found_again():
    """Over 6 fields, in half-widths that differ from plot to plot."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(6):
        lon, lat = rng.uniform(140, 150, 300), rng.uniform(-35, -25, 300)
        distance = apart(on_sphere(np.column_stack([lon, lat])))
        root = np.linalg.cholesky(correlation(distance, 150.0, 0.3))
        half = rng.uniform(5, 9, 300)
        errors = root @ rng.normal(size=300) * half / norm.ppf(0.95)
        found.append(ErrorCorrelation.estimate(lon, lat, errors, half, 0.9))
    assert 100 < np.median([one.range_km for one in found]) < 250
    assert 0.2 <= np.mean([one.nugget_share for one in found]) <= 0.45
    assert 0.9 < np.mean([one.scale for one in found]) < 1.1
    assert ErrorCorrelation(**found[0].to_json()) == found[0]
    alone = ErrorCorrelation.estimate(lon, lat, rng.permutation(errors), half, 0.9)
    assert alone.nugget_share >= 0.8


def test_errors_are_compared_within_a_fold():
    """Each plot's neighbour is of the other fold and errs the other way, as when it was learned
    from: compared across folds there would be no correlation left."""
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(140, 150, (2, 150)) - np.array([[0], [175]])
    distance = apart(on_sphere(np.column_stack([lon, lat])))
    field = np.linalg.cholesky(correlation(distance, 300.0, 0.1)) @ rng.normal(size=150)
    twice = np.tile(lon, 2), np.tile(lat, 2) + np.repeat([0, 0.01], 150)
    errors, half = np.concatenate([field, -field]), np.full(300, 1.645)
    fold = np.repeat([0, 1], 150)
    within = ErrorCorrelation.estimate(*twice, errors, half, 0.9, fold=fold)
    across = ErrorCorrelation.estimate(*twice, errors, half, 0.9)
    assert within.nugget_share <= 0.3
    assert within.range_km > 100
    assert across.nugget_share == 0.9


def test_mean_correlation_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(600, 3)) * 100 + 6000, rng.uniform(0, 2, 600)
    alike = np.exp(-apart(points) / 70) * (1 - np.eye(600))
    pairs = np.outer(weights, weights) * (1 - np.eye(600))
    expected = (alike * pairs).sum() / pairs.sum()
    assert mean_correlation(points, weights, 70) == pytest.approx(expected, rel=1e-9)
    assert mean_correlation(points[:1], weights[:1], 70) == 1


def test_odd_polygons_are_rows_too(tmp_path):
    mean = np.full(SHAPE, 20.0)
    mean[:10] = np.nan
    path = some_map(tmp_path / "map.tif", mean)
    bow_tie = Polygon([(141, -22), (142, -23), (142, -22), (141, -23)])
    shapes = {
        "outside": box(10, 10, 11, 11),
        "none": None,
        "empty": Polygon(),
        "tiny": box(142.501, -22.501, 142.502, -22.5005),
        "on nodata": box(140.2, -20.7, 141, -20.2),
        "bow tie": bow_tie,
        "half off": box(139, -24, 141, -23),
    }
    polygons = table(*shapes.values()).assign(park=list(shapes))
    found = summarise(path, polygons, ErrorCorrelation(30, 0.4), name="park").set_index("name")
    assert found.index.tolist() == list(shapes)
    assert found["pixels"].tolist()[:5] == [0, 0, 0, 1, 0]
    assert found["taken"].tolist() == ["none"] * 3 + ["nearest"] + ["shares"] * 3
    assert found.loc[["outside", "none", "empty", "on nodata"], "mean"].isna().all()
    # One pixel has the map's own interval, less what single plots owe to themselves.
    assert found.loc["tiny", "half_width_counts"] == pytest.approx(HALF)
    assert found.loc["tiny", "half_width"] == pytest.approx(HALF * 0.6**0.5)
    assert found.loc["tiny", "mapped_km2"] == pytest.approx(found.loc["tiny", "area_km2"], rel=1e-3)
    assert found.loc["bow tie", "mapped_km2"] == pytest.approx(
        found.loc["bow tie", "area_km2"], rel=0.01
    )
    assert found.loc["half off", "mapped_km2"] == pytest.approx(
        found.loc["half off", "area_km2"] / 2, rel=0.01
    )
    assert found.geometry["outside"].equals(shapes["outside"])


def test_polygons_of_another_crs(tmp_path):
    path = some_map(tmp_path / "map.tif", noise())
    here = on_map(RING, "degrees")
    there = here.to_crs("EPSG:3577")
    one, other = (summarise(path, p, ErrorCorrelation(40)).iloc[0] for p in (here, there))
    assert there.crs.to_epsg() == 3577
    for column in ("pixels", "area_km2", "mean", "q25", "half_width"):
        assert other[column] == pytest.approx(one[column], rel=2e-3), column


def test_the_antimeridian_is_no_edge(tmp_path):
    """One area said in three ways, over a map from 178 to 184 degrees."""
    values = np.tile(np.arange(60.0), (40, 1))
    path = some_map(tmp_path / "map.tif", values, "antimeridian")
    plain = box(179.0, -23, 181.0, -21)
    split = MultiPolygon([box(179.0, -23, 180, -21), box(-180, -23, -179.0, -21)])
    west = box(-181.0, -23, -179.0, -21)
    shapes = gpd.GeoSeries([plain, split, west], crs="EPSG:4326")
    found = summarise(path, gpd.GeoDataFrame(geometry=shapes))
    assert found["pixels"].tolist() == [400] * 3
    np.testing.assert_allclose(found["mean"], 19.5, rtol=1e-6)
    projected = gpd.GeoDataFrame(geometry=shapes[:1].to_crs("EPSG:32701"))
    assert summarise(path, projected)["mean"][0] == pytest.approx(19.5, abs=0.05)


def test_hundredths_are_species(tmp_path):
    data = np.full((3, 40, 60), 2500, np.uint16) + np.array([0, -300, 300])[:, None, None]
    data[:, :, :20] = 65535
    path = write_raster(tmp_path / "map.tif", data.astype(np.uint16), nodata=65535, names=TITLES)
    with rasterio.open(path, "r+") as target:
        target.scales = [0.01] * 3
    found = summarise(path, table(box(140, -24, 146, -20)), ErrorCorrelation(1e12)).iloc[0]
    assert found["pixels"] == 40 * 40
    assert found["mean"] == pytest.approx(25)
    assert found["half_width"] == pytest.approx(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return finished(tmp_path_factory.mktemp("finished")).parent / "run"


@pytest.fixture
def parks(tmp_path) -> Path:
    path = tmp_path / "parks.gpkg"
    shapes = [box(141, -23, 143, -21), Point(144, -24).buffer(1), box(0, 0, 1, 1)]
    table(*shapes).assign(park=["a", "b", "far"]).to_file(path, layer="parks")
    return path


def ask(*arguments) -> Ended:
    return spatioformer("zonal", *arguments)


@pytest.mark.integration
def test_the_command_reads_a_run_and_writes_both_formats(run, parks, tmp_path):
    for name in ("zones.csv", "zones.gpkg"):
        ended = ask(run / "map.tif", parks, "-o", tmp_path / name, "--name", "park")
        assert ended.code == 0, ended.err
        assert ended.err.endswith(f"{tmp_path / name}: 3 polygons, 1 without a pixel\n")
    read = pd.read_csv(tmp_path / "zones.csv")
    layer = gpd.read_file(tmp_path / "zones.gpkg")
    assert read["name"].tolist() == layer["name"].tolist() == ["a", "b", "far"]
    assert layer.crs.to_epsg() == 4326
    known = read_json(run / "model" / "uncertainty.json")["facts"]["correlation"]
    assert set(known) == {"range_km", "nugget_share", "scale"}
    found = summarise(run / "map.tif", parks, ErrorCorrelation(**known), name="park")
    for column in ("mean", "q50", "lower", "upper", "half_width_naive"):
        np.testing.assert_allclose(read[column], found[column], rtol=1e-5)
        np.testing.assert_allclose(layer[column], found[column], rtol=1e-12)
    assert (found["half_width_counts"] >= found["half_width"])[:2].all()
    plain = tmp_path / "plain.csv"
    assert ask(run / "map.tif", parks, "-o", plain, "--no-interval").code == 0
    assert "lower" not in pd.read_csv(plain).columns
    assert pd.read_csv(plain)["name"].tolist() == [1, 2, 3]


def test_a_map_that_is_not_there(parks, tmp_path):
    """The missing map is told, not that no model lies beside it."""
    missing = tmp_path / "nothing.tif"
    ended = ask(missing, parks, "-o", tmp_path / "zones.csv")
    assert ended.err.startswith(f"spatioformer: {missing} cannot be read (")
    assert ended.code == 2


@pytest.mark.integration
def test_a_map_away_from_its_run(run, parks, tmp_path):
    moved = tmp_path / "elsewhere" / "map.tif"
    moved.parent.mkdir()
    moved.write_bytes((run / "map.tif").read_bytes())
    out = tmp_path / "zones.csv"
    assert_refused(
        ask(moved, parks, "-o", out),
        f"{moved.parent} holds no evaluated model with a correlation of errors; give --run RUN, "
        "--range KM, or --no-interval for means and quantiles only",
    )
    assert not out.exists()
    for folder in (run, run / "model"):
        assert ask(moved, parks, "-o", out, "--run", folder).code == 0
    assert correlation_of(moved, run) == correlation_of(run / "map.tif")
    assert ask(moved, parks, "-o", out, "--range", 80, "--nugget", 0.2).code == 0
    assert_refused(
        ask(moved, parks, "-o", out, "--range", 0),
        "an error correlation cannot have a range of 0 km, a nugget share of 0 and a scale of 1; "
        "give a range and a scale above 0 and a share of 0 to 1",
    )


@pytest.mark.integration
def test_a_run_that_is_not_the_map_s(run, tmp_path):
    other = tmp_path / "model"
    other.mkdir()
    for name in ("uncertainty.json", "uncertainty.npz"):
        (other / name).write_bytes((run / "model" / name).read_bytes())
    assert correlation_of(run / "map.tif", other)
    said = read_json(other / "uncertainty.json")
    said["facts"].pop("correlation")
    write_json(other / "uncertainty.json", said)
    with pytest.raises(ModelError, match="did not estimate the correlation of errors; evaluate it"):
        correlation_of(run / "map.tif", other)
    (other / "model.safetensors").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"was made by model [0-9a-f]{16}, which is not the one"):
        correlation_of(run / "map.tif", other)


@pytest.mark.integration
def test_what_is_refused(run, parks, tmp_path):
    out, map_ = tmp_path / "zones.csv", run / "map.tif"
    points = tmp_path / "points.gpkg"
    table(Point(141, -21)).to_file(points)
    lines = tmp_path / "two.gpkg"
    for layer in ("parks", "catchments"):
        table(box(141, -22, 142, -21)).to_file(lines, layer=layer)
    gone, text = tmp_path / "gone.gpkg", tmp_path / "zones.txt"
    copied = tmp_path / "copied.gpkg"
    copied.write_bytes(parks.read_bytes())
    for arguments, sentence in (
        (
            (map_, parks, "-o", out, "--name", "x"),
            f"{parks} has no field 'x'; its fields are 'park'",
        ),
        (
            (map_, points, "-o", out),
            f"{points} holds a Point (row 1) instead of a polygon; give a layer of polygons",
        ),
        (
            (map_, lines, "-o", out),
            f"{lines} has the layers 'parks', 'catchments'; choose one with --layer",
        ),
        (
            (map_, parks, "-o", text),
            f"cannot write {text}: .txt is not supported; name a file that ends with .csv or .gpkg",
        ),
        (
            (map_, copied, "-o", copied),
            f"cannot write {copied}: it is an input; name another file",
        ),
        (
            (map_, parks, "-o", out, "--nugget", 0.2),
            "--nugget 0.2 belongs to --range KM; give both, or neither",
        ),
    ):
        assert_refused(ask(*arguments), sentence)
    for arguments, part in (
        ((map_, gone), "gone.gpkg cannot be read"),
        ((tmp_path / "no.tif", parks, "--range", 9), "no.tif cannot be read"),
    ):
        ended = ask(*arguments, "-o", out)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert part in ended.err
    assert not out.exists()
    assert ask(map_, lines, "-o", out, "--layer", "catchments").code == 0


def test_tables_and_maps_that_cannot_be_used(tmp_path):
    cells = table(box(141, -22, 142, -21))
    plain = write_raster(tmp_path / "plain.tif", np.ones((2, *SHAPE), np.float32))
    with pytest.raises(ImageryError, match="has no layer 'mean'; give a map of `spatioformer map`"):
        summarise(plain, cells)
    alone = write_raster(tmp_path / "alone.tif", np.full(SHAPE, 7, np.float32))
    assert summarise(alone, cells)["mean"][0] == pytest.approx(7)
    with pytest.raises(ImageryError, match="has no layer 'lower end of the interval'; map again"):
        summarise(alone, cells, ErrorCorrelation(10))
    placeless = write_raster(tmp_path / "placeless.tif", np.ones(SHAPE, np.float32), crs=None)
    with pytest.raises(ImageryError, match="no coordinate reference system"):
        summarise(placeless, cells)
    with pytest.raises(PlotError, match="the table has no coordinate reference system"):
        summarise(alone, table(box(0, 0, 1, 1), crs=None))
    with pytest.raises(PlotError, match="the table holds no polygon"):
        summarise(alone, table(None))
    path = tmp_path / "cells.gpkg"
    cells.to_file(path, layer="cells")
    with pytest.raises(PlotError, match="has the layers 'cells'; choose one with --layer"):
        summarise(alone, path, layer="other")
    with pytest.raises(EvaluationError, match="smallest half-width is 0; give intervals that"):
        ErrorCorrelation.estimate([1, 2], [1, 2], [1, 2], [1, 0], 0.9)


def test_the_disk_may_be_read_only(tmp_path):
    found = summarise(
        write_raster(tmp_path / "map.tif", np.ones(SHAPE, np.float32)),
        table(box(141, -22, 142, -21)),
    )
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Exception, match="cannot write"):
        write_zones(found, file / "zones.csv")
