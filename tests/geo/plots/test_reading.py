"""Tables as they are: separators, dates, degrees and minutes, UTM zones, covariates, targets."""

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.dates import find_order, parse_date
from spatioformer.geo.plots.numbers import number
from spatioformer.geo.plots.sexagesimal import degrees
from spatioformer.geo.plots.table import TABLE_DTYPES, read_plots, read_table, write_plots
from spatioformer.geo.plots.zones import parse_zones
from tests.helpers.plot_tables import GOOD, PLACES, put


def intake(tmp_path, text, columns=PLACES, **options):
    return read_plots(put(tmp_path, text), columns=columns, **options)


def refusal(tmp_path, text, columns=PLACES, **options) -> str:
    with pytest.raises(PlotError) as caught:
        intake(tmp_path, text, columns, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- separators


@pytest.mark.parametrize("name", ["plots.csv", "plots.tsv", "plots.txt"])
@pytest.mark.parametrize(
    ("mark", "word"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")]
)
def test_the_separator_is_found_whatever_the_suffix(tmp_path, name, mark, word):
    path = put(tmp_path, GOOD.replace(",", mark), name)
    result = read_plots(path, columns=PLACES | {"plot_id": "plot"})
    assert result.table["lon"].tolist() == [141.5, 142.25, 141.5]
    usual = {"plots.csv": ","}.get(name, "\t")
    notes = [] if mark == usual else [f"the columns of {name} are separated by {word}s"]
    assert result.summary["notes"] == notes


def test_decimal_commas_do_not_look_like_separators(tmp_path):
    text = "lon;lat;n;area, m2\n141,5;-31,5;12;400,5\n142,5;-32,5;7;100,5\n"
    result = intake(tmp_path, text, PLACES | {"area_m2": "area, m2"})
    assert result.table["area_m2"].tolist() == [400.5, 100.5]


# --- dates

DATED = PLACES | {"date": "day"}


def dated(*days) -> str:
    return "lon,lat,n,day\n" + "".join(f"{i + 1}.5,2.5,3,{day}\n" for i, day in enumerate(days))


@pytest.mark.parametrize(
    ("days", "order", "read"),
    [
        (["5/1/2014", "25/12/2014"], None, ["2014-01-05", "2014-12-25"]),
        (["5/1/2014", "12/25/2014"], None, ["2014-05-01", "2014-12-25"]),
        (["05.01.2014 10:30", "13.01.2014"], None, ["2014-01-05", "2014-01-13"]),
        (["5-1-2014", "2014-05-03", "31-1-2014"], None, ["2014-01-05", "2014-05-03", "2014-01-31"]),
        (["5/1/2014", "6/2/2014"], "day-first", ["2014-01-05", "2014-02-06"]),
        (["5/1/2014", "6/2/2014"], "month-first", ["2014-05-01", "2014-06-02"]),
        (["5/5/2014"], None, ["2014-05-05"]),
    ],
)
def test_the_order_of_dates(tmp_path, days, order, read):
    table = intake(tmp_path, dated(*days), DATED, date_order=order).table
    assert table["date"].astype(str).tolist() == read


@pytest.mark.parametrize(
    ("days", "order", "reason"),
    [
        (["5/1/2014"], None, "may begin with the day or the month, and its column does not decide"),
        (["25/12/2014", "12/25/2014"], None, "may begin with the day or the month"),
        (["5/1/14"], "day-first", "has a year of two digits; write all four"),
        (["5/1/2014"], "year-first", "does not begin with the year"),
        (["25/12/2014"], "month-first", "is not a day of the calendar"),
    ],
)
def test_dates_that_stay_open_are_rejected(tmp_path, days, order, reason):
    result = intake(tmp_path, dated("2001", *days), DATED, date_order=order, max_rejected=0.9)
    assert result.rejected["reason"][0].startswith(f"date {days[0]!r} {reason}")


def test_days_and_months_that_a_spreadsheet_exchanged(tmp_path):
    days = [f"2014-{i}-0{i}" for i in range(1, 7)] + [f"{12 + i}/3/2014" for i in range(1, 7)]
    message = refusal(tmp_path, dated(*days), DATED)
    assert "a spreadsheet has probably exchanged day and month of these" in message
    assert len(intake(tmp_path, dated(*days), DATED, date_order="day-first").table) == 12
    assert len(intake(tmp_path, dated(*days, "2014-05-20"), DATED).table) == 13


def test_order_of_all_years():
    assert find_order(["", "1999", "2014-05-03"]).order == "year-first"
    assert find_order(["", "NA"]).order is None
    assert isinstance(parse_date("3/4/2014"), str)


# --- degrees, minutes and seconds


@pytest.mark.parametrize(
    ("text", "axis", "value"),
    [
        ("42°30'15\"N", "lat", 42 + 30 / 60 + 15 / 3600),
        ("42 30 15 N", "lat", 42 + 30 / 60 + 15 / 3600),
        ("N 42° 30.25'", "lat", 42 + 30.25 / 60),
        ("42º30´15´´ n", "lat", 42 + 30 / 60 + 15 / 3600),
        ("42°30′15,5″W", "lon", -(42 + 30 / 60 + 15.5 / 3600)),
        ("S 33.5", "lat", -33.5),
        ("33,5°S", "lat", -33.5),
        ("-33 30 00", "lat", -33.5),
        ("-0 30 00", "lon", -0.5),
        ("42:30:15", "lat", 42 + 30 / 60 + 15 / 3600),
        ("33.5", "lat", 33.5),
        ("70 60 00 W", "lon", np.nan),
        ("-33 S", "lat", np.nan),
        ("33 O", "lon", np.nan),
        ("33 N", "lon", np.nan),
        ("42 30.5 15", "lat", np.nan),
        ("33 30 15s", "lat", -(33 + 30 / 60 + 15 / 3600)),
        ("648 100", "lon", np.nan),
        ("5 234 100", "lat", np.nan),
        ("9" * 100, "lat", np.nan),
    ],
)
def test_degrees(text, axis, value):
    assert degrees(text, axis) == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_a_column_in_degrees_and_minutes(tmp_path):
    text = "lon;lat;n\n70°30'W;33°15'36\"S;3\n70 45 00 W;33 30 00 S;4\n71°O;33°S;5\n70.5;33°S;6\n"
    result = intake(tmp_path, text, max_rejected=0.5)
    assert result.table["lon"].tolist() == [-70.5, -70.75]
    assert result.table["lat"].tolist() == pytest.approx([-33.26, -33.5], abs=1e-12)
    assert result.rejected["reason"].tolist() == [
        "lon '71°O' has O, which means west or east; write W or E",
        "lon '70.5' has no E or W, which other cells have",
    ]
    assert (
        "lat is written in degrees, minutes and seconds or with letters: '33°15\\'36\"S' was read "
        "as -33.26"
    ) in result.summary["notes"]
    assert refusal(tmp_path, text, crs="EPSG:32719").startswith(
        "lon and lat are written in degrees, minutes and seconds, but crs is WGS 84 / UTM zone 19S"
    )


def test_a_single_cell_in_degrees_and_minutes_is_no_column_of_them(tmp_path):
    result = intake(
        tmp_path, "lon;lat;n\n141.5;-31.5;3\n142.5;-32.5;3\n143.5;31°30'S;3\n", max_rejected=0.5
    )
    assert result.rejected["reason"].tolist() == ['lat "31°30\'S" is not a number']


# --- thousands


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 234 100", 5234100),
        ("5'234'100.5", 5234100.5),
        ("648\u202f100", 648100),
        ("1 23", np.nan),
    ],
)
def test_blanks_and_apostrophes_part_thousands(text, value):
    assert number(text) == pytest.approx(value, nan_ok=True)


