"""Answers about a run and its places: known values of the linear world."""

import json
import math
import shutil

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from spatioformer.analysis.trends import exact_p
from spatioformer.analysis.zonal import correlation_of, summarise
from spatioformer.common import style as palette
from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.config.imagery import ImagerySection
from spatioformer.run.map_model import plot_facts
from spatioformer.viewer import ground, style
from spatioformer.viewer.answers import dumps
from spatioformer.viewer.at import slope_interval
from spatioformer.viewer.explain import explain, occlusion
from spatioformer.viewer.rasters import Rasters
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.texts import grain_text
from spatioformer.viewer.unmapped import Unmapped
from tests.helpers import linear_world, maps, viewed_run
from tests.helpers.landscape import NORTH, STEP, WEST, write_raster

ROW, COL = 12, 8
LON, LAT = viewed_run.centre(ROW, COL)


def at(client, lon: float, lat: float, **more) -> dict:
    answer = client.get("/api/at.json", params={"lon": lon, "lat": lat, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_facts_of_the_run(client, run):
    facts = client.get("/api/run.json").json()
    height, width = linear_world.SHAPE
    assert facts["bounds"] == pytest.approx(
        [WEST, NORTH - height * STEP, WEST + width * STEP, NORTH]
    )
    assert facts["years"] == list(viewed_run.YEARS)
    assert (facts["name"], facts["title"], facts["level"]) == ("linear", "A linear world", 0.9)
    assert facts["verdict"] == {
        "level": "use", "sentence": {"en": "Use this map.", "es": "Use este mapa."}
    }  # fmt: skip
    assert facts["links"]["report"] == "report.html"
    assert facts["notes"] == []
    assert facts["masked"] == "cropland"
    km = STEP * KM_PER_DEGREE * math.sqrt(math.cos(math.radians(NORTH - height * STEP / 2)))
    assert facts["grain_m"] == pytest.approx(1000 * km, rel=0.01)
    layers = {layer["id"]: layer for layer in facts["layers"]}
    assert list(layers) == [
        *("mean", "width", "lower", "upper", "applies", "dissimilarity"),
        *("slope", "significant", "change-warmer", "imagery-bands"),
    ]
    assert layers["mean"]["years"] == list(viewed_run.YEARS)
    assert layers["slope"]["years"] is None
    for layer in layers.values():
        assert set(layer["title"]) == {"en", "es"}
        assert layer["kind"] in ("rgb", "classes") or layer["colours"] in style.SCALES


def test_a_click_on_the_linear_world(client):
    warmth, rain = linear_world.climate()[:, ROW, COL].astype(float)
    value = linear_world.richness(warmth, rain)
    answer = at(client, LON, LAT)
    assert answer["value"] == pytest.approx(value, rel=1e-6)
    assert answer["lower"] == pytest.approx(value - linear_world.HALF, rel=1e-6)
    assert answer["upper"] == pytest.approx(value + linear_world.HALF, rel=1e-6)
    assert (answer["inside"], answer["applies"], answer["sd"]) == (True, True, None)
    assert answer["dissimilarity"] <= answer["threshold"]
    assert [entry["year"] for entry in answer["series"]] == list(viewed_run.YEARS)
    rise = answer["series"][-1]["value"] - answer["series"][0]["value"]
    assert rise == pytest.approx(4 * viewed_run.SLOPE, abs=1e-4)
    assert answer["trend"] == pytest.approx(dict.fromkeys(("slope", "lower", "upper"), 1.5))
    later = at(client, LON, LAT, year=2021)
    assert later["value"] == pytest.approx(value + 2 * viewed_run.SLOPE, rel=1e-6)


def test_the_nearest_plots_and_those_most_alike(client, run):
    answer = at(client, LON, LAT)
    plots = run.plots
    cosine = math.cos(math.radians(LAT))
    km = KM_PER_DEGREE * np.hypot((plots["lon"] - LON) * cosine, plots["lat"] - LAT)
    nearest = answer["nearest"]
    assert nearest[0]["id"] == plots["plot_id"][km.argmin()]
    assert nearest[0]["km"] == pytest.approx(km.min(), rel=0.01)
    assert [plot["km"] for plot in nearest] == sorted(plot["km"] for plot in nearest)
    assert all(plot["predicted"] - plot["observed"] == 2 for plot in nearest)
    climate = linear_world.climate()
    rows, cols = run.map.grid.pixel(plots["lon"].to_numpy(), plots["lat"].to_numpy())
    # Importance is that of both bands alone, equal, in standard deviations of the training plots.
    factor = run.uncertainty.area.state()["factor"]
    apart = np.linalg.norm((climate[:, rows, cols].T - climate[:, ROW, COL]) * factor, axis=1)
    apart /= run.uncertainty.area.mean_distance_
    alike = answer["alike"]
    assert alike[0]["id"] == plots["plot_id"][apart.argmin()]
    assert [plot["distance"] for plot in alike] == pytest.approx(np.sort(apart)[:5], rel=1e-5)


def test_a_click_where_the_model_does_not_apply_says_why(client):
    answer = at(client, *viewed_run.centre(*viewed_run.OUTSIDE))
    assert answer["applies"] is False
    assert answer["dissimilarity"] > answer["threshold"]
    assert answer["why"]["en"] == (
        "No plot has conditions like those here. The largest difference to the most similar plot "
        "is in warmth."
    )


@pytest.mark.parametrize(
    ("row", "col", "missing", "sentence"),
    [
        (viewed_run.EMPTY_ROW, 3, "no-data", "The imagery has no data here."),
        (1, 14, "masked", "Masked: cropland. The run leaves such land out of its map."),
        (-40, 3, "outside", "This place lies outside the map."),
        (3, 400, "outside", "This place lies outside the map."),
    ],
)
def test_a_click_without_a_prediction_says_why(client, row, col, missing, sentence):
    answer = at(client, *viewed_run.centre(row, col))
    assert answer["inside"] is (missing != "outside")
    assert (answer["value"], answer["applies"], answer["series"]) == (None, None, [])
    assert (answer["missing"], answer["why"]["en"]) == (missing, sentence)


def reason(folder, place, section=None) -> tuple[str, dict]:
    rasters = Rasters()
    unmapped = Unmapped(folder, section, rasters)
    answer = rasters.call(unmapped.reason, *place)
    rasters.close()
    return answer


def test_sea_incomplete_chips_and_outlines_are_told_apart_from_masked_land(tmp_path):
    """An area off the coast of Queensland: land in the west, sea in the east."""
    west, land, sea = 145.0, (145.45, -17.05), (149.95, -17.05)
    transform = rasterio.Affine(0.1, 0, west, 0, -0.1, -17)
    data = np.ones((1, 10, 60), np.float32)
    wanted = np.ones((10, 60), bool)
    wanted[:, 30:] = wanted[1:3] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_raster(tmp_path / "imagery.tif", data, nodata=np.nan, transform=transform)
        with rasterio.open(path, "r+") as target:
            target.write_mask(wanted)
    below = (land[0], -17.15)
    assert reason(tmp_path, sea)[0] == "sea"
    assert reason(tmp_path, land)[0] == "chip"
    assert reason(tmp_path, below)[0] == "unknown"  # no mask in the configuration
    masks = ({"path": "cover.tif", "name": "crops", "exclude": [1]},)
    section = {"layers": [{"path": "a.tif", "name": "a"}], "masks": masks}
    assert reason(tmp_path, below, ImagerySection(**section))[0] == "masked"
    outline = tmp_path / "outline.geojson"
    box = shapely.box(145, -17.1, 151, -17)
    gpd.GeoDataFrame(geometry=[box], crs="EPSG:4326").to_file(outline)
    pd.DataFrame({"lon": [145.5], "lat": [-17.05]}).to_parquet(tmp_path / "plots.parquet")
    limited = ImagerySection(**section, outline=str(outline))
    kind, sentence = reason(tmp_path, below, limited)
    assert kind == "outline"
    assert "outline.geojson" in sentence["es"]
    outline.unlink()
    assert reason(tmp_path, below, limited)[0] == "unknown"
    assert reason(tmp_path / "none", land)[0] == "unknown"


@pytest.mark.parametrize(
    ("grain", "spanish"),
    [
        ("plot size not stated", "tamaño de las parcelas no declarado"),
        ("plots of 0.5 m2", "parcelas de 0,5 m²"),
        ("plots of 1 to 400 m2, median 25.5", "parcelas de 1 a 400 m², mediana 25,5"),
        ("hexagons", "hexagons"),
    ],
)
def test_the_plots_size_in_spanish(grain, spanish):
    assert grain_text(grain)["es"] == spanish


def test_the_words_of_the_plots_size_are_those_that_a_run_writes(run):
    grain = plot_facts(run.store)["grain"]
    assert grain_text(grain) == {"en": "plots of 400 m²", "es": "parcelas de 400 m²"}


def test_the_interval_of_a_slope_holds_what_the_test_would_not_reject():
    rng = np.random.default_rng(0)
    years = np.arange(2010, 2020)
    values = 2.0 * (years - 2010) + rng.normal(0, 3, 10)
    slope, low, high = slope_interval(values, years, 0.9)
    assert low < slope < high
    p = exact_p(10)

    def p_of(trend: float) -> float:
        left = values - trend * years
        first, second = np.triu_indices(10, 1)
        return p[abs(int(np.sign(left[second] - left[first]).sum()))]

    inside, outside = (low + 1e-9, high - 1e-9), (low - 1e-9, high + 1e-9)
    assert all(p_of(trend) > 0.1 for trend in inside)
    assert all(p_of(trend) <= 0.1 for trend in outside)
    assert slope_interval(values[:3], years[:3], 0.9)[1:] == (-np.inf, np.inf)


def test_plots_as_points(client, run):
    features = client.get("/api/plots.json").json()["features"]
    assert len(features) == viewed_run.PLOTS
    first = features[0]
    assert first["geometry"]["coordinates"] == pytest.approx(
        [run.plots["lon"][0], run.plots["lat"][0]]
    )
    assert first["properties"] == {
        "id": "p0", "observed": run.plots["observed"][0],
        "predicted": run.plots["observed"][0] + 2, "residual": -2, "area": 400, "year": 2019,
    }  # fmt: skip


def test_sites_to_survey(client):
    """The first site is the pixel unlike all plots."""
    features = client.get("/api/sites.json").json()["features"]
    assert [site["properties"]["order"] for site in features] == list(range(1, 21))
    first = features[0]
    lon, lat = viewed_run.centre(*viewed_run.OUTSIDE)
    assert first["geometry"]["coordinates"] == pytest.approx([lon, lat])
    assert first["properties"]["applies"] is False
    assert "interval is 8 species wide" in first["properties"]["why"]["en"]


def test_explain(client):
    """A model without attention: the effect of the only pixel is against mean imagery."""
    answer = client.get("/api/explain.json", params={"lon": LON, "lat": LAT}).json()
    assert (answer["kind"], answer["side"], answer["centre"]) == ("occlusion", 1, [0, 0])
    assert answer["unit"] == "species"
    assert answer["chip"].startswith("data:image/png;base64,")
    assert (answer["year"], answer["note"]) == (None, None)
    here = answer["location"]["places"][0]
    assert here["name"] is None
    assert here["value"] == pytest.approx(at(client, LON, LAT)["value"], rel=1e-5)


def test_explain_has_the_chip_of_the_year(client):
    """The prediction of the year's imagery is that of the year's map."""
    explained = {
        year: client.get("/api/explain.json", params={"lon": LON, "lat": LAT, "year": year}).json()
        for year in (viewed_run.YEARS[0], 2021)
    }
    assert [answer["year"] for answer in explained.values()] == list(explained)
    for year, answer in explained.items():
        value = at(client, LON, LAT, year=year)["value"]
        assert answer["location"]["places"][0]["value"] == pytest.approx(value, rel=1e-5)
    first, later = (np.array(answer["grid"]) for answer in explained.values())
    assert later - first == pytest.approx(2 * viewed_run.SLOPE, rel=1e-4)


def test_explain_says_when_the_imagery_of_a_year_is_not_kept(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "run")
    record = copied / "years" / "years.json"
    entries = json.loads(record.read_text())
    entries["map_2020.tif"]["made_of"]["imagery"][1] += 1  # another file lies there now
    record.write_text(json.dumps(entries))
    viewed = ViewedRun(copied)
    answer = explain(viewed, LON, LAT, 2020)
    assert answer["year"] is None
    assert answer["note"]["en"].startswith("The imagery of 2020 is not where it was")
    (copied / "archives").mkdir()  # a run with sources keeps its composites
    linear_world.raster(copied / "archives" / "imagery_2020.tif", viewed_run.imagery_of(2020))
    assert explain(viewed, LON, LAT, 2020)["year"] == 2020
    viewed.rasters.close()


def test_occlusion_is_the_fall_without_a_pixel():
    """A model that answers with its centre pixel's first band depends on no other pixel."""
    from spatioformer.models.network import NetworkModel

    model = NetworkModel(maps.Mirror(100, patch=3), ["a", "b"])
    chip = np.full((3, 3, 2), 7, np.float32)
    lon, lat = np.full((3, 3), 140.0), np.full((3, 3), -20.0)
    effect = occlusion(model, chip, lon, lat, np.array([4.0, 0.0]))
    np.testing.assert_array_equal(effect, [[0, 0, 0], [0, 3, 0], [0, 0, 0]])
    assert (chip == 7).all()


def test_attention_of_a_network_sums_to_one(run, monkeypatch):
    from spatioformer.viewer import explain as module

    network = maps.small(0.0)
    chip = np.random.default_rng(0).normal(size=(3, 3, 2)).astype(np.float32)
    lon, lat = np.full((3, 3), 140.0), np.full((3, 3), -20.0)
    kind, shares = module._sensitivity(run, network, chip, lon, lat)
    assert kind == "attention"
    assert shares.shape == (3, 3)
    assert shares.sum() == pytest.approx(1)


def square(row: int, col: int, side: float = 4) -> dict:
    """GeoJSON of a square of pixels, its north-western corner given."""
    west, north = WEST + col * STEP, NORTH - row * STEP
    return shapely.geometry.mapping(
        shapely.box(west, north - side * STEP, west + side * STEP, north)
    )


def zonal(client, *geometries: dict, **more) -> dict:
    answer = client.post("/api/zonal.json", json={"geometries": list(geometries), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_zonal_statistics_are_those_of_the_command(client, folder):
    polygons = [square(12, 2), square(16, 20, 5.5)]
    zones = zonal(client, *polygons)["zones"]
    frame = gpd.GeoDataFrame(
        geometry=[shapely.geometry.shape(p) for p in polygons], crs="EPSG:4326"
    )
    table = summarise(folder / "map.tif", frame, correlation_of(folder / "map.tif", folder))
    for name in ("mean", "lower", "upper", "area_km2", "mapped_km2", "pixels", "q05", "q95"):
        assert [zone[name] for zone in zones] == pytest.approx(table[name].tolist(), rel=1e-9)
    assert [zone["share_applies"] for zone in zones] == pytest.approx([1, 1])
    z = 1.6448536269514722
    assert zones[0]["sd"] == pytest.approx(table["half_width"][0] / z)


def test_zonal_statistics_of_a_year_and_the_difference(client):
    now = zonal(client, square(12, 2), square(12, 10))
    later = zonal(client, square(12, 2), square(12, 10), year=2020)
    for zone, then in zip(later["zones"], now["zones"], strict=True):
        assert zone["mean"] == pytest.approx(then["mean"] + viewed_run.SLOPE, abs=1e-4)
    steps = 8 * 4 / 29 * 3  # columns, warmth a column, species a degree
    apart = now["difference"]
    assert apart["mean"] == pytest.approx(-steps, abs=1e-3)
    assert apart["lower"] < apart["mean"] < apart["upper"]
    same = zonal(client, square(12, 2), square(12, 2))["difference"]
    assert (same["mean"], same["lower"], same["upper"]) == (0, 0, 0)


def test_zonal_statistics_where_the_model_does_not_apply(client):
    row, col = viewed_run.OUTSIDE
    share = zonal(client, square(row, col, 2))["zones"][0]["share_applies"]
    assert share == pytest.approx(0.75, abs=0.01)


def test_zonal_statistics_as_csv(client):
    body = {"geometries": [square(12, 2), square(12, 10)]}
    answer = client.post("/api/zonal.csv", json=body)
    assert answer.headers["content-type"].startswith("text/csv")
    header, first, second, apart = (line.split(",") for line in answer.text.splitlines())
    assert header[:5] == ["zone", "mean", "lower", "upper", "sd"]
    assert [first[0], second[0], apart[0]] == ["1", "2", "1 less 2"]
    zones = zonal(client, *body["geometries"])["zones"]
    assert float(first[1]) == pytest.approx(zones[0]["mean"], rel=1e-5)


def of_kind(features: list[dict], kind: str) -> dict:
    """Geometry of the first feature of a kind."""
    return next(f["geometry"] for f in features if f["properties"]["kind"] == kind)


def test_ground_has_land_coast_border_and_places():
    features = ground.to_json((112, -44, 154, -10))["features"]
    kinds = [feature["properties"]["kind"] for feature in features]
    assert set(kinds) == {"land", "coast", "border", "place"}
    land = shapely.union_all(shapely.make_valid(shapely.geometry.shape(of_kind(features, "land"))))
    alice, tasman = shapely.Point(133.9, -23.7), shapely.Point(160, -38)
    assert land.contains(alice)
    assert not land.contains(tasman)
    names = [f["properties"]["name"] for f in features if f["properties"]["kind"] == "place"]
    assert {"Sydney", "Perth"} <= set(names)
    coast = np.concatenate(of_kind(features, "coast")["coordinates"])
    assert (coast.min(axis=0) >= (70, -86.0001)).all()
    assert (coast.max(axis=0) <= (196, 32.0001)).all()


def test_ground_over_the_antimeridian_counts_on():
    features = ground.to_json((177, -20, -178, -15))["features"]
    coast = np.concatenate(of_kind(features, "coast")["coordinates"])
    assert coast[:, 0].min() > 171
    assert coast[:, 0].max() > 180


def test_style_is_that_of_the_figures(client):
    content = client.get("/api/style.json").json()
    assert {len(colours) for colours in content["scales"].values()} == {256}
    assert content["scales"]["viridis"][0] == "#440154"
    assert content["palette"]["accent"] == palette.ACCENT


def test_numbers_that_json_lacks_become_null():
    assert dumps({"a": [float("nan"), float("inf"), 1.5], "b": None, "c": (True, "ñ")}) == (
        '{"a":[null,null,1.5],"b":null,"c":[true,"ñ"]}'.encode()
    )


def test_answers_are_compressed_and_kept_by_the_browser(client):
    first = client.get("/api/style.json")
    assert first.headers["content-encoding"] == "gzip"
    again = client.get("/api/style.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
