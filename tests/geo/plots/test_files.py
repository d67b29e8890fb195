"""Bad plot files and settings: each is one sentence that quotes the value and names the remedy."""

import gzip
import os
import re

import geopandas
import pyarrow.parquet
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import files as plot_files
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import ALL, GOOD, PLACES, put

NOISE = bytes(range(256)) * 8


def refusal(path, columns=ALL, **options) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(PlotError) as caught:
        read_plots(path, columns=columns, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert not re.search(r"[.!?]\s+[A-Z]", message), f"more than one sentence: {message}"
    return message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plots.csv", "", "plots.csv is empty; give it a header and rows"),
        ("plots.csv", " \n\n", "plots.csv is empty; give it a header and rows"),
        ("plots.csv", '"",""\n', "plots.csv holds no table; give it a header and rows"),
        ("plots.csv", ",,\n\n,,\n", "plots.csv holds no table; give it a header and rows"),
        (
            "plots.csv",
            "plot,lon,lat,n,area,day,by\n",
            "plots.csv has a header but no rows; add plots",
        ),
        (
            "plots.csv",
            GOOD.replace(",", "!"),
            "column 'plot' (columns.plot_id) is not in plots.csv; did you mean "
            "'plot!lon!lat!n!area!day!by'?",
        ),
        (
            "plots.csv",
            "plot;lon;lat;n;area;day;by, or whom\nA;1;2;3;4;;\n",
            "column 'by' (columns.programme) is not in plots.csv; did you mean 'by, or whom'?",
        ),
        (
            "plots.csv",
            GOOD.replace("lat,", "Latitude,"),
            "column 'lat' (columns.lat) is not in plots.csv; did you mean 'Latitude'?",
        ),
        (
            "plots.csv",
            GOOD.replace("plot,", "pltos,"),
            "column 'plot' (columns.plot_id) is not in plots.csv; did you mean 'pltos'?",
        ),
        (
            "plots.csv",
            "1,141.5,-31.5,12\n",
            "column 'plot' (columns.plot_id) is not in plots.csv; its columns are '1', '141.5', "
            "'-31.5', '12'",
        ),
        (
            "plots.csv",
            "x" + ",x".join(map(str, range(15))) + "\n1\n",
            "column 'plot' (columns.plot_id) is not in plots.csv; its columns are 'x0', 'x1', "
            "'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8', 'x9', 'x10', 'x11' and 3 more",
        ),
        (
            "plots.csv",
            GOOD.replace("area", "lat"),
            "column 'lat' (columns.lat) occurs 2 times in plots.csv; rename all but one of them",
        ),
        (
            "plots.csv",
            GOOD.replace("12,", "many,").replace(",0,", ",few,").replace(",7,", ",some,"),
            "column 'n' (richness) holds text such as 'many' and no number; set columns.richness "
            "to a column of numbers",
        ),
        (
            "plots.csv",
            "plot,lon,lat,n,area,day,by\nA,1,2,,,,\nB,1,2,NA,,,\n",
            "column 'n' (richness) is blank in every row; set columns.richness to another",
        ),
        (
            "plots.csv",
            'plot,lon,lat,n,area,day,by\nA,1.5,2.5,"1,200",,,\n',
            "column 'n' (richness) has commas, as in '1,200', but other columns have decimal "
            "points; set decimal to '.' if the commas part thousands",
        ),
        (
            "plots.csv",
            "plot,lon,lat,n,area,day,by\nA,1,2,3,1 ha,,\nB,1,2,3,,,\n",
            "column 'area' (area_m2) holds text such as '1 ha' and no number; set columns.area_m2 "
            "to a column of numbers",
        ),
        (
            "plots.csv",
            'plot,lon,lat,n,area,day,by\nA,1,2,3,,,\nB,1,2,3,,"open,\nC,1,2,3,,,\n',
            "plots.csv has a misplaced quotation mark between lines 3 and 4 (unexpected end of "
            "data); close it, or double it inside quoted text",
        ),
        (
            "plots.csv",
            'plot,lon,lat,n,area,day,by\nA,1,2,3,,"a "word" in quotes",\n',
            "plots.csv has a misplaced quotation mark between lines 2 and 2 (',' expected after "
            "'\"'); close it, or double it inside quoted text",
        ),
        (
            "plots.csv",
            NOISE,
            "plots.csv is binary, not text; give a CSV file or the right suffix",
        ),
        (
            "plots.csv",
            GOOD.encode("utf-16-le"),
            "plots.csv looks like UTF-16 text without a byte order mark; save it as UTF-8",
        ),
        (
            "plots.csv",
            GOOD.encode("utf-16") + b"x",
            "plots.csv is damaged UTF-16 text; save it again",
        ),
        (
            "plots.csv",
            b"PK\x03\x04" + NOISE,
            "plots.csv is a zip archive or spreadsheet; unpack it or save its sheet as CSV",
        ),
        (
            "plots.xlsx",
            b"PK\x03\x04" + NOISE,
            "plots.xlsx is not a readable workbook (File is not a zip file); save it again",
        ),
        (
            "plots.ods",
            b"PK\x03\x04" + NOISE,
            "plots.ods is a spreadsheet in a format that is not read; save it as .xlsx or CSV and "
            "set the path to that file",
        ),
        (
            "plots.shp",
            NOISE,
            "the format of plots.shp is not supported; use .csv, .tsv, .txt (also .gz), .xlsx, "
            ".parquet or .gpkg, or set separator to read it as text",
        ),
        (
            "plots.csv.gz",
            gzip.compress(GOOD.encode(), mtime=0)[:-12],
            "plots.csv.gz is a damaged or incomplete gzip file (Compressed file ended before the "
            "end-of-stream marker was reached); fetch it again",
        ),
    ],
)
def test_bad_content(tmp_path, name, content, message):
    assert refusal(put(tmp_path, content, name)) == message


