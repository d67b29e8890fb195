"""What the rows of a table mean: files that other tools misread, read rightly or refused."""

import re

import geopandas
import pandas as pd
import pytest
import shapely

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import text as text_files
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import PLACES, put

NAMED = PLACES | {"plot_id": "id"}


def refusal(path, columns=NAMED, **options) -> str:
    with pytest.raises(PlotError) as caught:
        read_plots(path, columns=columns, max_rejected=1.0, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 600
    return message


def rows(path, columns=NAMED, **options) -> list[list]:
    """lon, lat, richness of the plots that are kept; all rows must be kept."""
    intake = read_plots(path, columns=columns, **options)
    assert intake.rejected.empty
    return intake.table[["lon", "lat", "richness"]].to_numpy().tolist()


JOINED = (
    "quotation marks join lines {} to {} of plots.csv into one row, though each looks like a row "
    "of its own; remove the stray quotation marks, or the line breaks inside quoted text"
)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ('id,lon,lat,n,by\nA,1,2,3,"hut\nB,1,2,4,x\nC,1,2,5,mill"\nD,1,2,6,\n', 2, 4),
        ('id,lon,lat,n,by\nA,1,2,3,"hut\nB,1,2,4,mill"\nD,1,2,6,\n', 2, 3),
        ('id,lon,lat,n,by\n"A,1,2,3,x\nB,1,2,4,x\nC",1,2,5,x\nD,1,2,6,\n', 2, 4),
        ('id,lon,lat,n,by\nA,1,2,3,"a, b"\nA,1,2,3,"x\nshort,1\nB,1,2,4,\nC,1,2,5,y"\n', 3, 6),
        ('id,lon,lat,n,by\nA,1,2,"3\nB,1,2,4,""\n5",x\nD,1,2,6,\n', 2, 4),
        ('id,lon,lat,n,by\nA,1,2,"3\nB,1,2,4,x\nC,1,2,5",x\nD,1,2,6,\n', 2, 4),
        ('id,lon,lat,n,"by\nA,1,2,3,x\nB,1,2,4,y"\nD,1,2,6,\n', 1, 3),
        ('sep=,\nid,lon,lat,n,by\nA,1,2,3,"hut\nB,1,2,4,mill"\nD,1,2,6,\n', 3, 4),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_joined_by_stray_quotation_marks(tmp_path, text, first, last, end):
    path = put(tmp_path, text.replace("\n", end))
    assert refusal(path) == JOINED.format(first, last)


def test_text_with_line_breaks_is_no_joined_row(tmp_path):
    text = (
        'id,lon,lat,n,by\n"A\nb",1,2,3,"one, two\nthree, four"\n'
        'B,1,2,4,"\n\n"\nC,1,2,5,"x, y, z\nlast"\n'
    )
    assert rows(put(tmp_path, text)) == [[1, 2, 3], [1, 2, 4], [1, 2, 5]]


def test_a_broken_row_of_several_lines_names_them(tmp_path):
    text = 'id,lon,lat,n,by\nA,1,"2\nx",3\nB,1,2,4,x\n'
    intake = read_plots(put(tmp_path, text), columns=NAMED, max_rejected=0.5)
    assert intake.rejected["reason"].tolist() == [
        "quotation marks join lines 2 to 3 into one row of 4 fields where the header has 5"
    ]


def test_joined_species_rows_are_refused(tmp_path):
    plots = put(tmp_path, "id,lon,lat\nA,1,2\n")
    put(tmp_path, 'id,taxon\nA,"Acacia\nA,Banksia"\nA,Triodia\n', "species.csv")
    species = {"layout": "long", "path": tmp_path / "species.csv", "plot_id": "id"}
    with pytest.raises(PlotError, match=r"join lines 2 to 3 of species\.csv into one row"):
        read_plots(
            plots,
            columns={"plot_id": "id", "lon": "lon", "lat": "lat"},
            species=species | {"species": "taxon"},
        )


def test_every_line_is_accounted_for(tmp_path, monkeypatch):
    path = put(tmp_path, "\nid,lon,lat,n\nA,1,2,3\n\n,,,\nB,1,2,4")
    assert len(rows(path)) == 2
    monkeypatch.setattr(text_files, "_count_lines", lambda content: 7)
    with pytest.raises(RuntimeError, match=r"6 of the 7 lines of plots\.csv were read: a defect"):
        read_plots(path, columns=NAMED)


ROW_NAMES = (
    "the rows of plots.csv have one field more than its header, so the first column was read as "
    "row names"
)


@pytest.mark.parametrize(
    "text",
    [
        '"n","lon","lat","note"\n"1",23,10.5,47.2,""\n"2",31,10.7,47.3,""\n',
        '"n","lon","lat","note"\n"7",23,10.5,47.2,NA\n"3",31,10.7,47.3,"x"\n',
        '"n","lon","lat"\n"site a",23,10.5,47.2\n"site b",31,10.7,47.3\n',
        "n,lon,lat\n1,23,10.5,47.2\n2,31,10.7,47.3\n",
    ],
)
def test_row_names_without_a_name(tmp_path, text):
    intake = read_plots(put(tmp_path, text), columns=PLACES)
    values = intake.table[["richness", "lon", "lat"]].to_numpy().tolist()
    assert values == [[23, 10.5, 47.2], [31, 10.7, 47.3]]
    assert ROW_NAMES in intake.summary["notes"]


def test_row_names_may_be_the_plot_id(tmp_path):
    path = put(tmp_path, '"n","lon","lat"\n"site a",23,10.5,47.2\n"site b",31,10.7,47.3\n')
    table = read_plots(path, columns=PLACES | {"plot_id": ""}).table
    assert table["plot_id"].tolist() == ["site a", "site b"]


def test_row_names_or_separators_at_the_end(tmp_path):
    # Unquoted whole numbers in front, blanks behind: nothing in the file decides.
    path = put(tmp_path, "n,lon,lat,note\n1,23,10.5,47.2,\n2,31,10.7,47.3,\n")
    assert refusal(path, PLACES) == (
        "each row of plots.csv has one field more than the header and ends with a blank, so its "
        "first column may or may not be row names; give every column a name"
    )
    path = put(tmp_path, "id,lon,lat,n\n1,10.5,47.2,23,\n2,10.7,47.3,31,\n")
    assert rows(path) == [[10.5, 47.2, 23], [10.7, 47.3, 31]]  # else richness is blank everywhere
    path = put(tmp_path, "id,lon,lat,n,note\na,10.5,47.2,23,,\nb,10.7,47.3,31,,\n")
    assert rows(path) == [[10.5, 47.2, 23], [10.7, 47.3, 31]]


def test_rows_that_disagree_about_row_names(tmp_path):
    lines = [f"{i},{i},10.5,47.2\n" for i in range(1, 300)]
    path = put(tmp_path, "n,lon,lat\n" + "".join(lines) + "23,10.5,47.2\n")
    assert refusal(path, PLACES) == (
        "line 301 of plots.csv has 3 fields, but the rows before it have 4 and the header has 3; "
        "give every column a name, and every row as many fields"
    )


@pytest.mark.parametrize("ending", ["\t", "\t\t", "\t \t"])
def test_a_header_that_ends_with_separators(tmp_path, ending):
    text = f"id\tlon\tlat\tn{ending}\nA\t150.1\t-30.1\t12\nB\t150.2\t-30.2\t13\t\n"
    path = put(tmp_path, text, "plots.txt")
    assert rows(path) == [[150.1, -30.1, 12], [150.2, -30.2, 13]]


@pytest.mark.parametrize(
    ("first", "mark"),
    [
        ("sep=;\r\n", ";"),
        ("SEP=;\n", ";"),
        ('"sep=;"\r\n', ";"),
        ("sep=\t\n", "\t"),
        ("sep=,\n", ","),
    ],
)
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_sep_line_of_spreadsheets(tmp_path, first, mark, start):
    text = start + first + "id,lon,lat,n\r\nA,150.1,-30.1,12\r\nB,150.2,x,13\r\n".replace(",", mark)
    path = put(tmp_path, text)
    for separator in (None, mark):
        intake = read_plots(path, columns=NAMED, separator=separator, max_rejected=0.5)
        assert intake.table[["lon", "richness"]].to_numpy().tolist() == [[150.1, 12]]
        assert intake.rejected["source_line"].tolist() == [4]


def test_a_sep_line_that_contradicts_the_setting(tmp_path):
    path = put(tmp_path, "sep=;\nid;lon;lat;n\nA;1;2;3\n")
    assert refusal(path, separator=",") == (
        "the first line of plots.csv says that the separator is ';', but separator is ','; remove "
        "one of the two"
    )


@pytest.mark.parametrize("separator", ['"', "\n", "\r"])
def test_marks_that_cannot_part_columns(tmp_path, separator):
    path = put(tmp_path, "id,lon,lat,n\nA,1,2,3\n")
    assert refusal(path, separator=separator) == (
        f"separator {separator!r} cannot part columns; use ',' ';' or '\\t'"
    )


def points(geometry, crs="EPSG:4326") -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"id": list("ABC"), "n": [3, 4, 5]}, geometry=geometry, crs=crs)


