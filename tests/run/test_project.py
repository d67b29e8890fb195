"""Scenarios of a linear model, whose differences are known; bad input; a run; the command."""

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box

from spatioformer.common.errors import ConfigError, ImageryError, ModelError, OutputError
from spatioformer.common.files import read_json
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.run import scenario_results
from spatioformer.run.project import Rasters, Regions, Today, project
from tests.helpers import linear_world as linear
from tests.helpers.landscape import NORTH, STEP, WEST, imagery, write_raster
from tests.helpers.tiny_run import assert_refused, finished, spatioformer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, Path, Path]:
    return linear.world(tmp_path_factory.mktemp("linear"))


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """No picture, whose drawing takes longer than all the rest."""
    limits = {"change": (-1.0, 1.0)}
    monkeypatch.setattr(scenario_results, "draw_scenario", lambda *_, **__: limits)


def projected(world, data: np.ndarray, folder: Path, **options) -> dict:
    """Project rasters with the linear model."""
    made, _, map_ = world
    path = linear.raster(folder / "scenario.tif", data, **options.pop("raster", {}))
    return project(Today(made, map_), Rasters(path), folder / "out", **options)


def warmer(degrees: float) -> np.ndarray:
    return linear.climate() + np.array([degrees, 0], np.float32)[:, None, None]


@pytest.mark.usefixtures("undrawn")
def test_the_difference_of_a_linear_model_is_exact(world, tmp_path):
    summary = projected(world, warmer(2), tmp_path)
    bands = linear.bands(tmp_path / "out" / "change.tif")
    np.testing.assert_allclose(bands["change"], 6.0, atol=1e-4)
    np.testing.assert_allclose(bands["today"], linear.richness(*linear.climate()), atol=1e-4)
    np.testing.assert_allclose(bands["scenario"] - bands["today"], 6.0, atol=1e-4)
    # Two independent errors: the half-width is root 2 times that of one map.
    half = linear.HALF * np.sqrt(2)
    np.testing.assert_allclose(bands["lower"], 6 - half, atol=1e-4)
    np.testing.assert_allclose(bands["upper"], 6 + half, atol=1e-4)
    assert bands["rise"].all()
    assert not bands["fall"].any()
    assert summary["totals"]["change"] == pytest.approx(6, abs=1e-4)
    assert summary["totals"]["pixels"] == 24 * 30
    assert summary == read_json(tmp_path / "out" / "project.json")


@pytest.mark.usefixtures("undrawn")
def test_equal_rasters_have_no_difference(world, tmp_path):
    summary = projected(world, linear.climate(), tmp_path)
    bands = linear.bands(tmp_path / "out" / "change.tif")
    assert not bands["change"].any()
    width = 2 * np.sqrt(2) * linear.HALF
    np.testing.assert_allclose(bands["upper"] - bands["lower"], width, atol=1e-4)
    assert summary["totals"]["rise"] == summary["totals"]["fall"] == 0
    assert "equals today's at every pixel" in summary["notes"][0]


@pytest.mark.usefixtures("undrawn")
def test_outside_is_where_no_plot_has_the_new_climate(world, tmp_path):
    """Plots have 13 to 17 degrees C: 3 degrees more leave them in the east."""
    summary = projected(world, warmer(3), tmp_path)
    bands = linear.bands(tmp_path / "out" / "change.tif")
    warmth, rain = warmer(3)
    known = Uncertainty.load(world[0])
    centres = np.column_stack([warmth.ravel(), rain.ravel(), np.zeros((720, 2))])
    np.testing.assert_allclose(bands["di"].ravel(), known.area.di(centres), atol=1e-4)
    assert np.array_equal(bands["outside"] == 1, bands["di"] > np.float32(known.area.threshold_))
    assert not bands["outside"][warmth < 16.5].any()
    assert bands["outside"][warmth > 19].all()
    assert summary["totals"]["outside"] == pytest.approx(bands["outside"].mean())
    assert "outside the area of applicability" in summary["notes"][0]


@pytest.mark.usefixtures("undrawn")
def test_a_difference_within_its_interval_is_said(world, tmp_path):
    summary = projected(world, warmer(1), tmp_path)  # 3 species; the half-width is 5.7
    assert summary["notes"][0].startswith("no pixel's difference is larger than its interval")


