"""What cannot be shown or computed is refused, or said, in one sentence."""

import re
import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatioformer import view
from spatioformer.common.errors import ImageryError, OutputError, PlotError
from spatioformer.viewer import zones
from spatioformer.viewer.app import create_app
from spatioformer.viewer.rasters import Rasters, register
from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.security import Gate
from tests.helpers import viewed_run
from tests.helpers.landscape import write_raster
from tests.helpers.tiny_run import assert_refused, spatioformer
from tests.viewer.conftest import client_of


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def damage(path, share: float) -> None:
    """Overwrite the rest of a file with zeros."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * share)
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)


def test_a_folder_that_is_no_run(tmp_path):
    assert_refused(
        spatioformer("view", tmp_path),
        f"{tmp_path} is none of the three; give a configuration (.yaml), a run folder (with "
        "config.resolved.yaml) or a model folder (with config.json)",
    )
    with pytest.raises(OutputError, match=r"is no run folder: config\.resolved\.yaml is missing;"):
        ViewedRun(tmp_path)


def test_a_run_without_a_map(copied):
    """No map can be shown or exported; without a model and chips, nor can the explorer open."""
    (copied / "map.tif").unlink()
    sentence = f"{copied} has no map: map.tif is missing; run `spatioformer run` to its end"
    with pytest.raises(OutputError, match=re.escape(sentence)):
        view(copied)
    export = spatioformer("view", copied, "--export", copied.parent / "out")
    assert_refused(export, f"{sentence}, with imagery")
    shutil.rmtree(copied / "chips")
    assert_refused(spatioformer("view", copied), f"{sentence}, with imagery")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_corrupt_map(copied, share):
    damage(copied / "map.tif", share)
    ended = spatioformer("view", copied, "--no-browser", "--export", copied.parent / "out")
    assert ended.code == 2
    assert ended.err.startswith(f"spatioformer: {copied / 'map.tif'} ")
    assert ended.err.count("\n") == 1
    assert not (copied.parent / "out").exists()


def test_a_single_year_has_no_trend_and_is_shown(copied):
    for path in [*(copied / "years").glob("map_20[12][0129].tif"), copied / "years" / "trend.tif"]:
        path.unlink()
    run = ViewedRun(copied)
    assert run.years == [2023]
    assert "slope" not in run.catalogue.layers
    assert run.to_json()["notes"] == []
    run.rasters.close()


def test_other_corrupt_rasters_are_left_out_and_named(copied):
    damage(copied / "imagery.tif", 0.0)
    damage(copied / "years" / "map_2020.tif", 0.0)
    run = ViewedRun(copied)
    assert "imagery-bands" not in run.catalogue.layers
    assert run.years == [2019, 2021, 2022, 2023]
    notes = run.to_json()["notes"]
    assert len(notes) == 2
    assert any("imagery.tif" in note for note in notes)
    run.rasters.close()


def test_damage_that_is_found_later_is_said(tmp_path):
    """The overviews are sound, and a block is not."""
    data = np.random.default_rng(0).normal(size=(1, 1024, 1024)).astype(np.float32)
    path = write_raster(
        tmp_path / "map.tif", data, nodata=np.nan, tiled=True, blockxsize=256, blockysize=256,
        compress="deflate", transform=Affine(0.01, 0, 140, 0, -0.01, -20),
    )  # fmt: skip
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2], rasterio.enums.Resampling.nearest)
        target.update_tags(1, STATISTICS_MINIMUM="-9", STATISTICS_MAXIMUM="9")
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 100] = bytes(100)
    path.write_bytes(content)
    raster = register(path, {"mean": 1})
    rasters = Rasters()
    x, y = int((140.1 + 180) / 360 * 2**9), 285
    with pytest.raises(ImageryError, match=r"map\.tif cannot be read .*: the file is damaged"):
        rasters.call(rasters.tile, raster, ("mean",), 9, x, y)
    rasters.close()


def test_a_raster_that_was_replaced_is_not_served(copied):
    run = ViewedRun(copied)
    client = client_of(create_app([router(run)], Gate()))
    with rasterio.open(copied / "map.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.update_tags(ANOTHER="map")
    answer = client.get("/api/at.json", params={"lon": 141, "lat": -21})
    assert answer.status_code == 422
    assert answer.json()["error"].endswith(
        "map.tif was replaced since the viewer started; start the viewer again"
    )
    run.rasters.close()


def test_a_layer_in_another_crs_lies_at_the_same_place(tmp_path):
    """A raster in metres, whose value is its pixels' longitude."""
    shape = (100, 100)
    transform = Affine(1000, 0, 300_000, 0, -1000, 7_700_000)
    data = np.zeros(shape, np.float32)
    path = write_raster(tmp_path / "a.tif", data, crs="EPSG:32754", transform=transform)
    grid = register(path, {"a": 1}).grid
    rows, cols = np.indices(shape)
    with rasterio.open(path, "r+") as target:
        target.write(grid.lonlat(rows, cols)[0].astype(np.float32), 1)
    raster, rasters = register(path, {"a": 1}), Rasters()
    middle = grid.lonlat(np.array(50), np.array(50))
    z = raster.maxzoom
    x = int((middle[0] + 180) / 360 * 2**z)
    y = int((1 - np.arctanh(np.sin(np.radians(middle[1]))) / np.pi) / 2 * 2**z)
    values = rasters.call(rasters.tile, raster, ("a",), z, x, y)[0]
    rasters.close()
    lon = (x + (np.arange(256) + 0.5) / 256) / 2**z * 360 - 180
    apart = np.abs(values - lon)
    assert np.isfinite(values).mean() > 0.3
    assert np.nanmax(apart) < 600 / 103_000  # a little more than half a pixel