@pytest.mark.parametrize("suffix", ["gpkg", "parquet"])
@pytest.mark.parametrize("absent", ["POINT EMPTY", "MULTIPOINT EMPTY", "POLYGON EMPTY", None])
def test_empty_and_absent_geometries_are_rejected(tmp_path, suffix, absent):
    shapes = [*shapely.from_wkt(["POINT (1 2)", "POINT Z (3 4 5)"]), None]
    shapes[2] = shapely.from_wkt(absent) if absent else None
    path = tmp_path / f"plots.{suffix}"
    frame = points(shapes)
    frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
    intake = read_plots(path, columns={"plot_id": "id", "richness": "n"}, max_rejected=0.5)
    assert intake.table[["lon", "lat"]].to_numpy().tolist() == [[1, 2], [3, 4]]
    assert intake.rejected[["plot_id", "reason"]].to_numpy().tolist() == [["C", "lon is missing"]]


def test_no_geometry_at_all(tmp_path):
    points([None, None, None]).to_parquet(tmp_path / "plots.parquet")
    assert refusal(tmp_path / "plots.parquet", {"richness": "n"}) == (
        "column '(geometry x)' (lon) is blank in every row; set columns.lon to another"
    )


UNUSABLE = [
    ('LOCAL_CS["Undefined Cartesian SRS",UNIT["Meter",1]]', "is undefined"),
    ('LOCAL_CS["my grid",UNIT["Meter",1]]', "is neither geographic nor projected"),
    ("IAU_2015:30100", "is of another celestial body than the Earth"),
    ("+proj=longlat +R=3396190 +no_defs", "is of another celestial body than the Earth"),
    ("+proj=airy", "has no inverse, so that its coordinates have no longitude and latitude"),
]