@pytest.mark.parametrize(
    ("text", "separator", "message"),
    [
        (
            GOOD,
            ";",
            "plots.csv has a single column 'plot,lon,lat,n,area,day,by' when it is split at "
            "semicolons; set separator to ',' (comma)",
        ),
        (
            GOOD.replace(",", "\t"),
            ",",
            "plots.csv has a single column 'plot\\tlon\\tlat\\tn\\tarea\\tday\\tby' when it is "
            "split at commas; set separator to '\\t' (tab)",
        ),
        (
            "plot;lon;lat;n;area;day;by, or whom\nA;1;2;3;4;;\n",
            ",",
            "column 'plot' (columns.plot_id) is not in plots.csv; set separator to ';' (semicolon)",
        ),
    ],
)
def test_a_separator_that_is_wrong(tmp_path, text, separator, message):
    assert refusal(put(tmp_path, text), separator=separator) == message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "plots.csv.gz",
            b"\x1f\x8b" + NOISE,
            r"plots\.csv\.gz is a damaged or incomplete gzip file",
        ),
        ("plots.parquet", NOISE, r"plots\.parquet is not a readable Parquet file \(.+\); write it"),
        ("plots.parquet", b"", r"plots\.parquet is not a readable Parquet file \(.+\); write it"),
        ("plots.gpkg", NOISE, r"plots\.gpkg is not a readable GeoPackage \(.+\); write it again"),
        ("plots.gpkg", b"", r"plots\.gpkg is not a readable GeoPackage \(.+\); write it again"),
    ],
)
def test_damaged_content(tmp_path, name, content, message):
    assert re.match(message, refusal(put(tmp_path, content, name)))


def test_cut_off_parquet_and_geopackage(tmp_path):
    frame = geopandas.GeoDataFrame(
        {"n": range(5000)},
        geometry=geopandas.points_from_xy(range(5000), range(5000)),
        crs="EPSG:3857",
    )
    for name, write in [
        ("plots.parquet", frame.to_parquet),
        ("plots.gpkg", frame.to_file),
    ]:
        path = tmp_path / name
        write(path)
        os.truncate(path, path.stat().st_size // 2)
        message = refusal(path, columns={"richness": "n"})
        assert re.search("plots.* is (not a readable|damaged).*; write it again", message)


def test_parquet_with_broken_geometry_metadata(tmp_path):
    table = pyarrow.table({"n": [1]}).replace_schema_metadata({b"geo": b"{}"})
    pyarrow.parquet.write_table(table, tmp_path / "plots.parquet")
    message = refusal(tmp_path / "plots.parquet", columns={"richness": "n"})
    assert message.startswith("plots.parquet is not a readable Parquet file (")


def test_no_file_and_a_folder(tmp_path):
    path = tmp_path / "plots.csv"
    assert refusal(path) == f"there is no file {path}; check the path"
    assert refusal(tmp_path) == f"{tmp_path} is a folder; name a file in it"


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = put(tmp_path, GOOD)

    def fail(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(plot_files.Path, "read_bytes", fail)
    assert refusal(path) == f"cannot read {path}: permission denied; check the file"


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            ALL | {"species": "sp"},
            {},
            "columns.species is not a column name; use plot_id, lon, lat, richness, area_m2, "
            "date, programme",
        ),
        ({"lat": "lat", "richness": "n"}, {}, "columns.lon is not set; set it to a column of "),
        ({"lon": "lon", "lat": None}, {}, "columns.lat is not set; set it to a column of plots"),
        (
            {"lon": "lon", "lat": "lat"},
            {},
            "columns.richness is not set; set it to a column of counts, or set species to count "
            "them from species data",
        ),
        (ALL, {"separator": ",,"}, "separator ',,' is not one character; use ',' ';' or '\\t'"),
        (ALL, {"separator": ""}, "separator '' is not one character; use ',' ';' or '\\t'"),
        (ALL, {"crs": "EPSG:99999"}, "crs 'EPSG:99999' is unknown; give one such as 'EPSG:4326'"),
        (ALL, {"crs": "Mars"}, "crs 'Mars' is unknown; give one such as 'EPSG:4326'"),
        (
            ALL,
            {"crs": "EPSG:4978"},
            "crs 'EPSG:4978' is neither geographic nor projected; give one such as 'EPSG:4326'",
        ),
        (
            ALL,
            {"region": [112, -44, 154, -10]},
            "region [112, -44, 154, -10] is not [W, E, S, N] in degrees; reorder it",
        ),
        (
            ALL,
            {"region": [112, 154, -10, -44]},
            "region [112, 154, -10, -44] is not [W, E, S, N] in degrees; reorder it",
        ),
        (ALL, {"region": [1, 2, 3]}, "region [1, 2, 3] is not [W, E, S, N] in degrees; reorder it"),
    ],
)
def test_bad_settings(tmp_path, columns, options, message):
    assert refusal(put(tmp_path, GOOD), columns=columns, **options).startswith(message)


def test_one_column_is_enough_to_be_wrong(tmp_path):
    # A file of one column whose name holds no separator is not blamed on the separator.
    assert refusal(put(tmp_path, "lon\n1\n"), columns=PLACES) == (
        "column 'lat' (columns.lat) is not in plots.csv; its columns are 'lon'"
    )


def test_columns_named_like_missing_values_and_row_names(tmp_path):
    text = '"","NA",lat,n\n"1",10,20,3\n'
    table = read_plots(
        put(tmp_path, text), columns={"plot_id": "", "lon": "NA", "lat": "lat", "richness": "n"}
    ).table
    assert table[["plot_id", "lon"]].to_numpy().tolist() == [["1", 10.0]]
