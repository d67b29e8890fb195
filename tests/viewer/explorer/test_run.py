"""What the explorer shows of a run: known numbers, shapes, and what a run lacks."""

import shutil

import numpy as np
import pytest

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.config.learning import ModelSection
from spatioformer.geo.chips import open_chips
from spatioformer.models.inside import patterns_of
from spatioformer.models.store import load
from spatioformer.models.tabular import TabularEstimator
from spatioformer.nn import Ensemble
from spatioformer.viewer.answers import dumps
from spatioformer.viewer.explorer.packing import unpacked
from spatioformer.viewer.explorer.places import places_around, places_of
from spatioformer.viewer.explorer.run import RunExplorer
from spatioformer.viewer.folder import RunFolder
from spatioformer.viewer.run import ViewedRun
from tests.helpers import explored_run as known
from tests.helpers.landscape import NORTH, STEP, WEST


def test_facts(explorer):
    facts = explorer.facts()
    dumps(facts)
    assert (facts["kind"], facts["title"], facts["patch"]) == ("run", "A known run", 5)
    assert facts["unit"] == {"en": "species", "es": "especies"}
    assert facts["model"]["title"] == "the dense Spatioformer"
    assert [(s["name"], s["count"]) for s in facts["sets"]][:3] == [
        ("encoder", 12), ("scale", 8), ("shift", 8),
    ]  # fmt: skip
    assert (facts["place"]["kind"], facts["place"]["curves"]) == ("encoder", [])
    assert facts["training"] == {
        "x": "epoch",
        "steps": [1, 2, 3],
        "lines": {"train_rmse": known.RMSE, "validation_rmse": [9.0, 8.0, None]},
    }
    rows = facts["scores"]["rows"]  # without those of the curve over tile sizes
    assert [(row["model"], row["split"], row["r2"]) for row in rows] == [
        ("spatioformer-dense", "tiles", 0.625), ("random-forest", "tiles", 0.5),
    ]  # fmt: skip
    assert [row["group"] for row in facts["importance"]] == ["location", "red"]
    assert facts["explained"]["curves"]["red"]["local"] == [-1, 0, 1]


def test_places(explorer, run_folder):
    """Cells are the map's own pixels here at most; the empty rows hold none."""
    places = explorer.places
    np.testing.assert_allclose(places.bounds, [WEST, NORTH - 2, WEST + 3, NORTH])
    rows, cols = places.values.shape
    lon, lat = places.lonlat
    assert len(lon) == np.isfinite(places.values).sum()
    south = NORTH - STEP * (known.SHAPE[0] - known.EMPTY_ROWS)
    assert (lat > south - STEP).all()
    model, store = load(run_folder / "model"), open_chips(run_folder / "chips")
    row = int((NORTH - store.coordinates[3, 1]) / (2 / rows))
    col = int((store.coordinates[3, 0] - WEST) / (3 / cols))
    expected = model.predict_rows(store, np.array([3]))[0]
    assert places.values[row, col] == pytest.approx(expected, abs=1e-3)


def test_places_over_the_antimeridian(tmp_path, explorer):
    import rasterio

    with rasterio.open(explorer.run.folder / "map.tif") as source:
        profile, values = source.profile, source.read()
    profile["transform"] = rasterio.Affine(STEP, 0, 178.5, 0, -STEP, NORTH)
    profile["driver"] = "GTiff"
    with rasterio.open(tmp_path / "map.tif", "w", **profile) as target:
        target.write(values)
    places = places_of(tmp_path / "map.tif")
    np.testing.assert_allclose(places.bounds[::2], [178.5, 181.5])
    assert places.shown.sum() > 0.5 * places.shown.size


def test_location_features(explorer):
    answer = explorer.location("encoder")
    values = unpacked(answer["values"])
    lon, lat = explorer.places.lonlat
    assert values.shape == (12, len(lon)) == (len(answer["names"]), len(lon))
    x = np.degrees(np.cos(np.radians(lat)) * np.cos(np.radians(lon)))
    np.testing.assert_allclose(values[0], np.sin(2 * np.pi * x / 8), atol=2e-4)


