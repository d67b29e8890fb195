"""What is wrong with sources, found without a network; the grid of sources; and `check`."""

from typing import Any

import numpy as np
import pytest
import yaml

from spatioformer.config.file import build_config
from spatioformer.run.check import problems_of
from spatioformer.run.sources import grid_of_sources, utm_grid
from spatioformer.run.stages import stages_of
from tests.helpers import archive_run
from tests.helpers.tiny_run import spatioformer


def problems(folder, settings: dict[str, Any]) -> dict[str, list[str]]:
    """Problems by key."""
    archive_run.write(folder, settings)
    config = build_config(settings, "here", folder)
    found: dict[str, list[str]] = {}
    for key, error in problems_of(config, list(stages_of(config)), folder):
        found.setdefault(key, []).append(str(error))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


def test_a_good_configuration_has_none(folder):
    assert problems(folder, archive_run.settings(folder)) == {}


ROWS = [
    ({"collection": "toyy"},
     "source toy: the collection 'toyy' is not known; did you mean toy? Rows of your own belong in "
     "a file that `imagery.collections` names"),
    ({"years": [2018, 2023]},
     "source toy: toy has the years 2019 to 2022, and `years` holds 2018, 2023; correct `years`"),
    ({"bands": ["blu"]}, "source toy: toy has no band blu; did you mean blue"),
    ({"spoils": ["clouds"]},
     "source toy: `spoils` names the class 'clouds', and toy has clear, cloud, no_data"),
    ({"composite": "none"},
     "source toy: toy has many scenes a year, of which `composite: none` makes no image; choose "
     "geomedian, median, mean or percentiles"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), ROWS)
def test_each_mistake_has_its_key(folder, change, sentence):
    settings = archive_run.settings(folder, sources=[archive_run.source(**change)])
    settings["plots"]["max_rejected"] = 1
    assert problems(folder, settings) == {"imagery.sources.0": [sentence]}


def test_a_path_that_does_not_exist(folder):
    settings = archive_run.settings(folder, sources=[archive_run.source(endpoint="none")])
    assert problems(folder, settings) == {
        "imagery.sources.0": [f"source toy: {folder / 'none'} does not exist; correct `endpoint`"]
    }


def test_what_a_yearly_collection_does_not_have(folder):
    row = {k: v for k, v in archive_run.ROWS["toy"].items() if k != "masks"}
    (folder / "yearly.yaml").write_text(yaml.safe_dump({"yearly": row | {"kind": "annual"}}))
    source = archive_run.source(
        collection="yearly", composite="geomedian", deviations=True, count=True,
        season=["01-01", "06-30"],
    )  # fmt: skip
    settings = archive_run.settings(folder, sources=[source], collections="yearly.yaml")
    found = problems(folder, settings)["imagery.sources.0"]
    assert [text.partition(" has one image a year, so ")[2] for text in found] == [
        "there is nothing to composite; leave `composite: geomedian` out",
        "`season` means nothing; leave it out",
        "`deviations` means nothing; leave it out",
        "`count` means nothing; leave it out",
    ]


def test_plots_without_imagery_of_their_year_are_counted_before_any_work(folder):
    settings = archive_run.settings(folder)
    settings["plots"]["max_rejected"] = 0.2
    (found,) = problems(folder, settings)["imagery.sources"]
    assert found == (
        "40 of 150 plots have no imagery of their year (most often: the nearest imagery is of 2021 "
        "and the plot of 2023, more than max_years (1) apart), so 27% of the rows would be "
        "rejected, more than the 20% of plots.max_rejected; give more years, raise `max_years`, or "
        "raise that limit"
    )
    del settings["plots"]["columns"]["date"]
    settings["plots"]["max_rejected"] = 1
    (found,) = problems(folder, settings)["imagery.sources"]
    assert found == (
        "none of the 150 plots has imagery of its year, which is of 2019 to 2021 (first: no date, "
        "by which to choose one of the years of the imagery); give `years` that hold the plots' "
        "dates, raise `max_years`, or name the column of the dates in `plots.columns.date`"
    )


def test_two_years_make_no_trend(folder):
    settings = archive_run.settings(folder)
    settings["map"]["years"] = [2019, 2020]
    assert problems(folder, settings) == {
        "map.years": [
            "a trend needs 3 to 50 years and `map.years` has 2; give that many, or leave it out "
            "and choose `imagery.year`"
        ]
    }


def test_a_disk_too_small_for_the_cache(folder):
    source = archive_run.source(endpoint="https://example.org/stac", kind="stac-api")
    settings = archive_run.settings(folder, sources=[source], cache={"path": "c", "gb": 1e9})
    (found,) = problems(folder, settings)["imagery.cache"]
    assert found.startswith(f"imagery.sources[0]: the cache {folder / 'c'} may take 1e+09 GB")


def test_check_shows_the_sources(folder):
    config = archive_run.write(folder, archive_run.settings(folder))
    ended = spatioformer("check", config)
    assert ended.code == 0, ended.err
    text = " ".join((ended.out + ended.err).split())
    assert "toy scenes; 3 bands a year, 2019 to 2021, median; licence CC0-1.0" in text
    assert "110 of 150" in text
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ((144, 149, -40, -36), 32755),
        ((8, 12, 47, 50), 32632),
        ((178, -178, -19, -15), 32701),
        ((-180, -175, 60, 62), 32601),
        ((174, 180, -40, -38), 32760),
    ],
)
def test_a_region_alone_gets_a_grid_in_its_utm_zone(region, code):
    grid = utm_grid(region, 30)
    assert grid.crs.to_epsg() == code
    assert (grid.transform.a, grid.transform.e) == (30, -30)
    assert np.mod(grid.bounds, 30).tolist() == [0, 0, 0, 0]
    # It holds the region, and little beyond.
    west, east, south, north = region
    width = (east - west) % 360
    lon, lat = np.meshgrid(west + np.linspace(0, width, 9), np.linspace(south, north, 9))
    rows, cols = grid.pixel((lon + 180) % 360 - 180, lat)
    edge = 1  # a corner may lie on the edge itself
    assert rows.min() >= -edge
    assert cols.min() >= -edge
    assert rows.max() < grid.height + edge
    assert cols.max() < grid.width + edge
    own = grid.region
    assert (own[1] - own[0]) % 360 < width * 1.25


def test_a_region_beyond_the_zones_needs_a_grid(folder):
    settings = archive_run.settings(folder, region=[10, 15, 80, 86])
    del settings["imagery"]["grid"]
    assert problems(folder, settings) == {
        "imagery.region": [
            "imagery.region reaches to 86 degrees, and UTM ends at 84; choose a CRS for it and a "
            'resolution, for example grid: {crs: "EPSG:3577", resolution: 30}'
        ]
    }


def test_a_grid_of_its_own_may_cross_the_antimeridian(folder):
    settings = archive_run.settings(
        folder, region=[177, -178, -19, -16], grid={"crs": "EPSG:3832", "resolution": 1000}
    )
    archive_run.write(folder, settings)
    grid = grid_of_sources(build_config(settings, "here", folder).imagery)
    west, east, south, north = grid.region
    assert (round(west, 1), round(east, 1)) == (177, -178)
    assert south == pytest.approx(-19, abs=0.1)
    assert north == pytest.approx(-16, abs=0.1)
    assert 400 < grid.width < 600