# --- UTM zones


def zoned(*rows) -> str:
    """A table of (zone, lon, lat), with coordinates in that zone's CRS."""
    lines = []
    for zone, code, lon, lat in rows:
        x, y = Transformer.from_crs(4326, code, always_xy=True).transform(lon, lat)
        lines.append(f"{x!r},{y!r},{zone},3\n")
    return "x,y,zona,richness\n" + "".join(lines)


ZONED = {"lon": "x", "lat": "y", "richness": "richness", "zone": "zona"}


@pytest.mark.parametrize(
    "rows",
    [
        [("17S", 32717, -80.5, -4.5), ("18 S", 32718, -75.5, -9.5)],
        [("17 Sur", 32717, -80.5, -4.5), ("17 norte", 32617, -80.5, 4.5)],
        [("17S", 32717, -80.5, -4.5), ("17N", 32617, -80.5, 4.5)],
        [("30T", 32630, -3.5, 41.5), ("30S", 32630, -3.5, 37.5), ("31T", 32631, 2.5, 41.5)],
        [("32717", 32717, -80.5, -4.5), ("EPSG:32718", 32718, -75.5, -9.5)],
        [("19F", 32719, -69.5, -51.5), ("18 H", 32718, -73.5, -38.5)],
    ],
)
def test_each_row_in_its_zone(tmp_path, rows):
    table = intake(tmp_path, zoned(*rows), ZONED).table
    expected = np.array([row[2:] for row in rows])
    np.testing.assert_allclose(table[["lon", "lat"]].to_numpy(), expected, rtol=0, atol=1e-8)
    found = read_plots(put(tmp_path, zoned(*rows)), columns=None)
    np.testing.assert_allclose(found.table[["lon", "lat"]].to_numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("30", 32630, -3.5, 41.5)], "zone '30' names no hemisphere"),
        ([("30S", 32630, -3.5, 37.5)], "S in '30S' may be the southern hemisphere or the band"),
    ],
)
def test_an_open_hemisphere_is_asked_for(tmp_path, rows, words):
    message = refusal(tmp_path, zoned(*rows), ZONED)
    assert words in message
    assert message.endswith("set crs to EPSG:32630 or EPSG:32730")
    message = refusal(tmp_path, zoned(*rows), None)
    assert "set crs to EPSG:32630 or EPSG:32730" in message
    assert words in message