@pytest.mark.usefixtures("undrawn")
def test_regions(world, tmp_path):
    """Two halves: the west is 2 degrees warmer, the east gets 100 mm more rain."""
    data = linear.climate()
    data[0, :, :15] += 2
    data[1, :, 15:] += 100
    middle, south = WEST + 15 * STEP, NORTH - 24 * STEP
    halves = [box(WEST, south, middle, NORTH), box(middle, south, WEST + 30 * STEP, NORTH)]
    zones = tmp_path / "zones.gpkg"
    gpd.GeoDataFrame({"park": ["west", "east"]}, geometry=halves, crs=4326).to_file(zones)
    projected(world, data, tmp_path, regions=Regions(zones, "park"))
    table = pd.read_csv(tmp_path / "out" / "regions.csv").set_index("name")
    np.testing.assert_allclose(table["difference"], [6, 1], atol=1e-3)
    np.testing.assert_allclose(table["scenario"] - table["today"], [6, 1], atol=1e-3)
    assert table["pixels"].tolist() == [360, 360]
    assert table["rise_share"].tolist() == [1, 0]
    assert table["fall_share"].tolist() == [0, 0]
    for end in ("", "_local"):
        middle_of = (table[f"upper{end}"] + table[f"lower{end}"]) / 2
        np.testing.assert_allclose(middle_of, table["difference"], atol=1e-4)
    # Common errors do not average out: a region's half-width is a pixel's, plot noise apart.
    errors = Uncertainty.load(world[0]).facts["correlation"]
    shared = errors["scale"] * np.sqrt(1 - errors["nugget_share"]) * np.sqrt(2) * linear.HALF
    np.testing.assert_allclose((table["upper"] - table["lower"]) / 2, shared, rtol=1e-3)
    assert (table["upper_local"] - table["lower_local"] <= table["upper"] - table["lower"]).all()


@pytest.mark.usefixtures("undrawn")
def test_the_whole_map_is_a_region_and_falls_are_negative(world, tmp_path):
    """A mean difference below 0 has an interval that is not cut off at 0."""
    projected(world, warmer(-2), tmp_path)
    (row,) = pd.read_csv(tmp_path / "out" / "regions.csv").to_dict("records")
    assert row["name"] == "whole map"
    assert row["difference"] == pytest.approx(-6, abs=1e-3)
    assert row["lower"] <= -6 <= row["upper"]
    assert row["lower"] + row["upper"] == pytest.approx(-12, abs=1e-3)
    assert row["fall_share"] == 1


@pytest.mark.usefixtures("undrawn")
def test_another_grid_is_brought_onto_that_of_todays_map(world, tmp_path):
    """A plane of warmth on pixels of half the size, resampled bilinearly, is the same plane."""
    y, x = (np.mgrid[:48, :60] - 0.5) / 2
    fine = np.stack([13 + 4 * x / 29 + 2, 600 + 400 * y / 23]).astype(np.float32)
    place = {"transform": from_origin(WEST, NORTH, STEP / 2, STEP / 2)}
    projected(world, fine, tmp_path, raster=place)
    with rasterio.open(tmp_path / "out" / "change.tif") as change, rasterio.open(world[2]) as today:
        assert change.transform == today.transform
        assert change.shape == today.shape
        inner = change.read(1)[1:-1, 1:-1]
    np.testing.assert_allclose(inner, 6.0, atol=1e-3)


@pytest.mark.usefixtures("undrawn")
def test_pixels_without_a_value_in_one_map_have_no_difference(world, tmp_path):
    data = warmer(2)
    data[:, :4] = np.nan
    summary = projected(world, data, tmp_path)
    bands = linear.bands(tmp_path / "out" / "change.tif")
    for values in bands.values():
        assert np.isnan(values[:4]).all()
        assert np.isfinite(values[4:]).all()
    assert summary["totals"]["only_today"] == 4 * 30
    assert summary["notes"][0] == "120 pixels have no value in the scenario, and no difference"


