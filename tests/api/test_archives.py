"""Imagery of archives through the Python door: lazy, by year, the same as a run's."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import rasterio

import spatioformer as sf
from spatioformer.api.adapter import PlotsWithoutChip
from spatioformer.api.archives import ArchiveRemark
from spatioformer.common.errors import ArgumentError, ConfigError, ImageryError
from spatioformer.run.runner import Run
from tests.helpers import archive_run, landscape

NAMES = ["toy_blue", "toy_green", "toy_red"]
"""In the order of rows.yaml, which is sorted."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with scenes of 2019 to 2021, plots and the configuration toy.yaml."""
    folder = tmp_path_factory.mktemp("archive")
    archive_run.write(folder)
    return folder


def read(place, **changes):
    values = {
        "years": (2019, 2021),
        "region": archive_run.REGION,
        "grid": archive_run.GRID,
        "composite": "median",
        "endpoint": place / "scenes",
        "collections": str(place / "rows.yaml"),
        "min_clear": 2,
        "cache": {"path": str(place / "cache"), "gb": 0.01},
    }
    return sf.read_imagery("toy", **(values | changes))


@pytest.fixture(scope="module")
def stack(place):
    return read(place)


@pytest.fixture(scope="module")
def plots(place):
    columns = {"plot_id": "plot", "lon": "lon", "lat": "lat", "richness": "richness"}
    return sf.read_plots(place / "plots.csv", columns=columns | {"area_m2": "area", "date": "date"})


def test_nothing_is_read_to_know_bands_years_and_grid(place):
    stack = read(place, endpoint=place / "absent")
    assert (stack.bands, stack.years, stack.shape) == (NAMES, (2019, 2020, 2021), (64, 64))
    assert stack.crs.to_epsg() == 4326
    assert stack.region == (140.0, 146.4, -26.4, -20.0)
    start = "<LazyImagery of 2019, 2020, 2021: 3 bands (toy_blue, toy_green, toy_red), 64 x 64"
    assert repr(stack).startswith(start)
    with pytest.raises(ImageryError, match="absent"):
        stack.search(2020)


def test_search_lists_the_items(stack):
    items = stack.search()
    assert items.groupby("year").size().to_dict() == {2019: 4, 2020: 4, 2021: 4}
    assert items["id"].is_unique
    assert items["time"].dt.year.tolist() == items["year"].tolist()
    assert set(items["collection"]) == {"toy"}
    np.testing.assert_allclose(items[["west", "north"]].to_numpy(), [[140, -20]] * 12, atol=1e-3)
    assert len(stack.search(2020)) == 4


def test_written_composites_are_the_runs(place, stack, tmp_path):
    run = Run(place / "toy.yaml", [f"out={tmp_path / 'run'}"]).stage("imagery")
    paths = stack.write(tmp_path / "written", 2021)
    assert list(paths) == [2021]
    assert paths[2021] == tmp_path / "written" / "imagery_2021.tif"
    expected = (run / "archives" / "imagery_2021.tif").read_bytes()
    assert paths[2021].read_bytes() == expected
    assert (tmp_path / "written" / "imagery_2021.item.json").exists()


@pytest.mark.parametrize("chunk", [64, 23])
def test_lazy_arrays_hold_what_is_written(stack, tmp_path, chunk):
    array = stack.to_xarray((2019, 2021), chunk=chunk)
    assert array.dims == ("year", "band", "y", "x")
    assert (array["year"].to_numpy().tolist(), array["band"].to_numpy().tolist()) == (
        [2019, 2021],
        NAMES,
    )
    assert array.rio.crs.to_epsg() == 4326
    assert array.data.chunksize[2:] == (min(chunk, 64), min(chunk, 64))
    values = array.to_numpy()
    for year, path in stack.write(tmp_path, (2019, 2021)).items():
        with rasterio.open(path) as raster:
            expected = raster.read()
            np.testing.assert_allclose(array["x"][[0, -1]], [140.05, 146.35])
            np.testing.assert_allclose(array["y"][[0, -1]], [-20.05, -26.35])
        np.testing.assert_array_equal(values[[2019, 2021].index(year)], expected)
    # A year is 7 brighter than the one before it, on a scale of 0.01.
    assert np.nanmedian(values[1] - values[0]) == pytest.approx(0.14, abs=0.03)


def test_a_composite_is_imagery_with_masks(place):
    cover = np.full((64, 64), 10, np.uint8)
    cover[:, :16] = 80
    landscape.write_raster(place / "cover.tif", cover)
    mask = {"path": place / "cover.tif", "legend": "esa-worldcover", "exclude": ["water"]}
    imagery = read(place, masks=[mask]).composite(2020)
    assert imagery.bands == NAMES
    assert imagery.summary["pixels_to_predict"] <= 64 * 48
    with rasterio.open(imagery.path) as raster:
        assert not raster.read_masks(1)[:, :16].any()
        assert raster.read_masks(1)[:, 16:].mean() > 250


