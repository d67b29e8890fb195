"""From files to a configuration: what is decided, asked and refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer
from rasterio.transform import from_origin

from spatioformer.common.errors import ConfigError
from spatioformer.config.evaluation import EvaluateSection
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.setup import choices
from spatioformer.setup.checking import examine_config
from spatioformer.setup.choices import FEW_MODELS, MANY_MODELS
from spatioformer.setup.draft import Draft
from spatioformer.setup.layers import layer_names
from spatioformer.setup.plan import Request, as_config, plan
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, imagery, plots, write_raster

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path) -> Path:
    plots().to_csv(tmp_path / "plots.csv", index=False)
    write_raster(tmp_path / "image.tif", imagery(), names=("red", "green", "blue"))
    return tmp_path


def planned(folder: Path, *rasters: str, table: str = "plots.csv", crs=None, changes=()) -> Draft:
    paths = tuple(str(folder / name) for name in rasters)
    return plan(Request(folder / table, paths, folder / "run.yaml", crs, tuple(changes)))


def answered(folder: Path, draft: Draft) -> RunConfig:
    """The configuration of a draft without open points, read from its file."""
    assert draft.findings.problems == []
    assert draft.findings.questions == []
    path = folder / "run.yaml"
    path.write_text(draft.text(["A comment."]), encoding="utf-8")
    return load_config(path)


def why(draft: Draft, key: str) -> str:
    return next(d.why for d in draft.findings.decisions if d.what == key)


def test_plots_and_a_raster(folder):
    draft = planned(folder, "image.tif")
    config = answered(folder, draft)
    name = f"{folder.name}-plots"
    assert config.name == name
    assert draft.values["out"] == f"runs/{name}"
    assert draft.values["plots"]["path"] == "plots.csv"
    assert draft.values["imagery"]["layers"] == [{"name": "image", "path": "image.tif"}]
    assert config.plots.columns == {
        "lon": "lon",
        "lat": "lat",
        "richness": "richness",
        "plot_id": "plot",
        "area_m2": "area",
    }
    assert config.plots.crs == "EPSG:4326"
    assert config.model.patch == 3
    assert config.model.covariates == {}, "all plots have one area"
    assert [split.name for split in config.evaluate.splits] == ["random", "tiles", "knndm"]
    assert "holds 150 of 150 plots" in why(draft, "imagery.layers.0")
    assert config == as_config(draft, Request(folder / "plots.csv", (), folder / "run.yaml"))


def test_a_file_with_a_name_of_its_own(folder):
    (folder / "plots.csv").rename(folder / "Forêt 2014.csv")
    assert planned(folder, "image.tif", table="Forêt 2014.csv").values["name"] == "Foret-2014"


def test_the_folder_of_the_configuration_sets_the_paths(folder, monkeypatch):
    monkeypatch.chdir(folder)
    elsewhere = Path("here/run.yaml")
    draft = plan(Request(Path("plots.csv"), ("image.tif",), elsewhere))
    assert draft.values["plots"]["path"] == "../plots.csv"
    draft = plan(Request(folder / "plots.csv", ("image.tif",), elsewhere))
    assert draft.values["plots"]["path"] == str(folder / "plots.csv")


def test_few_plots_have_chips_of_one_pixel(folder):
    plots(60).to_csv(folder / "plots.csv", index=False)
    assert answered(folder, planned(folder, "image.tif")).model.patch == 1


@pytest.mark.parametrize(
    ("n", "names"),
    [
        (60, FEW_MODELS),
        (499, FEW_MODELS),
        (700, EvaluateSection().models),
        (5001, MANY_MODELS),
    ],
)
def test_models_by_the_number_of_plots(folder, n, names):
    plots(n).to_csv(folder / "plots.csv", index=False)
    config = answered(folder, planned(folder, "image.tif"))
    assert config.evaluate.models == names
    assert config.map.model == "auto"


@pytest.mark.parametrize("n", [60, 499])
def test_few_plots_and_a_large_map(folder, monkeypatch, n):
    monkeypatch.setattr(choices, "LARGE_MAP", 100)
    plots(n).to_csv(folder / "plots.csv", index=False)
    config = answered(folder, planned(folder, "image.tif"))
    assert config.evaluate.models == ("spatioformer-distilled", *FEW_MODELS)


def test_too_few_plots_are_refused(folder):
    plots(8).to_csv(folder / "plots.csv", index=False)
    draft = planned(folder, "image.tif")
    assert draft.findings.problems == [
        "the plots lie at 8 different places, and folds need at least 10; add plots"
    ]


def test_areas_that_vary_are_a_covariate(folder):
    table = plots()
    table["area"] = np.where(np.arange(len(table)) % 3 == 0, 400, 100)
    table.rename(columns={"area": "area_m2"}).to_csv(folder / "plots.csv", index=False)
    config = answered(folder, planned(folder, "image.tif"))
    assert config.model.covariates == {"area_m2": 100}


def test_columns_of_the_table_beside_bands(folder):
    table = plots()
    rng = np.random.default_rng(1)
    table["Red"], table["elevation"] = rng.normal(size=(2, len(table)))
    table.to_csv(folder / "plots.csv", index=False)
    draft = planned(folder, "image.tif")
    lines = [d for d in draft.findings.decisions if d.what == "table columns"]
    assert [line.value for line in lines] == ["Red", "elevation: not used"]
    assert answered(folder, draft).model.covariates == {}


def test_a_table_alone(folder):
    table = plots()
    table["elevation"] = np.random.default_rng(1).normal(size=len(table))
    table.to_csv(folder / "plots.csv", index=False)
    draft = planned(folder)
    config = answered(folder, draft)
    assert config.imagery is None
    assert draft.values["model"]["covariates"] == "auto"
    assert config.map.model == "auto"
    assert "spatioformer-distilled" not in config.evaluate.models


def test_fractional_richness_is_continuous(folder):
    table = plots()
    table["richness"] += 0.5
    table.to_csv(folder / "plots.csv", index=False)
    assert planned(folder, "image.tif").values["target"] == {
        "name": "plant species richness",
        "kind": "continuous",
    }


# --- questions ------------------------------------------------------------------------------------


def metres(folder: Path) -> None:
    """Plots in UTM zone 54 S, and imagery on a grid of it without a CRS inside."""
    table = plots()
    x, y = Transformer.from_crs(4326, 32754, always_xy=True).transform(table["lon"], table["lat"])
    table.assign(x=x, y=y).drop(columns=["lon", "lat"]).to_csv(folder / "plots.csv", index=False)


def test_a_projected_crs_is_asked(folder):
    metres(folder)
    draft = planned(folder, "image.tif")
    (question,) = draft.findings.questions
    assert question.key == "plots.crs"
    assert question.candidates == ("EPSG:4326",), "that of the raster"
    config = answered(folder, planned(folder, "image.tif", crs="EPSG:32754"))
    assert config.plots.crs == "EPSG:32754"
    assert config.imagery.layers[0].crs is None, "the raster shows its own"


def test_a_raster_without_a_crs_is_asked(folder):
    write_raster(folder / "image.tif", imagery(), crs=None)
    draft = planned(folder, "image.tif")
    (question,) = draft.findings.questions
    assert question.key == "imagery.layers.0.crs"
    assert question.candidates == ("EPSG:4326",), "the plots lie on it if it is in degrees"
    assert "states no coordinate reference system" in question.why
    change = "imagery.layers.0.crs=EPSG:4326"
    config = answered(folder, planned(folder, "image.tif", changes=[change]))
    assert config.imagery.layers[0].crs == "EPSG:4326"


def test_the_stated_crs_is_for_files_that_show_none(folder):
    """Degrees stay degrees, also where the rasters are in a projection."""
    left, top = Transformer.from_crs(4326, 3857, always_xy=True).transform(WEST, NORTH)
    right, low = Transformer.from_crs(4326, 3857, always_xy=True).transform(
        WEST + SIDE * STEP, NORTH - SIDE * STEP
    )
    step = max(right - left, top - low) / SIDE

    write_raster(
        folder / "image.tif", imagery(), crs=None, transform=from_origin(left, top, step, step)
    )
    config = answered(folder, planned(folder, "image.tif", crs="EPSG:3857"))
    assert config.plots.crs == "EPSG:4326"
    assert config.imagery.layers[0].crs == "EPSG:3857"


def test_two_columns_of_richness_are_asked(folder):
    table = plots().rename(columns={"richness": "tree_richness"})
    table.assign(herb_richness=table["tree_richness"]).to_csv(folder / "plots.csv", index=False)
    (question,) = planned(folder, "image.tif").findings.questions
    assert question.key == "plots.columns.richness"
    assert question.candidates == ("tree_richness", "herb_richness")
    change = "plots.columns.richness=herb_richness"
    config = answered(folder, planned(folder, "image.tif", changes=[change]))
    assert config.plots.columns["richness"] == "herb_richness"


def test_the_order_of_dates_is_asked(folder):
    table = plots().assign(date=[f"{1 + i % 12}/{1 + i % 9}/2014" for i in range(150)])
    table.to_csv(folder / "plots.csv", index=False)
    (question,) = planned(folder, "image.tif").findings.questions
    assert question.key == "plots.date_order"
    assert question.candidates == ("day-first", "month-first")


def test_missing_data_that_no_one_declared_are_asked(folder):
    data = imagery().astype(np.float32)
    data[:, :2] = -9999
    write_raster(folder / "image.tif", data)
    (question,) = planned(folder, "image.tif").findings.questions
    assert question.key == "imagery.layers.0.nodata"
    assert question.candidates == ("-9999", "null")
    for value, expected in (("-9999", -9999), ("null", None)):
        change = f"imagery.layers.0.nodata={value}"
        config = answered(folder, planned(folder, "image.tif", changes=[change]))
        assert config.imagery.layers[0].nodata == expected


def test_a_raster_of_few_plots_is_asked(folder):
    write_raster(folder / "image.tif", imagery()[:, :, : SIDE // 4])
    (question,) = planned(folder, "image.tif").findings.questions
    inside = int((plots()["lon"] < WEST + STEP * SIDE / 4).sum())
    assert question.key == "plots.max_rejected"
    assert f"{inside} of 150 plots lie on image.tif" in question.why
    (share,) = question.candidates
    assert 1 - inside / 150 < float(share) <= 1 - inside / 150 + 0.03
    draft = planned(folder, "image.tif", changes=[f"plots.max_rejected={share}"])
    assert answered(folder, draft).plots.max_rejected == float(share)
    assert why(draft, "plots").startswith("in "), "of the plots on the raster"
    assert f"{inside} at" in next(d.value for d in draft.findings.decisions if d.what == "plots")


def test_a_table_that_states_the_bands_needs_no_plot_on_the_raster(folder):
    names = ("rain", "slope")
    write_raster(folder / "image.tif", imagery()[:2, :, : SIDE // 4], names=names)
    table = plots()
    rng = np.random.default_rng(0)
    table = table.assign(**{name: rng.normal(size=len(table)) for name in names})
    table.to_csv(folder / "plots.csv", index=False)
    config = answered(folder, planned(folder, "image.tif"))
    assert (config.model.patch, list(config.model.covariates)) == (1, [*names])
    assert config.plots.max_rejected == 0.1
    assert config.map.model == "auto"
    assert "spatioformer-distilled" not in config.evaluate.models
    assert examine_config(config).problems == []
    table.drop(columns="slope").to_csv(folder / "plots.csv", index=False)
    (question,) = planned(folder, "image.tif").findings.questions
    assert question.key == "plots.max_rejected"


def test_rows_that_cannot_be_used_are_asked(folder):
    table = plots().astype({"richness": object})
    table.loc[:29, "richness"] = "?"
    table.to_csv(folder / "plots.csv", index=False)
    (question,) = planned(folder, "image.tif").findings.questions
    assert question.key == "plots.max_rejected"
    assert question.candidates == ("0.21",)
    assert "30 of 150 rows cannot be used" in question.why


# --- rasters --------------------------------------------------------------------------------------


def test_classes_become_a_categorical_layer(folder):
    classes = (np.indices((SIDE, SIDE)).sum(0) // 20 + 1).astype(np.uint8)
    write_raster(folder / "cover.tif", classes)
    draft = planned(folder, "image.tif", "cover.tif")
    layers = answered(folder, draft).imagery.layers
    assert [layer.categorical for layer in layers] == [None, True]
    assert "only 7 different integers" in why(draft, "imagery.layers.1")
    change = "imagery.layers.1.categorical=false"
    layers = answered(folder, planned(folder, "image.tif", "cover.tif", changes=[change]))
    assert layers.imagery.layers[1].categorical is False


def test_a_band_that_occurs_twice_is_renamed(folder):
    write_raster(folder / "other.tif", imagery(1)[:2], names=("red", "nir"))
    draft = planned(folder, "image.tif", "other.tif")
    layers = answered(folder, draft).imagery.layers
    assert layers[0].band_names is None
    assert layers[1].band_names == ("other_red", "nir")


def test_pieces_of_one_raster_are_refused(folder):
    half = SIDE // 2

    write_raster(folder / "west.tif", imagery()[:, :, :half])
    east = from_origin(WEST + half * STEP, NORTH, STEP, STEP)
    write_raster(folder / "east.tif", imagery()[:, :, half:], transform=east)
    (problem,) = planned(folder, "west.tif", "east.tif").findings.problems
    assert "layers west and east look like pieces of one raster" in problem
    assert "gdalbuildvrt" in problem


def test_a_raster_without_data_is_refused(folder):
    write_raster(folder / "image.tif", np.full((SIDE, SIDE), np.nan, np.float32))
    (problem,) = planned(folder, "image.tif").findings.problems
    assert problem.startswith("150 of 150 plots lie on image.tif, none of them on data; check")


def test_a_raster_that_is_given_twice_is_refused(folder):
    (problem,) = planned(folder, "image.tif", "image.tif").findings.problems
    assert problem.endswith("image.tif is given twice; give it once")


def test_a_richness_that_never_varies_is_refused(folder):
    plots().assign(richness=7).to_csv(folder / "plots.csv", index=False)
    (problem,) = planned(folder, "image.tif").findings.problems
    assert problem.startswith("all plots have richness 7, so that there is nothing to learn")


def test_plots_and_raster_apart_are_refused(folder):

    write_raster(folder / "image.tif", imagery(), transform=from_origin(0, 50, STEP, STEP))
    (problem,) = planned(folder, "image.tif").findings.problems
    assert problem.startswith("no plot lies on all of image.tif: the plots reach")


def test_a_raster_far_larger_than_the_plots_is_cut(folder):

    wide = np.tile(imagery(), (1, 8, 8))
    write_raster(folder / "image.tif", wide, transform=from_origin(WEST - 20, -5, STEP, STEP))
    draft = planned(folder, "image.tif")
    west, east, south, north = answered(folder, draft).imagery.region
    lon, lat = plots()["lon"], plots()["lat"]
    assert west == pytest.approx(lon.min() - 0.1 * np.ptp(lon), abs=0.05)
    assert east == pytest.approx(lon.max() + 0.1 * np.ptp(lon), abs=0.05)
    assert south == pytest.approx(lat.min() - 0.1 * np.ptp(lat), abs=0.05)
    assert north == pytest.approx(lat.max() + 0.1 * np.ptp(lat), abs=0.05)


def test_a_raster_that_holds_other_countries_gets_an_outline(folder):
    """From New Guinea to Cape York, where the plots lie; without such land there is none."""
    assert "outline" not in planned(folder, "image.tif").values["imagery"]
    write_raster(folder / "image.tif", imagery(), transform=from_origin(140.5, -8.5, STEP, STEP))
    table, rng = plots(), np.random.default_rng(0)
    table["lon"] = rng.uniform(141.7, 145.2, len(table))
    table["lat"] = rng.uniform(-14.7, -11.3, len(table))
    table.to_csv(folder / "plots.csv", index=False)
    draft = planned(folder, "image.tif")
    assert answered(folder, draft).imagery.outline == "auto"
    assert "of countries without plots (Indonesia, Papua New Guinea)" in why(
        draft, "imagery.outline"
    )


def test_everything_wrong_is_said_at_once(folder):
    """A question on the table, a raster that is absent and one without a CRS."""
    metres(folder)
    write_raster(folder / "image.tif", imagery(), crs=None)
    findings = planned(folder, "image.tif", "absent.tif").findings
    assert [q.key for q in findings.questions] == ["plots.crs", "imagery.layers.0.crs"]
    (problem,) = findings.problems
    assert "absent.tif" in problem


# --- answers --------------------------------------------------------------------------------------


def test_any_setting_can_be_given(folder):
    draft = planned(folder, "image.tif", changes=["train.epochs=3", "evaluate.splits.1.folds=3"])
    config = answered(folder, draft)
    assert config.train.epochs == 3
    assert config.evaluate.splits[1].folds == 3
    assert "epochs: 3  # given by --set" in draft.text([])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("train.epochs", "is not an assignment"),
        ("train.epochs=many", "it must be a whole number"),
        ("imagery.layers.0.colour=red", "unknown key `colour`"),
        ("imagery.layers.7.crs=EPSG:4326", "is not an index"),
        ("plots.path=other.csv", "takes files as arguments"),
        ("imagery.layers=[]", "takes files as arguments"),
        ("imagery.layers.0.name=b", "takes files as arguments"),
        ("plots.columns=5", "`columns` is 5"),
        ("plots.columns.longitude=x", "unknown key `columns.longitude`"),
        ("surprise=1", "unknown key `surprise`"),
    ],
)
def test_settings_that_cannot_be(folder, change, words):
    with pytest.raises(ConfigError, match=words):
        planned(folder, "image.tif", changes=[change])


def test_an_unknown_crs(folder):
    with pytest.raises(Exception, match="--crs: crs 'EPSG:99' is unknown"):
        planned(folder, "image.tif", crs="EPSG:99")


def test_names_of_layers():
    paths = ["a/dem.tif", "b/dem.tif", "30 m.tif", "Höhe-(m).tif", "pip:koppen", "___.tif"]
    names = ["dem", "dem_2", "raster_30_m", "Hohe_m", "koppen", "raster"]
    assert layer_names(paths) == names


def test_a_table_that_cannot_be_read(folder):
    (folder / "plots.csv").write_text("")
    findings = planned(folder, "image.tif").findings
    assert len(findings.problems) == 1
    assert "plots.csv" in findings.problems[0]
    assert pd.Series([d.what for d in findings.decisions]).isin(["out", "imagery.layers.0"]).all()
