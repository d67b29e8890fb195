"""Plot intake: formats, encodings, the table and its round trip; all on files made here."""

import gzip
import json
import math
from functools import partial

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import OutputError, PlotError
from spatioformer.geo.plots import checks as plot_checks
from spatioformer.geo.plots.table import (
    TABLE_DTYPES,
    TooManyRejected,
    read_plots,
    read_table,
    write_plots,
    write_rejected,
)
from tests.helpers.plot_tables import ALL, GOOD, PLACES, put

GEO = {name: column for name, column in ALL.items() if name not in ("lon", "lat")}


@pytest.fixture
def plots_file(tmp_path):
    return partial(put, tmp_path)


@pytest.fixture
def frame():
    """The plots of GOOD as a GeoDataFrame with typed columns."""
    return geopandas.GeoDataFrame(
        {
            "plot": ["A", "B", "C"],
            "n": [12, 0, 7],
            "area": [400.0, np.nan, 1e4],
            "day": pd.to_datetime(["2014-05-03", "1990-01-01", None]),
            "by": ["TERN", None, "TERN"],
        },
        geometry=geopandas.points_from_xy([141.5, 142.25, 141.5], [-31.5, -32.0, -31.5]),
        crs="EPSG:4326",
    )


def check_good(intake, first_line=2):
    """The three plots of GOOD, value by value."""
    table = intake.table
    assert list(table.columns) == [*TABLE_DTYPES, "geometry"]
    assert {name: str(table[name].dtype) for name in TABLE_DTYPES} == TABLE_DTYPES
    assert table["plot_id"].tolist() == ["A", "B", "C"]
    assert table["lon"].tolist() == [141.5, 142.25, 141.5]
    assert table["lat"].tolist() == [-31.5, -32.0, -31.5]
    assert table["richness"].tolist() == [12.0, 0.0, 7.0]
    assert table["area_m2"].fillna(-1).tolist() == [400.0, -1.0, 10000.0]
    assert table["date"].astype(str).tolist()[:2] == ["2014-05-03", "1990-01-01"]
    assert table["date"].isna().tolist() == [False, False, True]
    assert table["programme"].tolist() == ["TERN", "", "TERN"]
    assert table["location"].tolist() == [0, 1, 0]
    assert table["source_line"].tolist() == [first_line, first_line + 1, first_line + 2]
    assert table.crs.to_epsg() == 4326
    assert table.geometry.x.tolist() == table["lon"].tolist()
    assert table.geometry.y.tolist() == table["lat"].tolist()
    assert intake.rejected.empty


def test_csv(plots_file):
    check_good(read_plots(plots_file(GOOD), columns=ALL))


@pytest.mark.parametrize(
    ("name", "separator", "given"),
    [
        ("plots.tsv", "\t", None),
        ("plots.txt", "\t", None),
        ("plots.csv", ";", ";"),
        ("plots.csv", "|", "|"),
        ("plots.dat", ",", ","),
        ("plots.csv", "\t", "\\t"),
        ("plots.csv", "\t", "Tab"),
        ("plots.csv", ";", "semicolon"),
    ],
)
def test_separators(plots_file, name, separator, given):
    path = plots_file(GOOD.replace(",", separator), name)
    check_good(read_plots(path, columns=ALL, separator=given))


@pytest.mark.parametrize("name", ["plots.csv.gz", "plots.csv"])
def test_gzip_is_known_by_its_content(plots_file, name):
    check_good(read_plots(plots_file(gzip.compress(GOOD.encode()), name), columns=ALL))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        "\ufeff\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace(",", " , "),
        "\n".join('"' + line.replace(",", '","') + '"' for line in GOOD.splitlines()),
        GOOD.replace("\n", ",,\n"),
    ],
    ids=["bom", "two-boms", "crlf", "bom-crlf", "cr", "spaces", "quoted", "trailing-separators"],
)
def test_ways_to_write_the_same_csv(plots_file, text):
    check_good(read_plots(plots_file(text), columns=ALL))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_texts_with_a_byte_order_mark(plots_file, encoding):
    check_good(read_plots(plots_file(GOOD, encoding=encoding), columns=ALL))