def test_a_run_without_its_chips_model_and_imagery_still_answers(copied):
    """As after a move of the map alone: each answer that lacks something says so."""
    for name in ("imagery.tif", "model/config.json", "chips/store.json"):
        (copied / name).unlink()
    run = ViewedRun(copied)
    run.warm()
    client = client_of(create_app([router(run)], Gate()))
    place = {"lon": 141.25, "lat": -21.55}
    answer = client.get("/api/at.json", params=place).json()
    assert answer["applies"] is True
    assert (answer["nearest"], answer["alike"]) == ([], [])
    for path in ("/api/explain.json", "/api/plots.json", "/api/sites.json"):
        refused = client.get(path, params=place if "explain" in path else None)
        assert refused.status_code == 422
        assert set(refused.json()) == {"error"}
    facts = client.get("/api/run.json").json()
    assert (facts["plots"], facts["sites"]) == (False, False)
    run.rasters.close()


def test_a_raster_without_a_crs_is_left_out(copied):
    write_raster(copied / "imagery.tif", np.ones((3, 24, 30), np.float32), crs=None)
    run = ViewedRun(copied)
    assert "has no coordinate reference system" in run.catalogue.notes[0]
    run.rasters.close()


SQUARE = [[141, -21], [142, -21], [142, -20.5], [141, -20.5], [141, -21]]
BOW_TIE = [[141, -21], [142, -20.5], [142, -21], [141, -20.5], [141, -21]]


def polygon(ring) -> dict:
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_polygon_that_crosses_itself_is_said(client):
    answer = client.post("/api/zonal.json", json={"geometries": [polygon(BOW_TIE)]}).json()
    assert answer["note"].startswith("Polygon 1 crosses or touches itself")
    whole = client.post("/api/zonal.json", json={"geometries": [polygon(SQUARE)]}).json()
    assert whole["note"] is None
    halved = answer["zones"][0]["area_km2"] / whole["zones"][0]["area_km2"]
    assert halved == pytest.approx(0.5, abs=0.01)


