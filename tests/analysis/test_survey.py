"""Where to survey next: the greedy choice, limits of access, files, and a gain that is real."""

from itertools import combinations
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from rasterio.transform import from_origin
from shapely.geometry import LineString, Point, box

from benchmarks import evaluation_survey
from spatioformer.analysis.survey import choose, propose, survey_outline, write_sites
from spatioformer.common.errors import ModelError, OutputError, PlotError
from spatioformer.evaluation import knndm
from spatioformer.geo.land.countries import countries_of
from spatioformer.geo.vector.access import read_access
from spatioformer.models.uncertainty import Uncertainty
from tests.helpers.tiny_run import Ended, assert_refused, finished, spatioformer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return finished(tmp_path_factory.mktemp("finished")).parent / "run"


def layer(path: Path, *shapes, crs: str | None = "EPSG:4326") -> Path:
    gpd.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path, driver="GeoJSON")
    return path


def left(points, weights, nearest, sites) -> float:
    """Weighted squared dissimilarity that is left with these sites, as a share."""
    apart = ((points[:, None] - sites[None]) ** 2).sum(-1).min(1)
    return float(weights @ np.minimum(nearest**2, apart) / (weights @ nearest**2))


def test_every_site_is_the_best_after_those_before_it():
    """Against the plain search through all candidates, the gains as the formula gives them."""
    rng = np.random.default_rng(0)
    points, candidates = rng.normal(size=(80, 3)), rng.normal(size=(40, 3))
    weights, nearest = rng.uniform(1, 5, 80), rng.uniform(0.5, 2, 80)
    chosen, gain = choose(points, weights, nearest, candidates, 6)
    taken: list[int] = []
    before = 1.0
    for site, share in zip(chosen, gain, strict=True):
        rest = [i for i in range(40) if i not in taken]
        after = [left(points, weights, nearest, candidates[[*taken, i]]) for i in rest]
        assert site == rest[int(np.argmin(after))]
        assert share == pytest.approx(before - min(after), abs=1e-5)
        before, taken = min(after), [*taken, site]
    assert (np.diff(gain) <= 1e-6).all()


def test_the_greedy_choice_is_near_the_best_set():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, 2))
    weights, nearest = np.ones(60), np.full(60, 3.0)
    chosen, gain = choose(points, weights, nearest, points[:15], 3)
    best = min(left(points, weights, nearest, points[list(s)]) for s in combinations(range(15), 3))
    assert gain.sum() >= (1 - 1 / np.e) * (1 - best)
    assert gain.sum() == pytest.approx(1 - left(points, weights, nearest, points[chosen]), abs=1e-5)


def test_a_place_is_proposed_once():
    chosen, gain = choose(np.zeros((5, 1)), np.ones(5), np.ones(5), np.zeros((3, 1)), 3)
    assert sorted(chosen) == [0, 1, 2]
    np.testing.assert_allclose(gain, [1, 0, 0])


def test_wider_intervals_draw_sites():
    points = np.array([[0.0], [10.0]])
    for weights, expected in (([1, 2], 1), ([2, 1], 0)):
        chosen, _ = choose(points, np.array(weights, float), np.ones(2), points, 1)
        assert chosen == [expected]


@pytest.mark.slow
def test_sites_of_a_run(run):
    sites = propose(run, 12)
    assert sites["site"].tolist() == list(range(1, 13))
    assert not sites.duplicated(["lon", "lat"]).any()
    assert 0 < sites["total_gain"].iloc[-1] <= 1
    np.testing.assert_allclose(sites["total_gain"], sites["gain"].cumsum())
    known = Uncertainty.load(run / "model")
    with rasterio.open(run / "map.tif") as source:
        at = list(source.sample(sites[["lon", "lat"]].to_numpy()))
        di = [name.endswith("dissimilarity index") for name in source.descriptions].index(True)
    np.testing.assert_allclose(sites["di"], [value[di] for value in at], rtol=1e-4)
    assert (sites["inside"] == (sites["di"] <= known.area.threshold_)).all()
    pd.testing.assert_frame_equal(propose(run, 12), sites)
    assert not propose(run, 12, seed=1).equals(sites)