@pytest.mark.parametrize(
    ("band", "change", "words"),
    [
        (0, lambda v: v + 273.15, "looks like kelvin where the model learned degrees Celsius; "
         "convert it, in a scenario file with `offset: -273.15` of its layer"),
        (0, lambda v: v * 10, "looks like 10 times the unit .* `scale: 0.1`"),
        (0, lambda v: v * 1.8 + 32, "Fahrenheit .* `scale: 0.555556` and `offset: -17.7778`"),
        (1, lambda v: v / 1000, "looks like a thousandth of the unit .* `scale: 1000`"),
    ],
    ids=["kelvin", "tenths", "fahrenheit", "metres"],
)  # fmt: skip
def test_another_unit_is_refused(world, tmp_path, band, change, words):
    data = linear.climate()
    data[band] = change(data[band])
    with pytest.raises(ImageryError, match=f"band {linear.BANDS[band]} of .*{words}"):
        projected(world, data, tmp_path)
    assert not (tmp_path / "out" / "map.tif").exists()


@pytest.mark.usefixtures("undrawn")
def test_an_extreme_scenario_is_mapped_and_outside(world, tmp_path):
    summary = projected(world, warmer(15), tmp_path)
    assert summary["totals"]["outside"] == 1


def test_bad_input(world, tmp_path):
    made, today, map_ = world
    one = write_raster(tmp_path / "one.tif", linear.climate()[:1], names=("warmth",))
    with pytest.raises(ImageryError, match=r"lacks 1 of the 2 bands the model needs.*'rain'"):
        project(Today(made, map_), Rasters(one), tmp_path / "a")
    far = linear.raster(
        tmp_path / "far.tif", linear.climate(), transform=from_origin(0, 50, STEP, STEP)
    )
    with pytest.raises(ImageryError, match="lies outside"):
        project(Today(made, map_), Rasters(far), tmp_path / "b")
    with rasterio.open(map_) as source:
        strange = linear.raster(tmp_path / "strange.tif", source.read(range(1, 3)))
    with rasterio.open(strange, "r+") as target:
        target.update_tags(MODEL_ID="0123456789abcdef")
    with pytest.raises(ModelError, match="was made by model 0123456789abcdef, and "):
        project(Today(made, strange), Rasters(today), tmp_path / "c")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.skops"):
        (bare / name).write_bytes((made / name).read_bytes())
    with pytest.raises(ModelError, match="was not evaluated"):
        project(Today(bare, map_), Rasters(today), tmp_path / "d")
    with pytest.raises(ConfigError, match="give one with --map"):
        Today.of(made, None)
    with pytest.raises(OutputError, match="it is an input"):
        project(Today(made, map_), Rasters(today), map_.parent, overwrite=True)
    assert map_.exists()


