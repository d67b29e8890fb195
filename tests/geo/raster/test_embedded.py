"""What our rasters say of themselves: statistics, colours, the level of intervals, QGIS styles."""

from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.cog import cog, cog_profile
from spatioformer.geo.raster.colours import colours_of
from spatioformer.geo.raster.layers import Layer
from spatioformer.geo.raster.map_layers import TITLES, bands_of, title_of
from spatioformer.geo.raster.qml import VIRIDIS, style, write_style
from spatioformer.geo.raster.stack import build_stack
from tests.helpers.landscape import write_raster


def made(folder, values, names=("richness, mean",)):
    grid = Grid(LONLAT, rasterio.transform.from_origin(10, 5, 0.1, 0.1), *values.shape[-2:])
    path = folder / "map.tif"
    with cog(path, path, cog_profile(grid, len(values), "float32", np.nan)) as raw:
        raw.write(values)
        for band, name in enumerate(names, 1):
            raw.set_band_description(band, name)
        raw.set_band_unit(1, "species")
    return path


def statistics(path, band=1):
    with rasterio.open(path) as source:
        return {k.removeprefix("STATISTICS_"): float(v) for k, v in source.tags(band).items()}


def test_a_map_holds_its_statistics(tmp_path):
    values = np.random.default_rng(0).normal(30, 5, (2, 300, 280)).astype(np.float32)
    values[0, :30] = np.nan
    path = made(tmp_path, values, ("a", "b"))
    for band, expected in enumerate(values, 1):
        known = statistics(path, band)
        assert known["MINIMUM"] == pytest.approx(np.nanmin(expected))
        assert known["MAXIMUM"] == pytest.approx(np.nanmax(expected))
        assert known["MEAN"] == pytest.approx(np.nanmean(expected), rel=1e-5)
        assert known["STDDEV"] == pytest.approx(np.nanstd(expected), rel=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"], "embedded, not beside it"


def test_imagery_holds_its_statistics_and_colours(tmp_path):
    values = np.random.default_rng(0).uniform(0, 9, (4, 20, 20)).astype(np.float32)
    values[0, :5] = np.nan
    names = ("blue", "red", "green", "nir")
    path = write_raster(tmp_path / "a.tif", values, nodata=np.nan, names=names)
    build_stack([Layer(path, "a")], tmp_path / "stack.tif")
    with rasterio.open(tmp_path / "stack.tif") as source:
        bands = [name.split("_")[-1] for name in source.descriptions]
        colours = dict(zip(bands, source.colorinterp, strict=True))
    assert colours == {
        "red": ColorInterp.red,
        "green": ColorInterp.green,
        "blue": ColorInterp.blue,
        "nir": ColorInterp.undefined,
    }
    assert statistics(tmp_path / "stack.tif")["MEAN"] == pytest.approx(
        np.nanmean(values[0]), rel=1e-6
    )
    assert statistics(tmp_path / "stack.tif")["VALID_PERCENT"] == 75
    assert not list(tmp_path.glob("*.aux.xml"))


def test_colours_need_all_three_names():
    assert colours_of(["s2_red", "s2_green", "s2_blue"]) == [
        ColorInterp.red, ColorInterp.green, ColorInterp.blue,
    ]  # fmt: skip
    assert colours_of(["red", "green", "nir"])[0] == ColorInterp.gray
    assert colours_of(["infrared", "green", "blue"])[0] == ColorInterp.gray
    assert colours_of(["temperature"]) == [ColorInterp.gray]
    twice = colours_of(["red", "green", "blue", "red"])
    assert twice[3] == ColorInterp.undefined


def test_the_level_of_intervals_is_said_and_bands_are_found_with_and_without(tmp_path):
    assert title_of("lower", 0.9) == "lower end of the 90 % interval"
    assert title_of("upper", 0.995) == "upper end of the 99.5 % interval"
    assert title_of("mean", 0.9) == title_of("mean") == "mean"
    for level in (None, 0.9, 0.995):
        names = [f"richness, {title_of(layer, level)}" for layer in TITLES]
        path = made(tmp_path, np.ones((len(names), 4, 4), np.float32), names)
        with rasterio.open(path) as source:
            assert bands_of(source) == {layer: i for i, layer in enumerate(TITLES, 1)}


def test_the_style_runs_over_the_values(tmp_path):
    values = np.linspace(4, 40, 256 * 256, dtype=np.float32).reshape(1, 256, 256)
    out = write_style(made(tmp_path, values))
    assert out == tmp_path / "map.qml"
    tree = ElementTree.fromstring(out.read_text())
    items = tree.findall(".//item")
    assert [item.get("color") for item in items] == list(VIRIDIS)
    assert [float(item.get("value")) for item in items][::8] == [4, 40]
    assert items[0].get("label") == "4 species"
    shader = tree.find(".//colorrampshader")
    assert (shader.get("minimumValue"), shader.get("maximumValue")) == ("4", "40")
    nothing = made(tmp_path, np.full((1, 8, 8), np.nan, np.float32))
    assert write_style(nothing) is None
    assert not out.exists(), "that of a former map would show other values"


def test_styles_of_layers_differ():
    assert style(0, 1) != style(0, 2)