def test_rows_without_a_zone(tmp_path):
    text = zoned(("17S", 32717, -80.5, -4.5)) + "500000,9500000,,3\n500000,9500000,99X,3\n"
    text += "500000,9500000,17T,3\n"
    result = intake(tmp_path, text, ZONED, max_rejected=0.9)
    assert result.rejected["reason"].tolist() == [
        "zone is missing",
        "zone '99X' is no UTM zone, or none of this northing",
        "zone '17T' is no UTM zone, or none of this northing",
    ]


def test_zones_beside_another_crs_or_a_geometry(tmp_path):
    text = zoned(("17S", 32717, -80.5, -4.5))
    assert refusal(tmp_path, text, ZONED, crs="EPSG:32717").startswith(
        "crs 'EPSG:32717' and columns.zone 'zona' both give the CRS"
    )
    assert "holds 'x' and no UTM zone" in refusal(tmp_path, "x,y,zona,richness\n1,2,x,3\n", ZONED)


def test_zones_of_another_datum_are_not_taken_for_wgs84(tmp_path):
    text = zoned(("30T", 32630, -3.5, 41.5))
    text = text.replace("richness\n", "richness,datum\n").replace("3\n", "3,ED50\n")
    assert "states ED50, whose zones are not those of WGS 84" in refusal(tmp_path, text, None)


def test_bands_decide():
    northings = np.array([4.6e6, 4.15e6])
    assert parse_zones(["30T", "30S"], northings).codes.tolist() == [32630, 32630]
    assert parse_zones(["19S", "19S"], np.array([6.3e6, 4.0e6])).codes.tolist() == [32719, 32719]


# --- covariates, groups, folds

MEASURED = (
    "lon,lat,n,rain,soil,site,realm\n"
    "1.5,2.5,3,100.5,clay,a,Afro\n"
    "2.5,2.5,4,NA,sand,a,Indo\n"
    "3.5,2.5,5,n.d.,NA,b,Indo\n"
    "4.5,2.5,6,inf,clay,,Indo\n"
    "5.5,2.5,7,90,clay,c,\n"
)


def test_covariates_groups_and_folds(tmp_path):
    result = intake(
        tmp_path,
        MEASURED,
        covariates={"rain": "number", "soil": "class"},
        group="site",
        fold="realm",
        max_rejected=0.5,
    )
    table = result.table
    assert list(table.columns) == [*TABLE_DTYPES, "rain", "soil", "group", "fold", "geometry"]
    assert table["rain"].fillna(-1).tolist() == [100.5, -1, -1]
    assert table["soil"].tolist() == ["clay", "sand", ""]
    assert table["group"].tolist() == ["a", "a", "b"]
    assert table["fold"].tolist() == ["Afro", "Indo", "Indo"]
    assert result.rejected["reason"].tolist() == ["group is missing", "fold is missing"]
    assert result.summary["covariates"] == {"rain": "number", "soil": "class"}
    assert result.summary["notes"][0] == (
        "covariate 'rain' counts 1 cells as missing that are no numbers, such as 'n.d.' on line 4"
    )
    write_plots(result, tmp_path / "run")
    pd.testing.assert_frame_equal(read_table(tmp_path / "run" / "plots.parquet"), table)


def test_infinite_covariates_and_decimal_commas(tmp_path):
    text = "lon;lat;n;rain\n1,5;2,5;3;inf\n2,5;2,5;3;1,25\n"
    result = intake(tmp_path, text, covariates={"rain": "number"})
    assert result.table["rain"].fillna(-1).tolist() == [-1, 1.25]
    assert any("such as 'inf' on line 2" in note for note in result.summary["notes"])


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"rain": "text"}, "covariate 'rain' is a 'text'; use number or class"),
        ({"wind": "number"}, "column 'wind' (covariates.wind) is not in plots.csv; did you"),
        ({"soil": "number"}, "covariate 'soil' holds text such as 'clay' and no number; read it"),
        ({"lon": "number"}, "covariate 'lon' has the name of a column of every plot table; rename"),
        ({"area_m2": "number"}, "covariate 'area_m2' has the name of a column of every plot table"),
    ],
)
def test_covariates_that_cannot_be_read(tmp_path, covariates, message):
    assert refusal(tmp_path, MEASURED, covariates=covariates).startswith(message)