def test_lines_are_those_of_an_editor(plots_file):
    text = (
        "\n"
        "plot,lon,lat,n,note\n"
        'A,1,2,3,"two\nlines"\n'
        "\n"
        ",,,,\n"
        'B,1,2,x,"a ""quoted"" word, with a comma"\n'
        "C,1,2,3,\n"
    )
    columns = PLACES | {"plot_id": "plot"}
    intake = read_plots(plots_file(text), columns=columns, max_rejected=0.5)
    assert intake.table["source_line"].tolist() == [3, 8]
    assert intake.rejected["source_line"].tolist() == [7]
    assert text.splitlines()[7 - 1].startswith("B,")


def test_latin1_is_read_and_noted(plots_file):
    text = "plot,lon,lat,n\nCataluña – été,1,2,3\n"
    intake = read_plots(plots_file(text, encoding="cp1252"), columns=PLACES | {"plot_id": "plot"})
    assert intake.table["plot_id"].tolist() == ["Cataluña – été"]
    assert intake.summary["notes"] == [
        "plots.csv is not UTF-8 and was read as Windows-1252 (latin-1)"
    ]
    utf8 = read_plots(plots_file(text), columns=PLACES | {"plot_id": "plot"})
    assert utf8.table["plot_id"].tolist() == ["Cataluña – été"]
    assert utf8.summary["notes"] == []


def test_geoparquet(tmp_path, frame):
    frame.to_parquet(tmp_path / "plots.parquet")
    check_good(read_plots(tmp_path / "plots.parquet", columns=GEO), first_line=1)


def test_geometry_goes_before_mapped_coordinates_and_brings_its_crs(tmp_path, frame):
    frame.to_crs(3577).to_parquet(tmp_path / "plots.parquet")
    table = read_plots(tmp_path / "plots.parquet", columns=ALL, crs="EPSG:32717").table
    assert table["lon"].to_numpy() == pytest.approx([141.5, 142.25, 141.5], abs=1e-9)
    assert table["lat"].to_numpy() == pytest.approx([-31.5, -32.0, -31.5], abs=1e-9)


def test_parquet_without_geometry_and_with_an_index(tmp_path, frame):
    plain = pd.DataFrame(frame.drop(columns="geometry"))
    plain["lon"], plain["lat"] = frame.geometry.x, frame.geometry.y
    plain.set_index("plot").to_parquet(tmp_path / "plots.parquet")
    check_good(read_plots(tmp_path / "plots.parquet", columns=ALL), first_line=1)


def test_geopackage_and_its_layers(tmp_path, frame):
    path = tmp_path / "plots.gpkg"
    frame.to_file(path, layer="plots")
    check_good(read_plots(path, columns=GEO), first_line=1)
    frame.iloc[:1].to_file(path, layer="other")
    check_good(read_plots(path, columns=GEO, layer="plots"), first_line=1)
    with pytest.raises(PlotError, match=r"has 2 layers; set layer to one of 'plots', 'other'$"):
        read_plots(path, columns=GEO)
    with pytest.raises(PlotError, match=r"has no layer 'plot'; set layer to one of 'plots'"):
        read_plots(path, columns=GEO, layer="plot")


def test_geometries_that_are_no_points(tmp_path, frame):
    path = tmp_path / "plots.parquet"
    mixed = frame.copy()
    mixed.geometry = [
        shapely.MultiPoint([(1, 2)]),
        shapely.Point(1, 2).buffer(1),
        None,
    ]
    mixed.to_parquet(path)
    intake = read_plots(path, columns=GEO, max_rejected=0.7)
    assert intake.table[["lon", "lat"]].to_numpy().tolist() == [[1.0, 2.0]]
    assert intake.rejected["reason"].tolist() == [
        "lon 'Polygon' is not a number",
        "lon is missing",
    ]
    frame.geometry = shapely.buffer(frame.geometry.to_numpy(), 1)
    frame.to_parquet(path)
    with pytest.raises(PlotError, match=r"are Polygons; a plot is a point, so write their centr"):
        read_plots(path, columns=GEO)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_geometry_without_crs(tmp_path, frame):
    frame.set_crs(None, allow_override=True).to_parquet(tmp_path / "plots.parquet")
    with pytest.raises(PlotError, match=r"the geometry of plots\.parquet has no CRS; write"):
        read_plots(tmp_path / "plots.parquet", columns=GEO)


