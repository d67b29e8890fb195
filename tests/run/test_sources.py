"""Runs whose imagery comes from archives: stages, chips by year, years, and what is made again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml

from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.file import load_config
from spatioformer.geo.chips import open_chips
from spatioformer.geo.cutting import cut_chips
from spatioformer.run.imagery_build import build_years
from spatioformer.run.runner import Run
from tests.helpers import archive_run, landscape
from tests.helpers.tiny_run import assert_refused, half_written, spatioformer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("small_forests_of_module"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The configuration of a finished run with maps of three years."""
    folder = tmp_path_factory.mktemp("whole")
    config = archive_run.settings(folder)
    config["map"]["years"] = [2019, 2021]
    path = archive_run.write(folder, config)
    ended = spatioformer("run", path, "--quiet")
    assert ended.code == 0, ended.err
    return path


@pytest.fixture
def run(whole, tmp_path) -> Path:
    """A copy of the finished run that may be changed."""
    shutil.copytree(whole.parent, tmp_path, dirs_exist_ok=True, copy_function=shutil.copy2)
    config = yaml.safe_load(whole.read_text()) | {"out": str(tmp_path / "run")}
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def reasons(config: Path, *changes: str) -> dict[str, str]:
    """Why each stage would run again."""
    opened = Run(config, changes)
    found = {name: opened.reason(name) for name in opened.stages}
    return {name: reason for name, reason in found.items() if reason is not None}


def test_the_stages_and_what_they_write(whole):
    opened = Run(whole)
    assert list(opened.stages) == [
        *("plots", "search", "imagery", "chips", "train", "evaluate", "map", "years", "report")
    ]
    assert reasons(whole) == {}
    folder = whole.parent / "run"
    assert sorted(p.name for p in (folder / "archives").iterdir()) == [
        "composites.json",
        *(f"imagery_{year}{end}" for year in archive_run.YEARS for end in (".item.json", ".tif")),
        "items.json",
    ]
    assert sorted(p.name for p in (folder / "years").iterdir()) == [
        *(f"map_{year}{end}" for year in archive_run.YEARS for end in (".qml", ".tif")),
        *("summary.json", "trend.tif"),
        "years.json",
    ]  # fmt: skip
    assert not half_written(folder)


def composite_by_hand(year: int) -> np.ndarray:
    """The masked median of a year's scenes, (band, y, x), where two of them are clear."""
    folder = archive_run.YEARS
    assert year in folder
    dates = []
    for day in archive_run.DAYS:
        stem = CACHE / f"toy_{year}{day}"
        values = np.stack([read(f"{stem}_{band}.tif") for band in archive_run.BANDS])
        values = values.astype(np.float32) * np.float32(0.01)
        values[:, read(f"{stem}_scl.tif") == archive_run.CLOUD] = np.nan
        dates.append(values)
    clear = np.isfinite(dates).sum(axis=0)
    return np.where(clear >= 2, np.nanmedian(dates, axis=0), np.nan)


CACHE = Path()


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)


def test_the_imagery_is_the_composite_of_the_last_year(whole, monkeypatch):
    monkeypatch.setattr(f"{__name__}.CACHE", whole.parent / "scenes")
    with rasterio.open(whole.parent / "run" / "imagery.tif") as source:
        names, values = source.descriptions, source.read()
    assert sorted(names) == ["toy_blue", "toy_green", "toy_red"]
    expected = composite_by_hand(2021)
    for name, band in zip(names, values, strict=True):
        own = expected[archive_run.BANDS.index(name.removeprefix("toy_"))]
        np.testing.assert_allclose(band, own, rtol=1e-6)


def test_each_plot_has_the_chip_of_its_year(whole, tmp_path):
    """Byte by byte that of a wall-to-wall stack of that year."""
    folder = whole.parent / "run"
    store = open_chips(folder / "chips")
    years = store.table["date"].dt.year
    nearest = years.clip(2019, 2021)
    assert store.table["composite_year"].tolist() == nearest.tolist()
    assert store.table["years_apart"].tolist() == (nearest - years).tolist()
    for year in archive_run.YEARS:
        chosen = (store.table["composite_year"] == year).to_numpy()
        assert chosen.sum() > 10
        plots = store.table[chosen].drop(columns=["row", "col"])
        lost = cut_chips(folder / "archives" / f"imagery_{year}.tif", plots, 3, tmp_path / "c")
        assert lost.empty
        own = open_chips(tmp_path / "c")
        assert own.bands == store.bands
        assert own.chips.tobytes() == store.chips[chosen].tobytes()
        assert own.table["row"].tolist() == store.table["row"][chosen].tolist()