def test_access_by_road_and_closed_areas(run, tmp_path):
    """A road along the meridian 143 and a closed south, both in their own CRS."""
    road = LineString([(143, -20), (143, -26.4)])
    file = tmp_path / "road.gpkg"
    gpd.GeoDataFrame(geometry=[road], crs="EPSG:4326").to_crs("EPSG:3577").to_file(file)
    closed = layer(tmp_path / "closed.geojson", box(139, -27, 147, -23))
    sites = propose(run, 10, read_access(file, 30, closed))
    km = (sites["lon"] - 143).abs() * 111.195 * np.cos(np.radians(sites["lat"]))
    assert km.max() < 30 * 1.01
    assert sites["lat"].min() > -23
    assert km.max() > 11, "not on the road alone"


def test_distance_is_that_on_the_sphere(tmp_path):
    near = layer(tmp_path / "town.geojson", Point(179.9, 60.0))
    access = read_access(near, 20)
    # A degree of longitude is 55.6 km at 60 degrees; the date line is no border.
    assert access.allows([179.6, 179.5, -179.8, -179.7], [60.0] * 4).tolist() == [
        True, False, True, False,
    ]  # fmt: skip
    assert read_access() is None


def test_files(run, tmp_path):
    sites = propose(run, 4)
    for name in ("sites.gpkg", "sites.csv", "sites.gpx"):
        write_sites(sites, tmp_path / name)
    table = pd.read_csv(tmp_path / "sites.csv")
    assert table.columns.tolist() == sites.columns.tolist()
    np.testing.assert_allclose(table["gain"], sites["gain"], rtol=1e-5)
    made = gpd.read_file(tmp_path / "sites.gpkg")
    assert made.crs.to_epsg() == 4326
    np.testing.assert_allclose(made.geometry.x, sites["lon"])
    waypoints = gpd.read_file(tmp_path / "sites.gpx", layer="waypoints")
    np.testing.assert_allclose(waypoints.geometry.y, sites["lat"], atol=1e-6)
    assert waypoints["name"].tolist() == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_the_command(run, tmp_path):
    out = tmp_path / "sites.csv"
    ended = spatioformer("survey", run, "-n", 5, "-o", out)
    assert ended.code == 0
    assert ended.err.startswith(f"{out}: 5 sites, which would remove ")
    assert len(pd.read_csv(out)) == 5
    assert spatioformer("survey", run, "-n", 5, "-o", out, "-q") == Ended(0, "", "")


@pytest.fixture
def straits(tmp_path) -> Path:
    """The run moved to the Torres Strait: its plots on Cape York, its map as far as New Guinea."""
    folder = finished(tmp_path).parent / "run"
    for name in ("map.tif", "imagery.tif"):
        with rasterio.open(folder / name) as source:
            data, masks, profile = source.read(), source.read_masks(1), source.profile
            titles = source.descriptions
        profile |= {"driver": "GTiff", "transform": from_origin(140, -5, 0.1, 0.1)}
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            with rasterio.open(folder / name, "w", **profile) as target:
                target.write(data)
                target.write_mask(masks)
                target.descriptions = titles
    plots = pd.read_parquet(folder / "plots.parquet")
    rng = np.random.default_rng(0)
    places = {"lon": rng.uniform(142.2, 142.8, 150), "lat": rng.uniform(-11.3, -10.9, 150)}
    plots.assign(**places).to_parquet(folder / "plots.parquet")
    return folder


def test_no_site_lies_in_another_country(straits, tmp_path):
    """Five sites in the plots' country by default; without an outline, some in New Guinea."""
    countries = {}
    for option in ((), ("--outline", "auto"), ("--outline", "none")):
        out = tmp_path / f"sites{''.join(option)}.csv"
        ended = spatioformer("survey", straits, "-n", 5, "-o", out, *option)
        assert ended.code == 0, ended.err
        assert ("note: outline: Australia; land of" in ended.err) == (option[1:] != ("none",))
        sites = pd.read_csv(out)
        assert len(sites) == 5
        countries[option[1:]] = set(countries_of(sites["lon"], sites["lat"]))
    assert countries[()] <= {"Australia", ""}  # '': within 10 km of its coast
    assert countries[()] == countries[("auto",)]
    assert "Papua New Guinea" in countries[("none",)]