def test_a_polygon_outside_is_said(client):
    far = polygon([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    answer = client.post("/api/zonal.json", json={"geometries": [polygon(SQUARE), far]}).json()
    assert answer["note"] == "Polygon 2 holds no predicted pixel: it lies outside the map."
    assert answer["zones"][1]["mean"] is None
    assert answer["difference"]["mean"] is None


def test_a_polygon_smaller_than_a_pixel_is_said(client):
    lon, lat = viewed_run.centre(12, 8)
    tiny = polygon([[lon, lat], [lon + 1e-4, lat], [lon, lat + 1e-4], [lon, lat]])
    answer = client.post("/api/zonal.json", json={"geometries": [tiny]}).json()
    assert answer["note"] == "Polygon 1 is smaller than a pixel; it has the pixel around it."
    assert answer["zones"][0]["pixels"] == 1


@pytest.mark.parametrize(
    ("geometries", "status", "sentence"),
    [
        ([], 400, "geometries cannot be used: "),
        ([polygon(SQUARE)] * 3, 400, "geometries cannot be used: "),
        ([1], 400, "geometries.0 cannot be used: "),
        ([{"type": "Point", "coordinates": [1, 2]}], 422, "geometry 1 is no GeoJSON Polygon"),
        ([{}], 422, "geometry 1 is no GeoJSON Polygon"),
        ([{"type": "Polygon"}], 422, "polygon 1 has coordinates that make no polygon"),
        ([polygon([[1, 2]])], 422, "polygon 1 has coordinates that make no polygon"),
        ([polygon([])], 422, "polygon 1 "),
        ([polygon([["a", 2], [3, 4], [5, 6], ["a", 2]])], 422, "polygon 1 has coordinates"),
        ([polygon([[1, 2], [1, 91], [3, 4], [1, 2]])], 422, "polygon 1 has a vertex that is not"),
        ([polygon([[1, 2], [1e9, 1], [3, 4], [1, 2]])], 422, "polygon 1 has a vertex that is not"),
        ([polygon([[1, 2], [None, 1], [3, 4], [1, 2]])], 422, "polygon 1 has "),
    ],
)
def test_geometries_that_are_no_polygons(client, geometries, status, sentence):
    answer = client.post("/api/zonal.json", json={"geometries": geometries})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"].startswith(sentence)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"geometries": 1}'])
def test_bodies_that_are_no_json_of_polygons(client, body):
    for name in ("zonal.json", "zonal.csv"):
        headers = {"content-type": "application/json"}
        answer = client.post(f"/api/{name}", content=body, headers=headers)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}


def circle(vertices: int) -> dict:
    angle = np.linspace(0, 2 * np.pi, vertices)
    ring = np.column_stack([141 + np.cos(angle) * 0.3, -21 + np.sin(angle) * 0.3]).round(5)
    return polygon([*ring.tolist()[:-1], ring[0].tolist()])


def test_a_polygon_of_a_million_vertices(client):
    ring = "[141.5,-21.5]," * 999_999 + "[141.5,-21.5]"
    body = f'{{"geometries": [{{"type": "Polygon", "coordinates": [[{ring}]]}}]}}'
    answer = client.post("/api/zonal.json", content=body)
    assert answer.status_code == 413
    assert answer.json()["error"] == (
        "the request has more than 2,000,000 bytes; simplify the polygon"
    )
    with pytest.raises(PlotError, match=r"have 1,000,000 vertices, more than 100,000; simplify"):
        zones.polygons_of([polygon([[141.5, -21.5]] * 1_000_000)])
    assert len(zones.polygons_of([circle(20_000)])) == 1


def test_a_polygon_of_too_many_pixels(run, monkeypatch):
    monkeypatch.setattr(zones, "MOST_PIXELS", 40)
    with pytest.raises(PlotError, match=r"polygon 1 has 50 pixels, more than 40; draw a smaller"):
        zones.zonal(run, [polygon(SQUARE)], None)


@pytest.mark.parametrize("left", [178.0, -182.0])
def test_a_raster_over_the_antimeridian_is_whole(tmp_path, left):
    """Four degrees in both hemispheres, whose longitudes count on beyond 180."""
    transform = Affine(0.1, 0, left, 0, -0.1, -15)
    values = np.arange(40, dtype=np.float32) * np.ones((40, 1), np.float32)
    path = write_raster(tmp_path / "a.tif", values, transform=transform, nodata=np.nan)
    raster, rasters = register(path, {"a": 1}), Rasters()
    assert raster.bounds == pytest.approx((178, -19, -178, -15))
    z = 6
    west, east = (rasters.call(rasters.tile, raster, ("a",), z, x, 34) for x in (2**z - 1, 0))
    rasters.close()
    assert (np.nanmin(west), np.nanmax(west)) == (0, 19)
    assert (np.nanmin(east), np.nanmax(east)) == (20, 39)


def test_a_map_of_the_whole_earth_is_drawn(tmp_path):
    data = np.ones((180, 360), np.float32)
    transform = Affine(1, 0, 0, 0, -1, 90)
    path = write_raster(tmp_path / "a.tif", data, transform=transform, nodata=np.nan)
    raster, rasters = register(path, {"a": 1}), Rasters()
    values = [rasters.call(rasters.tile, raster, ("a",), 1, x, y) for x in (0, 1) for y in (0, 1)]
    rasters.close()
    assert all((tile == 1).all() for tile in values)