@pytest.mark.parametrize(("crs", "fault"), UNUSABLE)
def test_crs_that_gives_no_place_on_earth(tmp_path, crs, fault):
    message = refusal(put(tmp_path, "id,lon,lat,n\nA,1,2,3\n"), crs=crs)
    assert message == f"crs {crs!r} {fault}; give one such as 'EPSG:4326'"
    path = tmp_path / "plots.parquet"
    points(shapely.points([1, 2, 3], [1, 2, 3]), crs).to_parquet(path)
    message = refusal(path, {"richness": "n"})
    assert re.fullmatch(
        rf"the CRS of plots\.parquet \(.+\) {fault}; set the right CRS in the file", message
    )


def test_index_levels_of_parquet(tmp_path):
    path = tmp_path / "plots.parquet"
    frame = pd.DataFrame({"id": ["A", "B"], "lon": [1.5, 2.5], "lat": [3.5, 4.5], "n": [5, 6]})
    expected = [[1.5, 3.5, 5], [2.5, 4.5, 6]]
    frame.set_index(["id", "n"]).to_parquet(path)
    assert rows(path) == expected
    frame.set_index("lat", drop=False).to_parquet(path)
    assert rows(path) == expected
    frame.rename_axis("lat").to_parquet(path)  # counts the rows, in spite of its name
    assert rows(path) == expected
    frame.set_index(pd.Index([30.5, 40.5], name="lat")).to_parquet(path)
    assert refusal(path) == (
        "column 'lat' (columns.lat) occurs 2 times in plots.parquet; rename all but one of them"
    )
    assert rows(path, NAMED | {"lat": "id", "plot_id": "id"} | {"lat": "n"})  # others do not mind
    frame.set_index(pd.MultiIndex.from_arrays([["x", "y"], [1, 2]], names=[None, "s"])).to_parquet(
        path
    )
    assert rows(path) == expected


def run_case(cases_dir, name, **options):
    import yaml

    folder = next(cases_dir.glob(f"{name}-*"))
    section = yaml.safe_load((folder / "case.yaml").read_text())["plots"]
    species = section.pop("species", None)
    if species:
        species["path"] = folder / species["path"]
    return read_plots(folder / section.pop("path"), **section, species=species)


@pytest.mark.parametrize(
    ("name", "richness"),
    [
        ("06", [23, 31, 28, 19]),
        ("12", [3, 4]),
        ("14", [11, 12, 13, 14, 16, 17, *range(19, 31)]),
        ("18", [12, 13]),
        ("23", [12, 13]),
    ],
)
def test_given_cases_that_are_read(cases_dir, name, richness):
    assert run_case(cases_dir, name).table["richness"].tolist() == richness


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("05", JOINED.format(6, 9).replace("csv", "tsv")),
        (
            "13",
            "the CRS of plots.gpkg (Undefined Cartesian SRS) is undefined; set the right CRS in "
            "the file",
        ),
    ],
)
def test_given_cases_that_are_refused(cases_dir, name, message):
    with pytest.raises(PlotError) as caught:
        run_case(cases_dir, name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "places", "reasons"),
    [
        ("empty-point.parquet", [[145, -33]], ["lon is missing"]),
        ("empty-point.gpkg", [[145, -33]], ["lon is missing"]),
        ("index-named-as-column.parquet", [[145, -33], [146, -34]], []),
    ],
)
def test_given_hostile_tables_that_are_read(cases_dir, name, places, reasons):
    columns = {"richness": "richness", "lon": "lon", "lat": "lat"}
    intake = read_plots(cases_dir / "hostile" / name, columns=columns, max_rejected=1.0)
    assert intake.table[["lon", "lat"]].to_numpy().tolist() == places
    assert intake.rejected["reason"].tolist() == reasons


def test_a_given_table_of_the_moon_is_refused(cases_dir):
    assert refusal(cases_dir / "hostile" / "moon.parquet", {"richness": "richness"}) == (
        "the CRS of moon.parquet (Moon (2015) - Sphere / Ocentric) is of another celestial body "
        "than the Earth; set the "
        "right CRS in the file"
    )