def test_the_area_is_a_covariate_already(tmp_path):
    text = "lon,lat,n,m2\n1.5,2.5,3,100\n"
    columns = PLACES | {"area_m2": "m2"}
    table = intake(tmp_path, text, columns, covariates={"area_m2": "number"}).table
    assert list(table.columns) == [*TABLE_DTYPES, "geometry"]


def test_a_table_with_other_columns_is_refused(tmp_path):
    table = intake(tmp_path, MEASURED, covariates={"rain": "number"}).table
    for damaged, words in [
        (
            table.assign(rain=table["rain"].astype("float32")),
            "rain is float32, neither float64",
        ),
        (table[[*table.columns[1:], "plot_id"]], "its columns are lon, lat"),
    ]:
        damaged.to_parquet(tmp_path / "t.parquet")
        with pytest.raises(PlotError, match=words):
            read_table(tmp_path / "t.parquet")


def test_a_species_list_whose_plots_differ_in_a_covariate(tmp_path):
    text = "id,lon,lat,taxon,rain\nA,1.5,2.5,x,10\nA,1.5,2.5,y,11\nB,2.5,2.5,x,12\n"
    result = intake(
        tmp_path,
        text,
        {"plot_id": "id", "lon": "lon", "lat": "lat"},
        species={"layout": "long", "species": "taxon"},
        covariates={"rain": "number"},
        max_rejected=0.6,
    )
    assert result.table["rain"].tolist() == [12.0]
    assert "'10' on line 2 but '11' on line 3" in result.rejected["reason"][0]


# --- kinds of target


def rich(*values) -> str:
    return "lon,lat,n\n" + "".join(f"{i + 1}.5,2.5,{value}\n" for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "kind", "target", "kept"),
    [
        ([3, 4, 5.5], "count", "count", 2),
        ([3, 4, 5.5], "auto", "continuous", 3),
        ([*range(10), 5.5], "auto", "count", 10),
        ([3, 4, 5], "auto", "count", 3),
        ([0.25, 0.5, 1], "auto", "proportion", 3),
        ([0.25, 1, 1], "auto", "continuous", 3),
        ([0.25, 0.5, 1.5], "proportion", "proportion", 2),
        ([0.25, -0.5, 1.5], "continuous", "continuous", 2),
    ],
)
def test_kinds_of_target(tmp_path, values, kind, target, kept):
    result = intake(tmp_path, rich(*values), kind=kind, max_rejected=0.5)
    assert result.summary["target_kind"] == target
    assert len(result.table) == kept
    said = any("not a count" in note for note in result.summary["notes"])
    assert said == (kind == "auto" and target != "count")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "ratio"}, "kind 'ratio' of the richness is unknown; use auto, count, continuous"),
        ({"date_order": "ymd"}, "date_order 'ymd' is unknown; use year-first, day-first, month"),
    ],
)
def test_settings_with_few_values(tmp_path, options, message):
    assert refusal(tmp_path, rich(3), **options).startswith(message)


# --- columns that are found


def test_columns_are_found_and_said(tmp_path):
    text = "Longitud;Latitud;Riqueza;Fecha\n-70,5;-33,25;12;05/01/2014\n-70,25;-33,5;7;25/12/2014\n"
    result = intake(tmp_path, text, None)
    assert result.table[["lon", "lat", "richness"]].to_numpy().tolist() == [
        [-70.5, -33.25, 12],
        [-70.25, -33.5, 7],
    ]
    assert result.summary["notes"][0] == (
        "found: lon = 'Longitud', lat = 'Latitud', richness = 'Riqueza', date = 'Fecha', "
        "crs = EPSG:4326"
    )


def test_all_questions_at_once(tmp_path):
    text = "x,y,tree_richness,shrub_richness,date\n500000,4600000,3,4,5/1/2014\n"
    message = refusal(tmp_path, text, None)
    assert message.startswith("the columns of plots.csv are not clear: set crs to one such as")
    assert "set columns.richness to tree_richness or shrub_richness" in message
    assert "set date_order to day-first or month-first" in message


def test_a_given_decimal_sign_answers_too(tmp_path):
    text = "lon;lat;richness;area_m2\n141;-31;3;1.500\n142;-32;4;2.250\n"
    assert "set decimal to . or ," in refusal(tmp_path, text, None)
    assert intake(tmp_path, text, None, decimal=".").table["area_m2"].tolist() == [1.5, 2.25]


def test_a_given_crs_and_order_answer_questions(tmp_path):
    text = "x,y,richness,date\n500000,4600000,3,5/1/2014\n500100,4600000,4,6/1/2014\n"
    table = intake(tmp_path, text, None, crs="EPSG:32630", date_order="day-first").table
    assert table["lon"].round(3).tolist() == [-3.0, -2.999]
    assert table["date"].astype(str).tolist() == ["2014-01-05", "2014-01-06"]
