"""`imagery search`: what it lists, as tables and as JSON, and how it ends."""

import dataclasses
import io
import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from pyproj import Transformer
from rich.console import Console as RichConsole

from spatioformer.archives.items import Item
from spatioformer.cli import main
from spatioformer.config.file import load_config
from spatioformer.run.imagery_listing import pixels_of, print_listings, size_of
from spatioformer.run.imagery_search import list_sources, tile_of
from tests.helpers.catalogues import scene, stac_api

REGION = [15.0, 15.2, 41.4, 41.6]


def landsat(day, row, cloud, processed="20220101"):
    stamp = day.replace("-", "")
    place = {"landsat:wrs_path": "190", "landsat:wrs_row": f"{row:03d}"}
    return scene(f"LC08_L2SP_190{row:03d}_{stamp}_{processed}_02_T1", day, (14, 41, 16, 42),
                 cloud=cloud, **place)  # fmt: skip


ITEMS = [
    landsat("2019-05-01", 30, 10),
    landsat("2019-06-01", 31, 40),
    landsat("2019-07-01", 31, 95),
    landsat("2020-05-01", 30, 20),
    landsat("2020-05-01", 30, 20, "20230101"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with stac_api(ITEMS, tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
def config(api, tmp_path):
    """A configuration with two sources and nine plots, three without a date."""
    back = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lon, lat = back.transform(500_000 + 30.0 * np.arange(9) * 60, np.full(9, 4_600_000 - 100))
    rows = [
        f"p{i},{x:.6f},{y:.6f},{5 + i},{'2019-05-05' if i < 4 else '2020-05-05' if i < 6 else ''}"
        for i, (x, y) in enumerate(zip(lon, lat, strict=True))
    ]
    (tmp_path / "plots.csv").write_text("\n".join(["plot_id,lon,lat,richness,date", *rows]))
    path = tmp_path / "run.yaml"
    path.write_text(f"""
plots: {{path: plots.csv}}
imagery:
  region: {REGION}
  grid: {{crs: "EPSG:32633", resolution: 30}}
  cache: {{path: {tmp_path}/cache}}
  sources:
  - name: landsat
    collection: landsat-c2-l2
    endpoint: "{api}"
    hosts: [127.0.0.1]
    years: [2019, 2020]
    max_cloud: 0.8
    bands: [red, nir]
""")
    return path


def test_numbers(config):
    [listing] = list_sources(load_config(config))
    assert listing.bands == ("red", "nir")
    first, second = listing.years
    assert (first.year, first.items, first.tiles, first.cloudy) == (2019, 2, 2, 1)
    assert (first.first, first.last) == ("2019-05-01", "2019-06-01")
    assert first.cloud == pytest.approx(0.25)
    assert (second.items, second.older, second.plots, first.plots) == (1, 1, 2, 4)
    # Two bands, two quality bands: a share of 1,200 x 1,000 pixels of two bytes each.
    assert first.megapixels == pytest.approx(2 * second.megapixels)
    assert first.bytes == pytest.approx(2e6 * first.megapixels)
    # 16.7 km of the region lie in the file, 557 x 557 pixels.
    assert second.megapixels == pytest.approx(4 * 557**2 / 1e6, rel=0.02)
    # Plots 60 pixels apart: four in one block of 512 pixels, of four files of two dates.
    assert first.plot_megapixels == pytest.approx(2 * 4 * 512**2 / 1e6)
    assert not first.exact


@pytest.mark.parametrize(
    ("name", "tile"),
    [
        ("S2B_55GEN_20190105_0_L2A", "55GEN"),
        ("S2A_MSIL2A_20190105T001111_N0211_R073_T55GEN_20201008T090909", "55GEN"),
        ("HLS.S30.T55GEN.2019005T001111.v2.0", "55GEN"),
        ("LC08_L2SP_190030_20190501_20220101_02_T1", "190030"),
        ("mosaic_2019", (14.0, 41.0, 16.0, 42.0)),
    ],
)
def test_a_tile_is_known_by_its_name_where_there_is_no_code(name, tile):
    start = datetime(2019, 1, 5, tzinfo=UTC)
    assert tile_of(Item(name, "any", start, start, (14.02, 41, 16.01, 42), {})) == tile


def test_tables(config):
    console = RichConsole(width=80, record=True, highlight=False, file=io.StringIO())
    print_listings(list_sources(load_config(config)), console)
    text = console.export_text()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("landsat: Landsat Collection 2 Level 2 (Landsat 4, 5, 7, 8, 9)")
    assert any(line.startswith("2019 2 05-01 to 06-01 2 25% ") for line in lines)
    assert any(line.startswith("2020 1 05-01 to 05-01 1 20% ") for line in lines)
    assert any(line.startswith("all 3 ") for line in lines)
    assert (
        "left out: 1 older processings of the same scenes, 1 items with more cloud than "
        "max_cloud" in " ".join(lines)
    )
    assert "to be shown with results: Landsat Level-2 data courtesy of the U.S." in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_command(config, capsys):
    with pytest.raises(SystemExit) as ending:
        main(["imagery", "search", str(config), "--json", "--quiet"])
    assert ending.value.code == 0
    printed = capsys.readouterr()
    [listing] = json.loads(printed.out)
    assert [year["items"] for year in listing["years"]] == [2, 1]
    assert printed.err == ""
    with pytest.raises(SystemExit) as ending:
        main(["imagery", "search", str(config), "--json", "--quiet", "--offline"])
    assert json.loads(capsys.readouterr().out) == [listing]


def test_an_empty_year_ends_with_a_sentence(config, capsys):
    with pytest.raises(SystemExit) as ending:
        main(["imagery", "search", str(config), "-q", "--set", "imagery.sources.0.years=[2021]"])
    assert ending.value.code == 2
    printed = capsys.readouterr()
    assert " none " in printed.out
    assert printed.err.count("\n") == 1
    # The region is that of the grid, which holds the configuration's.
    assert re.search(r"no item of landsat-c2-l2 in \[15, 15\.2\d*, 41\.\d+, 41\.6\d*\] from "
                     "2021-01-01", printed.err)  # fmt: skip
    assert "the nearest dates there are 2020-05-01" in printed.err


def test_unverified_endpoints_say_so(config):
    [listing] = list_sources(load_config(config))
    console = RichConsole(width=100, record=True, file=io.StringIO())
    unverified = dataclasses.replace(listing, verified=False, note="a login")
    print_listings([unverified], console)
    text = console.export_text()
    assert "(not verified: never opened by the authors)" in text
    assert "note: a login" in text


def test_without_sources(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("plots: {path: plots.csv}\n")
    with pytest.raises(SystemExit) as ending:
        main(["imagery", "search", str(tmp_path / "run.yaml")])
    assert ending.value.code == 2
    assert "has no `imagery.sources`, so there is nothing to search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "cell"),
    [(0.04, "0.0 Mpx"), (9.96, "10.0 Mpx"), (150, "150 Mpx"), (1500, "1.5 Gpx"), (2e5, "200 Gpx")],
)
def test_cells_of_pixels(number, cell):
    assert pixels_of(number) == cell


@pytest.mark.parametrize(
    ("number", "cell"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123e6, "123 MB"), (1.5e9, "1.5 GB")],
)
def test_cells_of_sizes(number, cell):
    assert size_of(number) == cell
