"""A run on a plot table alone, and covariates of the table beside imagery."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from rasterio.transform import from_origin

from spatioformer.config.file import load_config
from spatioformer.geo.chips import open_chips
from spatioformer.run.runner import Run
from tests.helpers import landscape
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST
from tests.helpers.tiny_run import spatioformer

pytestmark = pytest.mark.integration

COUNT = 150
SMALL = {
    "models": ["random-forest", "location-knn"],
    "splits": [
        {"name": "random", "kind": "random", "folds": 2},
        {"name": "realms", "kind": "column", "column": "Realm"},
    ],
    "curve_sizes": [],
    "workers": 1,
}


def table(seed: int = 0) -> pd.DataFrame:
    """Plots whose richness follows rain and soil, which the table states; some rain is missing."""
    rng = np.random.default_rng(seed)
    rain, soil = rng.uniform(100, 900, COUNT), rng.choice(["clay", "sand"], COUNT)
    lon, lat = rng.uniform(141, 146, COUNT), rng.uniform(-26, -21, COUNT)
    return pd.DataFrame(
        {
            "Site": [f"s{i}" for i in range(COUNT)],
            "Longitude": lon.round(5),
            "Latitude": lat.round(5),
            "Species richness": np.round(5 + rain / 25 + 12 * (soil == "clay")).astype(int),
            "rain": np.where(rng.random(COUNT) < 0.1, np.nan, rain.round(1)),
            "soil": soil,
            "Realm": np.where(lon < 143.5, "west", "east"),
        }
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run of a table, from a configuration that says little, on small forests."""
    from tests.helpers.models import shrink

    folder = tmp_path_factory.mktemp("alone")
    table().to_csv(folder / "my plots.csv", index=False)
    config = folder / "run.yaml"
    raw = {
        "plots": {"path": "my plots.csv"},
        "model": {"covariates": "auto"},
        "out": str(folder / "run"),
        "evaluate": SMALL,
        "map": {"model": "random-forest"},
    }
    config.write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        ended = spatioformer("run", config)
    assert ended.code == 0, ended.err
    return folder, ended


def test_the_columns_are_found_and_said(finished):
    folder, ended = finished
    assert "richness = 'Species richness'" in ended.err
    assert "2 covariates: rain, soil" in ended.err
    assert load_config(folder / "run.yaml").name == "my plots"
    store = open_chips(folder / "run" / "chips")
    assert store.bands == ["rain", "rain is missing", "soil = clay", "soil = sand"]
    pixels = store.chips[:, 0, 0]
    plots = table()
    known = plots["rain"].notna().to_numpy()
    np.testing.assert_allclose(pixels[known, 0], plots["rain"][known], rtol=1e-6)
    assert (pixels[~known, 0] == np.float32(plots["rain"].median())).all()
    assert (pixels[:, 1] == ~known).all()
    assert (pixels[:, 2] == (plots["soil"] == "clay")).all()


def test_the_covariates_explain_and_the_column_makes_folds(finished):
    folder, _ = finished
    scores = pd.read_csv(folder / "run" / "scores.csv").set_index(["split", "model"])["r2"]
    assert scores["random", "random-forest"] > 0.6
    assert scores["random", "location-knn"] < 0.3
    predictions = pd.read_parquet(folder / "run" / "evaluation" / "predictions.parquet")
    realms = predictions[predictions["split"] == "realms"].merge(
        table()[["Site", "Realm"]], left_on="plot_id", right_on="Site"
    )
    assert realms.groupby("fold")["Realm"].nunique().tolist() == [1, 1]


def test_the_report_says_what_it_is(finished):
    folder, _ = finished
    page = (folder / "run" / "report.html").read_text()
    assert "This run has no imagery, so there is no map" in page
    assert "was modelled without imagery" in page
    assert ", which makes the predictions: " in page
    assert "makes the map" not in page
    assert "used in the map" not in page
    assert "map.tif" not in page.split("<footer>")[1]
    assert "folds of the column Realm" in page
    assert not (folder / "run" / "map.tif").exists()
    again = Run(folder / "run.yaml")
    assert [name for name in again.stages if not again.is_current(name)] == []


def test_no_stage_of_imagery_can_be_asked_for(finished):
    folder, _ = finished
    ended = spatioformer("map", folder / "run.yaml")
    assert ended.code == 2
    assert "the run has no `imagery`, and so no stage 'map'" in ended.err


def test_other_places_are_predicted(finished):
    folder, _ = finished
    new = table(seed=1).head(30).drop(columns=["Species richness", "Realm"])
    new.loc[3, "soil"] = "peat"
    new.loc[4, "Latitude"] = np.nan
    new.to_csv(folder / "new.csv", index=False)
    out = folder / "predicted.csv"
    ended = spatioformer("predict", folder / "run", folder / "new.csv", "-o", out)
    assert ended.code == 0, ended.err
    assert "28 of 30 places predicted" in ended.err
    read = pd.read_csv(out)
    assert read["source_line"].tolist() == list(range(2, 32))
    assert "soil is 'peat'" in read["reason"][3]
    assert "Latitude" in read["reason"][4] or "lat" in read["reason"][4]
    true = table(seed=1)["Species richness"].head(30)
    good = read["predicted"].notna()
    assert np.corrcoef(read["predicted"][good], true[good])[0, 1] > 0.7
    within = (read["lower"] <= true) & (true <= read["upper"])
    assert within[good].mean() > 0.7
    refused = spatioformer("predict", folder / "run", folder / "new.csv", "-o", out)
    assert (refused.code, "--force" in refused.err) == (2, True)


