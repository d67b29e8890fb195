"""Dates with the name of the month."""

import pytest

from spatioformer.geo.plots.dates import find_order, parse_date
from spatioformer.geo.plots.month_names import _MONTHS, MONTHS
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import PLACES, put


def intake(tmp_path, text, columns):
    return read_plots(put(tmp_path, text), columns=columns)


def dated(*days) -> str:
    return "lon,lat,n,day\n" + "".join(f"{i + 1}.5,2.5,3,{day}\n" for i, day in enumerate(days))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("5 Jan 2014", "2014-01-05"),
        ("5-ene-2014", "2014-01-05"),
        ("05.Januar 2014", "2014-01-05"),
        ("5. März 2014", "2014-03-05"),
        ("5 de enero de 2014", "2014-01-05"),
        ("1er janvier 2014", "2014-01-01"),
        ("12 AOÛT 1999", "1999-08-12"),
        ("1º de maio de 2014", "2014-05-01"),
        ("5 out 2014", "2014-10-05"),
        ("5october2014", "2014-10-05"),
        ("January 5, 2014", "2014-01-05"),
        ("Sept. 4th, 2010", "2010-09-04"),
        ("2014-Mar-05", "2014-03-05"),
        ("05-dic-2014 10:30", "2014-12-05"),
        ("Mai 2014", "2014-05-01"),
    ],
)
def test_names_of_months_in_five_languages(text, day):
    assert parse_date(text).isoformat() == day
    assert parse_date(text, "month-first").isoformat() == day


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("5-Jan-14", "has a year of two digits"),
        ("31 Feb 2014", "is not a day of the calendar"),
        ("5 Foo 2014", "is neither a year nor written"),
        ("Jan 14", "is neither a year nor written"),
        ("5 Jan 1066", "is outside the years"),
    ],
)
def test_dates_with_names_that_are_none(text, reason):
    assert parse_date(text).startswith(reason)


def test_every_name_of_a_month_means_one():
    for name in MONTHS:
        assert sum(name in names.split() for names in _MONTHS) == 1
    assert {MONTHS[name] for name in ("mar", "mrz", "marco", "marzo", "mars")} == {3}


def test_a_named_month_is_said_and_decides_no_order(tmp_path):
    days = ["5-ene-2014", "6/2/2014", "25/12/2014"]
    result = intake(tmp_path, dated(*days), PLACES | {"date": "day"})
    assert result.table["date"].astype(str).tolist() == ["2014-01-05", "2014-02-06", "2014-12-25"]
    assert (
        "date: the name is the month: '5-ene-2014' was read as 2014-01-05"
        in result.summary["notes"]
    )
    assert find_order(["5-ene-2014"]).order is None
    found = intake(tmp_path, "lon,lat,richness,Fecha\n1.5,2.5,3,5-ene-2014\n", None)
    assert found.table["date"].astype(str).tolist() == ["2014-01-05"]