def test_plots_without_imagery_of_their_year_say_why(whole):
    rejected = pd.read_csv(whole.parent / "run" / "rejected.csv")
    assert rejected["reason"].value_counts().to_dict() == {
        "the nearest imagery is of 2021 and the plot of 2023, more than max_years (1) apart": 25,
        "no date, by which to choose one of the years of the imagery": 15,
    }
    assert set(rejected["stage"]) == {"chips"}


def test_chips_need_no_stack(tmp_path):
    config = archive_run.write(tmp_path)
    ended = spatioformer("chips", config)
    assert ended.code == 0, ended.err
    assert [line.split()[0] for line in ended.err.splitlines()] == [
        *("plots", "plots", "search", "search", "chips", "chips")
    ]
    assert ended.err.splitlines()[-1].startswith(
        "chips     110 chips of 3 pixels a side, 40 of another year than the plot's, 40 plots "
        "without a chip ("
    )
    assert not (tmp_path / "run" / "imagery.tif").exists()


def test_years_have_a_map_each_and_a_trend(whole):
    folder = whole.parent / "run"
    summary = json.loads((folder / "years" / "summary.json").read_text())
    assert summary["years"] == [2019, 2020, 2021]
    last, own = folder / "years" / "map_2021.tif", folder / "map.tif"
    with rasterio.open(last) as source, rasterio.open(own) as mapped:
        np.testing.assert_array_equal(source.read(1), mapped.read(1))
        assert source.tags()["YEAR"] == "2021"


def test_the_report_credits_the_collections(whole):
    page = " ".join((whole.parent / "run" / "report.html").read_text().split())
    for words in (
        "toy scenes, median of each year, 2019 to 2021; 12 items, 4 of the map&#39;s year. "
        "Licence: CC0-1.0. Scenes made by a test.",
        "70 of the same year as the plot; 40 with 1 year between",
        "2019 to 2021, in the folder years; of ",
    ):
        assert words in page, words


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("imagery.cache.gb=0.02", set()),
        ("imagery.year=2020", {"imagery", "map", "years", "report"}),
        ("imagery.sources.0.max_years=0", {"chips", "train", "evaluate", "map", "years", "report"}),
        ("imagery.sources.0.min_clear=1",
         {"imagery", "chips", "train", "evaluate", "map", "years", "report"}),
        ("imagery.sources.0.season=['01-01','08-01']",
         {"search", "imagery", "chips", "train", "evaluate", "map", "years", "report"}),
        ("map.samples=2", {"map", "years", "report"}),
        ("map.years=null", {"report"}),
        ("map.workers=1", set()),
    ],
)  # fmt: skip
def test_a_change_makes_again_what_depends_on_it(whole, change, stages):
    assert set(reasons(whole, change)) == stages


def test_a_search_is_not_repeated_and_refresh_says_what_changed(run):
    scenes = run.parent / "scenes"
    assert spatioformer("run", run, "--refresh").err.count("unchanged, kept") == 8
    # A scene of 2019 is withdrawn; the folder is another input, so the search runs by itself.
    for path in scenes.glob("toy_20190115_*"):
        path.unlink()
    ended = spatioformer("imagery", run)
    assert "  since the last search: toy, 2019: 1 gone\n" in ended.err
    assert reasons(run).keys() == {"chips", "train", "evaluate", "map", "years", "report"}
    # The composite of 2021 has the same items, so it is the same file.
    record = json.loads((run.parent / "run" / "archives" / "composites.json").read_text())
    assert record["imagery_2021.tif"]["facts"]["items"] == {"toy": 4}