def test_projected_coordinates_against_the_formula_of_web_mercator(plots_file):
    # EPSG:3857 (Snyder 1987, eq. 7-1 and 7-2 with a sphere): x = R lon, y = R ln tan(pi/4 + lat/2)
    lon, lat, radius = 141.5, -31.5, 6378137.0
    x = radius * math.radians(lon)
    y = radius * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))
    table = read_plots(
        plots_file(f"e,n,s\n{x!r},{y!r},4\n"),
        columns={"lon": "e", "lat": "n", "richness": "s"},
        crs="EPSG:3857",
    ).table
    assert table["lon"][0] == pytest.approx(lon, abs=1e-9)
    assert table["lat"][0] == pytest.approx(lat, abs=1e-9)


def test_projection_test_notices_exchanged_axes(plots_file, monkeypatch):
    true = plot_checks._to_degrees
    monkeypatch.setattr(plot_checks, "_to_degrees", lambda x, y, crs: true(x, y, crs)[::-1])
    with pytest.raises((AssertionError, PlotError)):
        test_projected_coordinates_against_the_formula_of_web_mercator(plots_file)


def test_degrees_come_through_untouched(plots_file):
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 50), rng.uniform(-90, 90, 50)
    rows = "".join(f"{a!r},{b!r},1\n" for a, b in zip(lon.tolist(), lat.tolist(), strict=True))
    table = read_plots(plots_file("lon,lat,n\n" + rows), columns=PLACES).table
    assert table["lon"].tolist() == lon.tolist()
    assert table["lat"].tolist() == lat.tolist()


def test_plot_ids_are_made_and_made_unique(plots_file):
    text = "plot,lon,lat,n\nA,1,2,3\n,1,2,3\nA,1,2,4\nA-2,1,2,3\nA,1,2,5\nNA,1,2,6\n"
    intake = read_plots(plots_file(text), columns=PLACES | {"plot_id": "plot"})
    assert intake.table["plot_id"].tolist() == ["A", "line-3", "A-3", "A-2", "A-4", "line-7"]
    assert intake.summary["notes"] == [
        "2 plots without plot_id are named by their source line",
        "2 repeats of a plot_id were given a suffix (-2, -3, ...)",
    ]


def test_summary(plots_file):
    text = GOOD + "D,0,0,5,,,\nE,1,2,x,,,\nF,1,2,-4,,,\nG,1,2,y,,,\n"
    summary = read_plots(plots_file(text), columns=ALL, max_rejected=0.6).summary
    assert json.loads(json.dumps(summary)) == summary
    assert summary == {
        "source_file": "plots.csv",
        "read": 7,
        "kept": 3,
        "rejected": 4,
        "rejected_by_kind": {
            "text for numbers": 2,
            "coordinates (0, 0)": 1,
            "negative richness": 1,
        },
        "locations": 2,
        "repeated_locations": 1,
        "plots_sharing_a_location": 2,
        "bounds": [141.5, 142.25, -32.0, -31.5],
        "richness": {"known": 3, "min": 0.0, "median": 7.0, "max": 12.0},
        "area_m2": {"known": 2, "min": 400.0, "median": 5200.0, "max": 10000.0},
        "dates": {"known": 2, "first": "1990-01-01", "last": "2014-05-03"},
        "programmes": {"TERN": 2},
        "target_kind": "count",
        "notes": [],
    }


def test_round_trip(plots_file, tmp_path):
    text = GOOD + 'D,"1\n2",2,"a, ""b""",,,\n'
    intake = read_plots(plots_file(text), columns=ALL, max_rejected=0.5)
    write_plots(intake, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "plots.parquet",
        "rejected.csv",
    ]
    again = read_table(tmp_path / "run" / "plots.parquet")
    pd.testing.assert_frame_equal(again, intake.table)
    rejected = pd.read_csv(tmp_path / "run" / "rejected.csv", dtype="str", keep_default_na=False)
    assert rejected.to_dict("records") == [
        {
            "source_file": "plots.csv",
            "source_line": "5",
            "plot_id": "D",
            "reason": "lon '1\\n2' is not a number",
            "stage": "plots",
            "lon": "1\n2",
            "lat": "2",
            "richness": 'a, "b"',
        }
    ]
    first = (tmp_path / "run" / "plots.parquet").read_bytes()
    write_plots(intake, tmp_path / "run")
    assert (tmp_path / "run" / "plots.parquet").read_bytes() == first


def test_writing_without_rejects_gives_a_header(plots_file, tmp_path):
    write_plots(read_plots(plots_file(GOOD), columns=ALL), tmp_path / "run")
    assert (tmp_path / "run" / "rejected.csv").read_text() == (
        "source_file,source_line,plot_id,reason,stage,lon,lat,richness\n"
    )