def test_layers_and_collections_make_one_stack(place):
    landscape.write_raster(
        place / "height.tif", np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    )
    own = {"collection": "toy", "name": "toy", "bands": ["red"], "composite": "mean"}
    several = [str(place / "height.tif"), own]
    keys = {"collections": str(place / "rows.yaml"), "endpoint": place / "scenes", "min_clear": 1}
    stack = sf.read_imagery(several, years=2020, **keys)
    assert stack.bands == ["height", "toy_red"]
    values = stack.to_xarray().to_numpy()[0]
    np.testing.assert_array_equal(values[0].ravel(), np.arange(64 * 64))
    np.testing.assert_array_equal(values, stack.composite().to_xarray().to_numpy())


def chips(model, plots, stack):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlotsWithoutChip)
        with model.chips(plots, stack) as store:
            return store.table, np.array(store.chips)


def test_each_plot_takes_the_imagery_of_its_year(plots, stack):
    """As a run does; plots without a date, or far from the years, have no chip."""
    table, cut = chips(sf.GaussianProcessRegressor(patch=1), plots, stack)
    year = pd.to_datetime(table["date"]).dt.year.to_numpy()
    assert set(year) == {2018, 2019, 2020, 2021, 2022}
    np.testing.assert_array_equal(table["composite_year"], np.clip(year, 2019, 2021))
    for y, path in stack.write(stack._folder).items():
        with rasterio.open(path) as raster:
            values = raster.read()
        of_year = (table["composite_year"] == y).to_numpy()
        rows, cols = table["row"][of_year], table["col"][of_year]
        np.testing.assert_array_equal(cut[of_year, 0, 0], values[:, rows, cols].T)


def test_a_run_has_the_same_chips(place, plots, stack, tmp_path):
    run = Run(place / "toy.yaml", [f"out={tmp_path / 'run'}", "model.patch=3"]).stage("chips")
    _, cut = chips(sf.GaussianProcessRegressor(patch=3), plots, stack)
    np.testing.assert_array_equal(cut, np.load(run / "chips" / "chips.npy"))


def test_fit_predict_score_and_map(plots, stack):
    plots = plots.iloc[:72]
    with pytest.warns(PlotsWithoutChip, match="20 of 72 plots"):
        model = sf.GaussianProcessRegressor(patch=1).fit(plots, stack)
    assert model.feature_names_in_.tolist() == NAMES
    with pytest.warns(PlotsWithoutChip):
        predicted = model.predict(plots, stack)
    dated = plots["date"].dt.year.between(2018, 2022).to_numpy()
    np.testing.assert_array_equal(np.isfinite(predicted), dated)
    early, late = (sf.predict_map(model, stack, year=year) for year in (2019, 2021))
    assert early.shape == late.shape == (64, 64)
    assert np.isfinite(late).mean() > 0.9
    assert float(abs(late - early).mean()) > 0.1
    np.testing.assert_array_equal(sf.predict_map(model, stack), late)
    with pytest.warns(PlotsWithoutChip):
        scores = sf.cross_validate(model, plots, stack, splits=sf.KNNDM(3))
    assert scores["n"].tolist() == [int(dated.sum())]


def test_a_distilled_network_is_taught_on_the_last_year(plots, stack):
    model = sf.DistilledRegressor(patch=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlotsWithoutChip)
        with model.chips(plots, stack) as store:
            land = store.unlabelled
            values = np.array(land.chips[:, 0, 0])
            rows, cols = land.table["row"], land.table["col"]
    expected = stack.composite(2021).to_xarray().to_numpy()
    np.testing.assert_array_equal(values, expected[:, rows, cols].T)


def test_one_year_needs_no_dates(place, plots):
    stack = read(place, years=2020, max_years=3)
    undated = plots.drop(columns="date")
    table, _ = chips(sf.GaussianProcessRegressor(patch=1), undated, stack)
    assert (table["composite_year"] == 2020).all()


def test_several_years_need_dates(plots, stack):
    with pytest.raises(ImageryError, match=r"no date, by which to choose one of the years"):
        sf.GaussianProcessRegressor(patch=1).fit(plots.drop(columns="date"), stack)