def test_a_composite_is_read_once(run, monkeypatch):
    """A deleted stack is built again from its composite, not from the scenes."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("scenes are read")

    monkeypatch.setattr("spatioformer.archives.stack.SourceStack.read", refuse)
    (run.parent / "run" / "imagery.tif").unlink()
    assert spatioformer("imagery", run, "--quiet").code == 0


def test_refresh_and_stages_of_runs_without_sources_are_refused(tmp_path):
    config = landscape.write(tmp_path)
    for arguments in (("chips", config, "--refresh"), ("run", config, "--until", "search")):
        assert_refused(
            spatioformer(*arguments),
            "the run has no `imagery.sources`, and so no stage 'search'; give `imagery.sources`",
        )
    assert_refused(
        spatioformer("run", config, "--redo", "years"),
        "the run has no `map.years`, and so no stage 'years'; give `map.years`",
    )
    assert_refused(
        spatioformer("imagery", config, "--scheduler", "threads"),
        "the scheduler threads is for imagery of archives, and the configuration has no "
        "`imagery.sources`; leave --scheduler out (`map MODEL RASTER` takes one too)",
    )


def test_layers_beside_sources_come_first_and_masks_hold(tmp_path):
    """A static layer in other pixels, and a mask; chips are those of the whole stack."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(20, 3, (16, 16)).astype(np.float32)
    west, north, step = landscape.WEST, landscape.NORTH, 4 * landscape.STEP
    landscape.write_raster(
        tmp_path / "rain.tif", coarse,
        transform=rasterio.transform.from_origin(west, north, step, step),
    )  # fmt: skip
    classes = np.zeros((landscape.SIDE, landscape.SIDE), np.uint8)
    classes[:, :10] = 7
    landscape.write_raster(tmp_path / "land.tif", classes)
    settings = archive_run.settings(
        tmp_path,
        layers=[{"path": "rain.tif", "name": "rain"}],
        masks=[{"path": "land.tif", "name": "land", "exclude": [7]}],
        year=2020,
    )
    config = archive_run.write(tmp_path, settings)
    opened = Run(config)
    opened.stage("imagery")
    opened.stage("chips")
    with rasterio.open(tmp_path / "run" / "imagery.tif") as source:
        assert source.descriptions == ("rain", "toy_blue", "toy_green", "toy_red")
        wanted = source.dataset_mask() > 0
    assert not wanted[:, :10].any()
    assert wanted[:, 12:].mean() > 0.9
    store = open_chips(tmp_path / "run" / "chips")
    chosen = (store.table["composite_year"] == 2020).to_numpy()
    plots = store.table[chosen].drop(columns=["row", "col"])
    cut_chips(tmp_path / "run" / "imagery.tif", plots, 3, tmp_path / "c")
    assert open_chips(tmp_path / "c").chips.tobytes() == store.chips[chosen].tobytes()


def test_a_band_of_a_layer_and_of_a_source_cannot_share_a_name(tmp_path):
    layer = {"path": "image.tif", "name": "image", "band_names": ["toy_red", "b", "c"]}
    config = archive_run.write(tmp_path, archive_run.settings(tmp_path, layers=[layer]))
    landscape.write_raster(tmp_path / "image.tif", landscape.imagery())
    with pytest.raises(ImageryError, match="the band 'toy_red' is one of a layer and of a source"):
        Run(config).stage("chips")


def test_a_damaged_answer_is_searched_again(run):
    path = run.parent / "run" / "archives" / "items.json"
    content = path.read_bytes()
    path.write_text("{}")
    ended = spatioformer("run", run, "--until", "search")
    assert ended.code == 0
    assert "archives/items.json is damaged or was changed" in ended.err
    assert path.read_bytes() == content


def test_a_year_without_items_that_a_map_needs_is_refused(tmp_path):
    settings = archive_run.settings(tmp_path, sources=[archive_run.source(years=[2019, 2022])])
    config = archive_run.write(tmp_path, settings)
    with pytest.raises(ImageryError, match=r"has no item of toy in .* from 2022-01-01 to 2022-12"):
        Run(config).stage("search")
    Run(config, ["imagery.year=2021"]).stage("search")
    answer = json.loads((tmp_path / "run" / "archives" / "items.json").read_text())
    assert answer["items"]["toy"]["2022"] == []


