"""How columns of text write numbers: decimal and thousands signs, other digits, long cells."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.numbers import Style, number
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import put

COLUMNS = {"lon": "lon", "lat": "lat", "richness": "n", "area_m2": "area"}
UTM = "EPSG:32632"


def table(tmp_path, rows, crs="EPSG:4326", **options):
    """Intake of rows of lon, lat, richness, area, written with semicolons."""
    text = "lon;lat;n;area\n" + "".join(f"{row}\n" for row in rows)
    options = {"separator": ";", "max_rejected": 1.0} | options
    return read_plots(put(tmp_path, text), columns=COLUMNS, crs=crs, **options)


def values(intake, name):
    return intake.table[name].tolist()


def test_decimal_commas_are_found_and_noted(tmp_path):
    intake = table(tmp_path, ["10,5;47,25;12;100", "11,0;48;13;0,5"])
    assert values(intake, "lon") == [10.5, 11.0]
    assert values(intake, "lat") == [47.25, 48.0]
    assert values(intake, "area_m2") == [100.0, 0.5]
    assert intake.summary["notes"][0] == "decimal comma found in lon, lat, area_m2"


def test_the_last_of_two_signs_is_the_decimal_sign(tmp_path):
    rows = ["10.5;47.5;3;1,234.5", "10.5;47.25;3;2,000", "10.5;47.5;4;12"]
    intake = table(tmp_path, rows)
    assert values(intake, "area_m2") == [1234.5, 2000.0, 12.0]
    assert (
        intake.summary["notes"][0]
        == "commas in area_m2 part thousands: '1,234.5' was read as 1234.5"
    )
    rows = [row.translate(str.maketrans(".,", ",.")) for row in rows]
    intake = table(tmp_path, rows)
    assert values(intake, "area_m2") == [1234.5, 2000.0, 12.0]
    assert values(intake, "lat") == [47.5, 47.25, 47.5]
    assert intake.summary["notes"][:2] == [
        "decimal comma found in lon, lat, area_m2",
        "points in area_m2 part thousands: '1.234,5' was read as 1234.5",
    ]


def test_a_repeated_sign_parts_thousands(tmp_path):
    intake = table(tmp_path, ["648.100;5.234.100;12;", "648.200;5.234.200;13;"], UTM)
    plain = table(tmp_path, ["648100;5234100;12;", "648200;5234200;13;"], UTM)
    assert values(intake, "lon") == values(plain, "lon")
    assert values(intake, "lat") == values(plain, "lat")


def test_the_area_of_use_decides_for_coordinates(tmp_path):
    plain = table(tmp_path, ["648100;5234100;12;", "648200;5234200;13;"], UTM)
    thousands = table(tmp_path, ["648.100;5234100;12;", "648.200;5234200;13;"], UTM)
    commas = table(tmp_path, ["648,100;5234100;12;", "648,200;5234200;13;"], UTM)
    for intake, word in ((thousands, "points"), (commas, "commas")):
        assert values(intake, "lon") == values(plain, "lon")
        assert values(intake, "lat") == values(plain, "lat")
        assert intake.summary["notes"][0].startswith(f"{word} in lon part thousands: '648")
    degrees = table(tmp_path, ["10.125;47.250;12;", "10.250;47.125;13;"])
    assert values(degrees, "lon") == [10.125, 10.25]
    degrees = table(tmp_path, ["10,125;47,250;12;", "10,250;47,125;13;"])
    assert values(degrees, "lon") == [10.125, 10.25]
    assert degrees.summary["notes"][0] == "decimal comma found in lon, lat"


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        (["10;47;3;1.000"], "area", "(area_m2) holds '1.000', which may be 1 or 1000"),
        (["10;47;3;1,500"], "area", "(area_m2) holds '1,500', which may be 1.5 or 1500"),
        (["10;47;1.200;"], "n", "(richness) holds '1.200', which may be 1.2 or 1200"),
        (["10.5;47;3;1.000", "10;47;4;2,000"], "area", "(area_m2) holds '1.000', which may be"),
        (["10.5;47,5;3;1.000"], "area", "(area_m2) holds '1.000', which may be 1 or 1000"),
    ],
)
def test_ambiguous_columns_are_refused_until_decimal_is_set(tmp_path, rows, name, message):
    with pytest.raises(PlotError) as caught:
        table(tmp_path, rows)
    assert str(caught.value).startswith(f"column {name!r} {message}")
    assert str(caught.value).endswith("; set decimal to '.' or ','")


def test_decimal_may_be_set(tmp_path):
    rows = ["10;47;3;1.000", "10;47;4;2,500"]
    assert values(table(tmp_path, rows, decimal="."), "area_m2") == [1.0, 2500.0]
    assert values(table(tmp_path, rows, decimal=","), "area_m2") == [1000.0, 2.5]
    with pytest.raises(PlotError, match=r"^decimal ':' is no decimal sign; use '\.' or ','$"):
        table(tmp_path, rows, decimal=":")


def test_other_columns_decide_for_areas_and_counts_with_a_note(tmp_path):
    intake = table(tmp_path, ["10.5;47.5;3;1.000", "10.25;47;4;2.500"])
    assert values(intake, "area_m2") == [1.0, 2.5]
    assert intake.summary["notes"][0] == (
        "area_m2 '1.000' was read as 1, because the decimal sign of other columns is '.'; if that "
        "is wrong, set decimal"
    )
    intake = table(tmp_path, ["10,5;47,5;3;1.000", "10,25;47;4;2.500"])
    assert values(intake, "area_m2") == [1000.0, 2500.0]


def test_cells_that_contradict_each_other(tmp_path):
    intake = table(tmp_path, ["10.5;47.5;3;", "10,5;47.5;3;", "1,234.5;47;3;"])
    assert values(intake, "lon") == [10.5]
    assert intake.rejected["reason"].tolist() == [
        "lon '10,5' has a comma where a decimal point belongs",
        "lon '1,234.5' is not a number",
    ]
    intake = table(tmp_path, ["10,5;47,5;3;", "10,x;47,5;3;"])
    assert intake.rejected["reason"].tolist() == ["lon '10,x' is not a number with a decimal comma"]


def test_typed_numbers_have_no_thousands_signs(tmp_path):
    frame = pd.DataFrame({"lon": [10, 11], "lat": [47, 48], "n": [3, 4], "area": [1.125, 2.125]})
    frame.to_parquet(tmp_path / "plots.parquet")
    intake = read_plots(tmp_path / "plots.parquet", columns=COLUMNS, decimal=",")
    assert values(intake, "area_m2") == [1.125, 2.125]
    assert values(read_plots(tmp_path / "plots.parquet", columns=COLUMNS), "area_m2") == [
        1.125,
        2.125,
    ]


@pytest.mark.parametrize(
    "text",
    ["ınf", "İnf", "１２", "٣", "1\u0663", "²", "½", "Ⅻ", "1_0", "0x1", "1e", "--1", "+", "."],
)
def test_other_digits_and_letters_are_no_numbers(tmp_path, text):
    assert np.isnan(number(text))
    intake = table(tmp_path, [f"10;47;{text};", "10;47;3;"])
    assert intake.rejected["reason"].tolist() == [f"richness {text!r} is not a number"]


def test_other_digits_in_dates_are_unreadable(tmp_path):
    path = put(tmp_path, "lon,lat,n,day\n1,2,3,２０１４\n1,2,3,2014\n")
    columns = {"lon": "lon", "lat": "lat", "richness": "n", "date": "day"}
    intake = read_plots(path, columns=columns, max_rejected=0.5)
    assert intake.rejected["reason"].tolist() == [
        "date '２０１４' is neither a year nor written YYYY-MM-DD"
    ]


@pytest.mark.parametrize(
    "text", ["9" * 100_000 + "x", "1" + ",111" * 25_000, "1." * 50_000, "0" * 100_000]
)
def test_long_cells_take_no_time_and_are_quoted_in_short(tmp_path, text):
    start = time.process_time()
    intake = table(tmp_path, [f"10;47;{text};", "10;47;3;"])
    assert time.process_time() - start < 2
    (reason,) = intake.rejected["reason"]
    assert reason.startswith(f"richness {text[:40]!r}... ({len(text)} characters) ")


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_numbers_are_read_to_the_last_bit(value):
    text = repr(value)
    assert number(text) == value
    assert number(text.replace(".", ","), Style(",", grouped=True)) == value


@given(text=st.text(alphabet="0123456789.,+-e", max_size=12))
@settings(max_examples=300, deadline=None)
def test_exchanged_signs_give_the_same_number(text):
    other = text.translate(str.maketrans(".,", ",."))
    for grouped in (False, True):
        pair = number(text, Style(".", grouped)), number(other, Style(",", grouped))
        np.testing.assert_equal(*pair)


def test_places_outside_the_area_of_use_are_rejected(tmp_path):
    intake = table(tmp_path, ["648100;5234100;1;", "648100;15234100;2;", "6481000;5234100;3;"], UTM)
    assert values(intake, "richness") == [1.0]
    assert intake.rejected["reason"].tolist() == [
        "lon '648100', lat '15234100' is outside the area of use of WGS 84 / UTM zone 32N",
        "lon '6481000', lat '5234100' is outside the area of use of WGS 84 / UTM zone 32N",
    ]
    assert intake.summary["rejected_by_kind"] == {"coordinates out of range": 2}
    # New Zealand's area of use crosses the antimeridian; 10 degrees around it are let through.
    rows = ["175;-40;1;", "-175;-40;2;", "152;-40;3;", "140;-40;4;", "-150;-40;5;"]
    assert values(table(tmp_path, rows, "EPSG:4167"), "richness") == [1.0, 2.0, 3.0]
    assert values(table(tmp_path, rows), "richness") == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_given_hostile_numbers(cases_dir):
    columns = {"richness": "richness", "lon": "lon", "lat": "lat"}
    for name in ("dotless-i.csv", "slow-number.csv"):
        intake = read_plots(cases_dir / "hostile" / name, columns=columns, max_rejected=1.0)
        assert intake.table["richness"].tolist() == [12.0]
        (reason,) = intake.rejected["reason"]
        assert reason.endswith("is not a number")
        assert len(reason) < 100