def test_writing_where_a_file_stands(plots_file, tmp_path):
    intake = read_plots(plots_file(GOOD), columns=ALL)
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match="choose a folder you can write to"):
        write_plots(intake, tmp_path / "run")


def test_read_table_refuses_what_is_none(plots_file, tmp_path, frame):
    path = tmp_path / "plots.parquet"
    with pytest.raises(PlotError, match=r"there is no plot table .*; run the plots stage first"):
        read_table(path)
    path.write_bytes(b"junk")
    with pytest.raises(PlotError, match=r"is not a readable plot table; run the plots stage again"):
        read_table(path)
    frame.to_parquet(path)
    with pytest.raises(PlotError, match=r"is not a plot table: its columns are plot, n, area"):
        read_table(path)
    table = read_plots(plots_file(GOOD), columns=ALL).table
    for damaged, problem in [
        (table.astype({"richness": "int64"}), "column richness is int64, not float64"),
        (table.to_crs(3857), "its CRS is WGS 84 / Pseudo-Mercator, not EPSG:4326"),
        (table.assign(lat=[1.0, 2.0, 91.0]), "a coordinate is out of range"),
        (table.assign(lon=[1.0, 2.0, np.nan]), "a coordinate is out of range"),
        (table.assign(richness=[1.0, -2.0, 3.0]), "a richness is negative or missing"),
        (table.assign(plot_id=["A", "B", "A"]), "a plot_id is repeated"),
    ]:
        damaged.to_parquet(path)
        with pytest.raises(PlotError, match=problem):
            read_table(path)


def test_too_many_rejected_carries_the_rows(plots_file, tmp_path):
    path = plots_file(GOOD + "D,-31.5,141.5,4,,,\n")
    with pytest.raises(TooManyRejected) as caught:
        read_plots(path, columns=ALL, max_rejected=0.2)
    assert str(caught.value) == (
        "plots.csv loses 1 of 4 rows (25%), more than max_rejected = 0.2 allows, most often to "
        "swapped coordinates (1), first on line 5 (lon '-31.5', lat '141.5' look swapped); "
        "exchange columns.lon and columns.lat, or raise max_rejected"
    )
    assert caught.value.rejected["source_line"].tolist() == [5]
    write_rejected(caught.value.rejected, tmp_path / "run")
    assert "look swapped" in (tmp_path / "run" / "rejected.csv").read_text()
    assert len(read_plots(path, columns=ALL, max_rejected=0.25).table) == 3


def test_no_plot_left(plots_file):
    with pytest.raises(TooManyRejected) as caught:
        read_plots(plots_file("lon,lat,n\n0,0,3\n0,0,4\n"), columns=PLACES, max_rejected=1.0)
    assert str(caught.value) == (
        "plots.csv loses 2 of 2 rows (100%), all it has, most often to coordinates (0, 0) (2), "
        "first on line 2 (lon '0', lat '0' is the point (0, 0), a placeholder); replace the "
        "placeholder coordinates"
    )


junk = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from('\n\r",;\t'))
cell = junk | st.sampled_from(
    ["1", "-5", "0", "91", "1e9", "nan", "inf", "2014-13-01", "A", "12,5"]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(cell, min_size=6, max_size=8), max_size=6))
def test_nothing_vanishes_whatever_the_cells(plots_file, rows):
    rows = [*rows, ["good", "3.5", "4.5", "7", "100", "2001", "us"]]
    text = "plot,lon,lat,n,area,day,by\n" + "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows
    )
    intake = read_plots(plots_file(text), columns=ALL, max_rejected=1.0)
    blank = sum(not "".join(row).strip() for row in rows)
    assert intake.summary["read"] == len(rows) - blank
    assert len(intake.table) + len(intake.rejected) == intake.summary["read"]
    lines = [*intake.table["source_line"], *intake.rejected["source_line"]]
    assert len(set(lines)) == len(lines)
    assert intake.table["plot_id"].is_unique
    assert "good" in set(intake.table["plot_id"].str.replace(r"-\d+$", "", regex=True))
    assert (intake.table[["lon", "lat"]].abs() <= [180, 90]).to_numpy().all()
    assert (intake.table["richness"] % 1 == 0).all()
    assert not (intake.table["area_m2"] <= 0).any()
    assert (intake.rejected["reason"] != "").all()
    assert sum(intake.summary["rejected_by_kind"].values()) == len(intake.rejected)