def test_an_item_that_cannot_be_read_is_left_out_and_named(tmp_path):
    settings = archive_run.settings(tmp_path, sources=[archive_run.source(on_error="skip")])
    config = archive_run.write(tmp_path, settings)
    damaged = tmp_path / "scenes" / "toy_20200420_red.tif"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    ended = spatioformer("chips", config)
    assert ended.code == 0, ended.err
    assert "  left out toy_20200420: " in ended.err
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    [(name, reason)] = provenance["left_out_of_chips"]["toy"].items()
    assert name == "toy_20200420"
    assert "toy_20200420_red.tif" in reason
    chips = open_chips(tmp_path / "run" / "chips").chips.copy()
    # The same as without that scene.
    for path in (tmp_path / "scenes").glob("toy_20200420_*"):
        path.unlink()
    Run(config).stage("chips")
    assert open_chips(tmp_path / "run" / "chips").chips.tobytes() == chips.tobytes()
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert "left_out_of_chips" not in provenance
    # With `on_error: stop` the run ends.
    damaged.write_bytes(content[: len(content) // 2])
    for band in ("blue", "green", "scl"):
        shutil.copy(tmp_path / "scenes" / f"toy_20200710_{band}.tif",
                    tmp_path / "scenes" / f"toy_20200420_{band}.tif")  # fmt: skip
    with pytest.raises(ImageryError, match="toy_20200420_red"):
        Run(config, ["imagery.sources.0.on_error=stop"]).stage("chips")


def test_imagery_build_writes_years_for_any_model(whole, tmp_path):
    out = tmp_path / "built"
    zarr = pytest.importorskip("zarr")
    ended = spatioformer("imagery", "build", whole, "-o", out, "--years", "2019-2020", "--zarr")
    assert ended.code == 0, ended.err
    table = pd.read_csv(out / "years.csv")
    assert table.to_dict("list") == {
        "year": [2019, 2020], "path": ["imagery_2019.tif", "imagery_2020.tif"]
    }  # fmt: skip
    archives = whole.parent / "run" / "archives"
    for year in (2019, 2020):
        with rasterio.open(out / f"imagery_{year}.tif") as source:
            with rasterio.open(archives / f"imagery_{year}.tif") as own:
                np.testing.assert_array_equal(source.read(), own.read())
            group = zarr.open_group(out / f"imagery_{year}.zarr", mode="r")
            for band, name in enumerate(source.descriptions, start=1):
                np.testing.assert_array_equal(group[name][:], source.read(band))
    assert_refused(
        spatioformer("imagery", "build", whole, "-o", out, "--scheduler", "dask", "-q"),
        "the scheduler 'dask' is unknown; give threads, processes, or an address such as "
        "tcp://127.0.0.1:8786",
    )
    assert_refused(
        spatioformer("imagery", "build", whole, "-o", out, "--years", "2018", "-q"),
        "the sources have no year 2018, but 2019 to 2021; give some of these",
    )
    assert_refused(
        spatioformer("imagery", "build", whole, "-o", out, "--years", "2020-2019", "-q"),
        "--years '2020-2019' are no years; give 2015-2023, or 2015,2018,2023",
    )


def test_a_run_computes_its_composites_on_a_cluster(whole, tmp_path):
    distributed = pytest.importorskip("distributed")
    config = archive_run.write(tmp_path, archive_run.settings(tmp_path))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        folder = Run(config, scheduler=address).stage("imagery")
    own = whole.parent / "run" / "archives"
    for path in sorted((folder / "archives").glob("imagery_*.tif")):
        assert path.read_bytes() == (own / path.name).read_bytes()
    assert_refused(
        spatioformer("imagery", whole, "--scheduler", "dask", "-q"),
        "the scheduler 'dask' is unknown; give threads, processes, or an address such as "
        "tcp://127.0.0.1:8786",
    )


def test_knndm_needs_the_stack(tmp_path):
    settings = archive_run.settings(tmp_path)
    settings["evaluate"]["splits"] = [{"name": "far", "kind": "knndm", "folds": 2}]
    opened = Run(archive_run.write(tmp_path, settings))
    assert opened.stages["evaluate"].needs == ("chips", "imagery")
    assert opened.stages["chips"].needs == ("plots",)
    settings["map"]["model"] = "spatioformer-distilled"
    opened = Run(archive_run.write(tmp_path, settings))
    assert opened.stages["chips"].needs == ("plots", "imagery")


def test_a_configuration_without_sources_builds_no_years(tmp_path):
    config = load_config(landscape.write(tmp_path))
    with pytest.raises(ConfigError, match=r"has no `imagery.sources`"):
        build_years(config, tmp_path / "x")