def test_sites_in_a_file_of_polygons(run, tmp_path):
    park = layer(tmp_path / "park.geojson", box(141, -24, 142, -23))
    out = tmp_path / "sites.csv"
    assert spatioformer("survey", run, "-n", 4, "-o", out, "-q", "--outline", park).code == 0
    sites = pd.read_csv(out)
    assert sites["lon"].between(141, 142).all()
    assert sites["lat"].between(-24, -23).all()


def test_the_outline_of_the_configuration_limits_the_map_already(straits):
    assert survey_outline(straits).title == "Australia"
    file = straits / "config.resolved.yaml"
    settings = yaml.safe_load(file.read_text())
    for stated in ("auto", "none"):
        settings["imagery"]["outline"] = stated
        file.write_text(yaml.safe_dump(settings))
        assert survey_outline(straits) is None
        assert survey_outline(straits, "auto").title == "Australia"


def test_what_it_refuses(run, tmp_path):
    def ask(*arguments):
        return spatioformer("survey", *arguments)

    out, gone, begun = tmp_path / "sites.csv", tmp_path / "gone", tmp_path / "begun"
    begun.mkdir()
    (begun / "config.resolved.yaml").touch()
    assert_refused(
        ask(begun, "-o", out),
        f"{begun} is not a run with a map: map.tif is missing; give the folder of a finished run",
    )
    assert_refused(
        ask(run, "-o", tmp_path / "sites.txt"),
        f"cannot write {tmp_path / 'sites.txt'}: .txt is not supported; name a file that ends "
        "with "
        ".gpkg, .csv, .gpx",
    )
    town = layer(tmp_path / "town.geojson", Point(143, -23))
    abroad = layer(tmp_path / "abroad.geojson", box(0, 50, 1, 51))
    for arguments, sentence in (
        (("--near", town), "--within None must be given together; give a layer of roads or places"),
        (
            ("--near", town, "--within", 0),
            "--within 0 must be above 0; give a distance in kilometres",
        ),
        (("--near", gone, "--within", 5), "cannot be read"),
        (
            ("-n", 5000),
            "only 3,844 of 3,844 mapped pixels can be reached inside the outline Australia, fewer "
            "than the 5000",
        ),
        (("-n", 5000, "--outline", "none"), "mapped pixels can be reached, fewer than the 5000"),
        (
            ("--outline", gone),
            "cannot be read (no such file); give a GeoPackage, GeoJSON",
        ),
        (("--outline", town), "holds a Point (row 1) instead of a polygon"),
        (("--outline", abroad), "none of the 150 plots lies inside the outline"),
    ):
        ended = ask(run, "-o", out, *arguments)
        assert ended.code == 2
        assert sentence in ended.err
        assert ended.err.count("\n") == 1
    assert not out.exists()
    far = layer(tmp_path / "far.geojson", Point(10, 50))
    with pytest.raises(OutputError, match="only 0 of 3,844 mapped pixels can be reached"):
        propose(run, 3, read_access(far, 100))
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        gpd.GeoDataFrame(geometry=[Point(1, 1)]).to_file(tmp_path / "no_crs.gpkg")
    with pytest.raises(PlotError, match="has no coordinate reference system"):
        read_access(tmp_path / "no_crs.gpkg", 5)


def test_a_model_without_intervals_has_no_survey(tmp_path):
    folder = finished(tmp_path).parent / "run"
    (folder / "model" / "uncertainty.json").unlink()
    with pytest.raises(
        ModelError, match=r"holds no uncertainty.json; run `spatioformer evaluate` to write"
    ):
        propose(folder, 3)


@pytest.mark.slow
def test_proposed_sites_help_more_than_random_ones(monkeypatch):
    """On the virtual flora of the benchmark, where the map's true error is known, on less land."""
    new = evaluation_survey._new
    monkeypatch.setattr(
        evaluation_survey, "_new", lambda seed: new(seed).set_params(n_estimators=40)
    )
    monkeypatch.setattr(evaluation_survey, "SIDE", 45)
    monkeypatch.setattr(knndm, "CANDIDATES", 25)  # of numbers of clusters: a quarter
    monkeypatch.setattr(knndm, "REFINED", (3, 4))
    found = [evaluation_survey.one_seed(seed) for seed in (0, 1)]
    gain = {
        kind: np.mean([f["before"] - f[kind] for f in found]) for kind in ("proposed", "random")
    }
    assert gain["proposed"] > 1.2 * gain["random"] > 0
    for one in found:
        assert 0.8 < one["coverage inside"] < 0.97