def test_the_covariates_that_matter_are_measured(finished):
    folder, _ = finished
    ended = spatioformer("drivers", folder / "run")
    assert ended.code == 0, ended.err
    measured = json.loads((folder / "run" / "drivers.json").read_text())
    rises = {row["group"]: row["rise"] for row in measured["importance"]}
    assert rises["imagery"] > 3 * max(rises["location"], 0.1)


def test_rasters_and_fixed_values_make_a_map(finished):
    folder, _ = finished
    rain = np.tile(np.linspace(100, 900, SIDE, dtype=np.float32), (SIDE, 1))
    source = landscape.write_raster(folder / "rain.tif", rain, names=("rain",))
    out = folder / "map.tif"
    model = folder / "run" / "model"
    lacking = spatioformer("map", model, source, "-o", out, "--samples", 0)
    assert lacking.code == 2
    assert "give a class for the whole map, such as --fixed 'soil=" in lacking.err
    ended = spatioformer("map", model, source, "-o", out, "--fixed", "soil=clay")
    assert ended.code == 0, ended.err
    with rasterio.open(out) as opened:
        mean = opened.read(1)
        assert opened.tags()["FIXED"] == "soil=clay"
    assert np.isfinite(mean).all()
    assert mean[:, -1].mean() - mean[:, 0].mean() > 15
    assert not list(folder.glob("*.covariates.tif"))


def test_a_covariate_with_the_name_of_a_band_is_that_band(tmp_path):
    """Plots outside the imagery count too: the table states what the map takes from rasters."""
    plots = table().drop(columns=["soil"]).fillna({"rain": 400})
    plots.to_csv(tmp_path / "plots.csv", index=False)
    small = np.tile(np.linspace(100, 900, 20, dtype=np.float32), (20, 1))
    landscape.write_raster(
        tmp_path / "rain.tif", small, transform=from_origin(WEST, NORTH, STEP, STEP)
    )
    raw = {
        "plots": {"path": "plots.csv"},
        "out": str(tmp_path / "run"),
        "imagery": {"layers": [{"path": "rain.tif", "name": "rain", "band_names": ["rain"]}]},
        "model": {"covariates": ["rain"], "patch": 1},
        "evaluate": {"models": ["location-knn"]},
        "map": {"model": "location-knn"},
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(raw))
    ended = spatioformer("chips", config)
    assert ended.code == 0, ended.err
    store = open_chips(tmp_path / "run" / "chips")
    assert len(store) == COUNT
    np.testing.assert_allclose(store.chips[:, 0, 0, 0], plots["rain"], rtol=1e-6)
    assert dict(store.covariates) == {}
    assert "covariate and band 'rain' differ: at" in ended.err  # drawn apart
    other = spatioformer("chips", config, "--set", "imagery.layers.0.scale=10")
    assert other.code == 2
    assert "the covariate 'rain' is not the band of that name: at" in other.err
    table().rename(columns={"rain": "wet", "soil": "rain"}).to_csv(tmp_path / "text.csv")
    text = spatioformer("chips", config, "--set", "plots.path=text.csv")
    assert text.code == 2
    assert "the covariate 'rain' has the name of a band and holds text" in text.err
    refused = spatioformer("chips", config, "--set", "model.patch=3")
    assert refused.code == 2
    assert "the covariate 'rain' is a band of the imagery too" in refused.err


def test_classes_and_gaps_beside_imagery(tmp_path):
    config = landscape.write(tmp_path)
    plots = pd.read_csv(tmp_path / "plots.csv")
    rng = np.random.default_rng(0)
    plots["soil"] = rng.choice(["clay", "sand"], len(plots))
    plots["slope"] = np.where(rng.random(len(plots)) < 0.2, np.nan, rng.uniform(0, 30, len(plots)))
    plots.to_csv(tmp_path / "plots.csv", index=False)
    chosen = "model.covariates={soil: sand, slope: null, area_m2: 400}"
    models = ["--set", "map.model=spatioformer", "--set", "evaluate.models=[spatioformer]"]
    ended = spatioformer("train", config, "--set", chosen, *models)
    assert ended.code == 0, ended.err
    store = open_chips(tmp_path / "run" / "chips")
    assert dict(store.covariates) == {
        "soil = clay": 0.0,
        "soil = sand": 1.0,
        "slope": None,
        "slope is missing": 0.0,
        "area_m2": 400.0,
    }
    facts = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert facts["covariates"]["names"] == list(store.covariates)
    assert facts["covariates"]["usual"][:2] == [0.0, 1.0]
    assert facts["facts"]["grain"] == "plots of 400 m2"  # of the map, not of the plots