def test_a_process_instead_of_an_encoder(tmp_path, run_folder):
    """The page's formula, over the sent points, gives the process's correlation."""
    folder = shutil.copytree(run_folder, tmp_path / "run")
    estimator = TabularEstimator("gaussian-process", ModelSection(), 0)
    store = open_chips(folder / "chips")
    estimator.fit(store, np.arange(len(store))).save(folder / "model")
    explorer = RunExplorer(ViewedRun(folder))
    facts, answer = explorer.facts(), explorer.likeness()
    assert (facts["place"]["kind"], facts["process"]) == ("process", True)
    assert [group["name"] for group in facts["sets"]] == ["published"]
    points = unpacked(answer["values"])
    distance = np.linalg.norm(points - points[:, 7:8], axis=0)
    ranges = [np.inf if term["range"] is None else term["range"] for term in answer["terms"]]
    shares = [term["share"] for term in answer["terms"]]
    total = sum(s * np.exp(-distance / r) for s, r in zip(shares, ranges, strict=True))
    exact = explorer.kernel.points(*explorer.places.lonlat)
    parts = explorer.kernel.correlation(np.linalg.norm(exact - exact[7], axis=1))
    np.testing.assert_allclose(total, sum(parts.values()), atol=1e-3)
    assert total[7] == pytest.approx(1)
    assert explorer.plot(0)["attention"] is None
    assert explorer.embedding("pca")["basis"] == "imagery"


def test_embedding(explorer):
    answer = explorer.embedding("pca")
    assert (answer["basis"], answer["features"], answer["of"]) == ("network", 8, known.PLOTS)
    observed, predicted = unpacked(answer["observed"]), unpacked(answer["predicted"])
    np.testing.assert_allclose(observed, explorer.run.store.richness, atol=1e-3)
    assert np.isnan(predicted[0])  # its held-out prediction is missing
    np.testing.assert_allclose(predicted[1:] - observed[1:], 2, atol=2e-3)
    assert answer["programme"]["names"] == ["north", "south"]
    assert answer["programme"]["of"] == [0] * 12 + [1] * (known.PLOTS - 12)
    assert len(answer["region"]["of"]) == known.PLOTS
    assert max(answer["region"]["of"]) < len(answer["region"]["names"])


def test_chip_of_a_plot(explorer):
    answer = explorer.plot(3)
    attention = answer["attention"]
    weights = unpacked(attention["weights"])
    assert weights.shape == (2, 2, 25, 25)
    np.testing.assert_allclose(weights[1, :, 12].sum(axis=-1), 1, atol=1e-3)
    assert unpacked(attention["shares"]).sum() == pytest.approx(1, abs=1e-3)
    assert (answer["id"], answer["side"], answer["colours"]) == ("p3", 5, True)
    assert unpacked(answer["occlusion"]).shape == (5, 5)
    assert answer["predicted"] == answer["observed"] + 2


def test_chip_of_a_place_is_that_of_the_plot_there(explorer):
    lon, lat = explorer.run.store.coordinates[3]
    here, plot = explorer.at(lon, lat), explorer.plot(3)
    assert here["picture"] == plot["picture"]
    np.testing.assert_allclose(unpacked(here["occlusion"]), unpacked(plot["occlusion"]), atol=1e-4)


@pytest.mark.parametrize(("lon", "lat"), [(WEST + 0.05, NORTH - 1), (0.0, 0.0)])
def test_no_chip(explorer, lon, lat):
    with pytest.raises(ImageryError, match="no complete chip at"):
        explorer.at(lon, lat)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, run_folder) -> RunExplorer:
    """The run with an ensemble of two networks."""
    folder = shutil.copytree(run_folder, tmp_path_factory.mktemp("ensemble") / "run")
    built = known.network(Ensemble, location=known.LOCATION, members=2)
    known.bundle(built).save(folder / "model")
    return RunExplorer(ViewedRun(folder))