def test_an_item_that_cannot_be_read_is_left_out_of_the_whole_year_or_refused(place, tmp_path):
    archive_run.write_scenes(tmp_path / "scenes", (2020,))
    broken = tmp_path / "scenes" / "toy_20200420_red.tif"
    broken.write_bytes(broken.read_bytes()[:-1000])
    keys = {"endpoint": tmp_path / "scenes", "years": 2020, "kind": "folder"}
    with pytest.raises(ImageryError, match="20200420"):
        read(place, **keys).composite()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stack = read(place, on_error="skip", **keys)
        written = stack.write(tmp_path / "out")[2020]
    remarks = [str(w.message) for w in caught if w.category is ArchiveRemark]
    assert len(remarks) == 1
    assert remarks[0].startswith("left out ")
    assert "20200420" in remarks[0]
    # Other blocks of an array may hold the item already.
    sentence = r"toy_20200420 cannot be left out of one block .* `write` leaves it out of the whole"
    with pytest.raises(ImageryError, match=sentence):
        stack.to_xarray(chunk=16).to_numpy()
    for path in (tmp_path / "scenes").glob("toy_20200420_*"):
        path.unlink()
    with rasterio.open(written) as raster:
        rest = read(place, **keys).to_xarray().to_numpy()
        np.testing.assert_array_equal(raster.read(), rest[0])


@pytest.mark.parametrize(
    ("layers", "keys", "words"),
    [
        (
            "sentinel-2-l2a",
            {},
            "'sentinel-2-l2a' is of collections of archives, which need `years`",
        ),
        ({"collection": "toy"}, {}, "collection is of collections .* need `years`"),
        ("a.tif", {"season": ("01-01", "03-01")}, "season is of collections of archives"),
        ("a.tif", {"regoin": (1, 2, 3, 4)}, "read_imagery has no argument 'regoin'"),
        ("a.tif", {"years": 2020}, "there is none among the layers"),
        ("toy", {"years": 2020, "out": "a.tif"}, r"write them with read_imagery\(...\).write"),
        ("toy", {"years": 2020, "crs": "EPSG:3577"}, "crs is 'EPSG:3577' without resolution"),
        ("toy", {"years": 2020, "resolution": 30}, r"give region=\(W, E, S, N\)"),
        (
            "toy",
            {"years": 2020, "resolution": 30, "region": (112, 154, -44, -10)},
            "the region is 42 degrees wide, and a UTM zone has 6",
        ),
        (
            "toy",
            {"years": 2020, "resolution": 30, "grid": {"crs": "EPSG:4326", "resolution": 1}},
            "leave crs and resolution out",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(layers, keys, words):
    with pytest.raises(ArgumentError, match=words):
        sf.read_imagery(layers, **keys)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "`sources` alone have no extent"),
        (
            {"region": (147, 148, -43, -42), "min_claer": 3},
            "unknown key .*did you mean `min_clear`",
        ),
        ({"region": (147, 148, -43, -42)}, "the collection 'sentinel-2-l2' is not known; did you"),
    ],
)
def test_a_source_that_is_described_wrongly_is_one_sentence(keys, words):
    with pytest.raises(ConfigError, match=words):
        sf.read_imagery("sentinel-2-l2", years=2020, **keys)


def test_an_existing_file_wins_over_a_collection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    landscape.write_raster(tmp_path / "sentinel-2-l2a", np.ones((4, 4), np.float32))
    with pytest.raises(ImageryError, match=r"has the extension '.none.', which is not read"):
        sf.read_imagery("sentinel-2-l2a")
    with pytest.raises(ArgumentError, match="an existing file or folder is read as a raster"):
        sf.read_imagery("sentinel-2-l2a", years=2020)


WITHOUT_EXTRAS = """
import sys
for name in ("pystac_client", "pystac", "odc", "requests", "spyndex", "zarr", "dask", "numba"):
    sys.modules[name] = None
import spatioformer as sf
from spatioformer.api.adapter import PlotRegressor
keys = {keys!r}
local = sf.read_imagery("toy", **keys)
print(len(local.search()), local.composite().bands)
def refused(call):
    try:
        call()
    except sf.SpatioformerError as error:
        print(error)
refused(local.to_xarray)
away = keys | {{"endpoint": "https://stac.example.org", "kind": "stac-api"}}
refused(sf.read_imagery("toy", **away).search)
"""


def test_without_the_extras_local_scenes_are_read_and_the_rest_is_one_sentence(place):
    keys = {"years": 2020, "region": archive_run.REGION, "grid": archive_run.GRID}
    keys |= {"endpoint": str(place / "scenes"), "collections": str(place / "rows.yaml")}
    code = WITHOUT_EXTRAS.format(keys=keys | {"composite": "median"})
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        f"4 {NAMES}",
        "to_xarray needs Dask, which is not installed; pip install 'spatioformer[dask]'",
        "imagery.sources[0]: a catalogue of the kind stac-api needs the package pystac, which is "
        "not installed; pip install 'spatioformer[stac]'",
    ]


def test_years_that_the_imagery_lacks_are_named(stack, imagery):
    with pytest.raises(ArgumentError, match=r"the year 2015 is not among .*: 2019 to 2021"):
        stack.composite(2015)
    model = sf.GaussianProcessRegressor()
    with pytest.raises(ArgumentError, match="one file without years; leave year out"):
        sf.predict_map(model, imagery, year=2020)