@pytest.mark.usefixtures("undrawn")
def test_maps_for_other_plot_sizes_are_not_compared(world, tmp_path):
    made, _, map_ = world
    other = shutil.copy(map_, tmp_path / "other.tif")
    with rasterio.open(other, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as opened:
        opened.update_tags(GRAIN="plots of 5 m2")
    path = linear.raster(tmp_path / "scenario.tif", warmer(1))
    with pytest.raises(ImageryError, match=r"other\.tif predicts plots of 5 m2, and the scenario"):
        project(Today(made, Path(other)), Rasters(path), tmp_path / "out")


@pytest.mark.usefixtures("undrawn")
def test_results_stay_without_force(world, tmp_path):
    projected(world, warmer(1), tmp_path)
    before = (tmp_path / "out" / "map.tif").stat().st_mtime_ns
    with pytest.raises(OutputError, match="give --force"):
        projected(world, warmer(2), tmp_path)
    assert (tmp_path / "out" / "map.tif").stat().st_mtime_ns == before
    assert projected(world, warmer(2), tmp_path, overwrite=True)["totals"]["change"] == (
        pytest.approx(6, abs=1e-4)
    )


SCENARIO = """
name: brighter
imagery:
  layers:
    - {path: image.tif, name: image, band_names: [red, green, blue], offset: 10}
"""


def test_the_command_on_a_run(tmp_path):
    """The scenario file adds 10 to the bands of the run's own image."""
    finished(tmp_path)
    (tmp_path / "brighter.yaml").write_text(SCENARIO)
    out = tmp_path / "out"
    words = ["project", tmp_path / "run", tmp_path / "brighter.yaml", "-o", out]
    ended = spatioformer(*words)
    assert ended.code == 0, ended
    assert f"{out}/change.tif: mean difference " in ended.err
    assert {path.name for path in out.iterdir()} == {
        "imagery.tif", "map.tif", "map.qml", "change.tif", "change.qml", "change.png",
        "change.svg", "regions.csv", "project.json", "made_of.json",
    }  # fmt: skip
    with rasterio.open(out / "imagery.tif") as made:
        assert np.array_equal(made.read(), imagery().astype(np.float32) + 10)
    with rasterio.open(out / "change.tif") as change:
        assert change.tags()["SCENARIO"] == "brighter"
        assert change.descriptions[1].endswith("lower end of the 90 % interval of the difference")
    with rasterio.open(tmp_path / "run" / "map.tif") as today:
        np.testing.assert_array_equal(linear.bands(out / "change.tif")["today"], today.read(1))
    assert_refused(
        spatioformer(*words),
        f"{out}/change.tif exists; give --force to replace it, or name another folder",
    )
    assert spatioformer(*words, "--force", "-q").code == 0


@pytest.mark.usefixtures("undrawn")
def test_a_corrected_scenario_file_needs_no_force(tmp_path):
    """A band that is missing is found after the layers were resampled."""
    finished(tmp_path)
    path = tmp_path / "scenario.yaml"
    words = ["project", tmp_path / "run", path, "-o", tmp_path / "out", "-q"]
    path.write_text(SCENARIO.replace("green", "grene"))
    ended = spatioformer(*words)
    assert ended.code == 2
    assert "lacks 1 of the 3 bands the model needs, among them 'green'" in ended.err
    path.write_text(SCENARIO)
    assert spatioformer(*words).code == 0
    other = tmp_path / "foreign"
    other.mkdir()
    (other / "imagery.tif").write_bytes((tmp_path / "image.tif").read_bytes())
    words[4] = other
    assert_refused(
        spatioformer(*words),
        f"{other}/imagery.tif is no imagery of a scenario; give --force to replace it, or name "
        "another folder",
    )
    words[4] = path
    ended = spatioformer(*words)
    assert ended.code == 2
    assert ended.err.count("\n") == 1


@pytest.mark.usefixtures("undrawn")
def test_a_scenario_file_with_the_runs_own_rasters_changes_nothing(tmp_path):
    finished(tmp_path)
    (tmp_path / "same.yaml").write_text(SCENARIO.replace(", offset: 10", ""))
    ended = spatioformer(
        "project", tmp_path / "run", tmp_path / "same.yaml", "-o", tmp_path / "out"
    )
    assert "note: the scenario's map equals today's at every pixel" in ended.err
    assert read_json(tmp_path / "out" / "project.json")["totals"]["changed"] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give either a scenario file (SCENARIO.yaml) or --stack RASTER, whose bands are those "
         "of the model"),
        (("a.tif",), "a.tif is no scenario file, which ends with .yaml; give a raster with "
         "--stack"),
        (("--stack", "a.tif", "--name", "X"), "--name X belongs to --zones POLYGONS; give both, "
         "or neither"),
    ],
)  # fmt: skip
def test_the_command_needs_one_scenario(words, sentence):
    assert_refused(spatioformer("project", "run", *words, "-o", "out"), sentence)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imagery: {layers: [{path: a.tif, name: a}]}", "name"),
        ("name: x\nplots: {path: a.csv}", "plots"),
        ("name: x\nimagery: {sources: [{name: s, collection: dea, years: [2020]}], "
         "region: [147, 148, -43, -42]}", "give it with --stack"),
        ("name: x\nimagery: {layers: [{path: a.tif, name: a, scael: 2}]}", "scael"),
    ],
    ids=["no name", "a run", "archives", "unknown key"],
)  # fmt: skip
def test_a_scenario_file_that_is_none(world, tmp_path, text, words):
    made, _, map_ = world
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        project(Today(made, map_), Rasters(path), tmp_path / "out")