def test_each_network_of_an_ensemble_is_shown_on_its_own(ensemble):
    facts = ensemble.facts()
    assert [network["member"] for network in facts["networks"]] == ["", ""]
    assert facts["network"] == 0
    assert facts["sets"] == facts["networks"][0]["sets"]
    first, second = (unpacked(ensemble.plot(3, k)["attention"]["weights"]) for k in (0, 1))
    np.testing.assert_array_equal(first, unpacked(ensemble.plot(3)["attention"]["weights"]))
    assert np.nanmax(np.abs(first - second)) > 0.005
    own = known.bundle(ensemble.model.members[1])
    chip = ensemble.run.store.chips[3]
    lon, lat = ensemble.run.store.lon[3], ensemble.run.store.lat[3]
    np.testing.assert_allclose(second, patterns_of(own, chip, lon, lat).weights, atol=1e-3)
    scales = [unpacked(ensemble.location("scale", k)["values"]) for k in (0, 1)]
    assert np.abs(scales[0] - scales[1]).max() > 0.1
    occlusion = [unpacked(ensemble.plot(3, k)["occlusion"]) for k in (0, 1)]
    np.testing.assert_array_equal(*occlusion)  # that of the whole model
    with pytest.raises(ModelError, match="network 2 does not exist; the model has 2, counted"):
        ensemble.plot(3, 2)


def test_a_run_without_a_map_shows_land_around_its_plots(tmp_path, run_folder):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / "map.tif").unlink()
    explorer = RunExplorer(RunFolder(folder))
    facts = explorer.facts()
    dumps(facts)
    assert (facts["map"], facts["places"]["values"]) == (False, None)
    assert facts["scores"]["rows"][0]["r2"] == 0.625
    lon, lat = explorer.places.lonlat
    plots = explorer.run.store.coordinates
    assert lon.min() < plots[:, 0].min() < plots[:, 0].max() < lon.max()
    assert lat.min() < plots[:, 1].min() < plots[:, 1].max() < lat.max()
    assert unpacked(explorer.location("encoder")["values"]).shape == (12, len(lon))


def test_places_of_plots_are_land_and_go_on_over_the_antimeridian():
    fiji = places_around(np.array([[178.0, -17.0], [-179.0, -19.0]]))
    np.testing.assert_allclose(fiji.bounds, [177.85, -19.15, 181.15, -16.85])
    assert 0 < fiji.shown.sum() < 0.7 * fiji.shown.size  # islands
    one = places_around(np.array([[134.0, -23.0]]))
    assert one.shown.all()


def test_no_plot(explorer):
    with pytest.raises(ImageryError, match="plot number 30 does not exist; the run has 30"):
        explorer.plot(known.PLOTS)


def test_files_of_an_export(explorer):
    files = dict(explorer.files())
    assert files["api/explorer.json"]["static"] is True
    examples = files["api/explorer.json"]["examples"]
    richness = explorer.run.store.richness[examples]
    assert (np.diff(richness) > 0).all()
    assert richness[0] == 10
    assert {f"api/explorer/plot/{row}.json" for row in examples} < set(files)
    assert {"api/explorer/location/encoder.json", "api/explorer/embedding/tsne.json"} < set(files)


def test_a_run_without_tables(tmp_path, run_folder):
    """A map, its plots and its model are enough."""
    folder = shutil.copytree(run_folder, tmp_path / "run")
    for name in ("scores.csv", "training.csv", "explained.json", "evaluation", "imagery.tif"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    explorer = RunExplorer(ViewedRun(folder))
    facts = explorer.facts()
    dumps(facts)
    assert (facts["scores"], facts["training"], facts["explained"]) == (None, None, None)
    assert facts["importance"] == []
    assert np.isnan(unpacked(explorer.embedding("pca")["predicted"])).all()
    with pytest.raises(ImageryError, match="keeps no imagery"):
        explorer.at(141.0, -21.0)
