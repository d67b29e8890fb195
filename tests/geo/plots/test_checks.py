"""Row checks: the reason of each rejected row, and what is let through."""

import datetime

import numpy as np
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import checks as plot_checks
from spatioformer.geo.plots import dates as plot_dates
from spatioformer.geo.plots.dates import parse_date
from spatioformer.geo.plots.table import read_plots
from spatioformer.geo.plots.verdicts import REMEDIES
from tests.helpers.plot_tables import ALL, PLACES, put

HEADER = "plot,lon,lat,n,area,day,by\n"
KEPT = "good,141.0,-31.0,5,100,2001,us\n"
REGION = [112, 154, -44, -10]


def judge(tmp_path, row, **options):
    """Kind and reason for which a row is rejected; ('', '') when it is kept."""
    intake = read_plots(
        put(tmp_path, HEADER + KEPT + row + "\n"), columns=ALL, max_rejected=1.0, **options
    )
    assert intake.table["plot_id"].iloc[0] == "good"
    assert len(intake.table) + len(intake.rejected) == 2
    if intake.rejected.empty:
        return "", ""
    assert intake.rejected["source_line"].tolist() == [3]
    (kind,) = intake.summary["rejected_by_kind"]
    assert kind in REMEDIES
    return kind, intake.rejected["reason"][0]


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ("A,,-31,5,,,", "missing coordinates", "lon is missing"),
        ("A,141,NA,5,,,", "missing coordinates", "lat is missing"),
        ("A,,,5,,,", "missing coordinates", "lon is missing"),
        ("A,east,-31,5,,,", "text for numbers", "lon 'east' is not a number"),
        ("A,141,31°30'S,5,,,", "text for numbers", 'lat "31°30\'S" is not a number'),
        ("A,1_41,-31,5,,,", "text for numbers", "lon '1_41' is not a number"),
        ("A,True,-31,5,,,", "text for numbers", "lon 'True' is not a number"),
        (
            'A,"141,5",-31,5,,,',
            "decimal commas",
            "lon '141,5' has a comma where a decimal point belongs",
        ),
        (
            'A,141,-31,"1,200",,,',
            "decimal commas",
            "richness '1,200' has a comma where a decimal point belongs",
        ),
        ("A,inf,-31,5,,,", "infinite numbers", "lon 'inf' is not finite"),
        ("A,141,-1e999,5,,,", "infinite numbers", "lat '-1e999' is not finite"),
        ("A,0,0,5,,,", "coordinates (0, 0)", "lon '0', lat '0' is the point (0, 0), a placeholder"),
        (
            "A,0.00,-0.0,5,,,",
            "coordinates (0, 0)",
            "lon '0.00', lat '-0.0' is the point (0, 0), a placeholder",
        ),
        ("A,-31,141,5,,,", "swapped coordinates", "lon '-31', lat '141' look swapped"),
        ("A,141,-91,5,,,", "coordinates out of range", "lat '-91' is outside -90..90"),
        ("A,181,-31,5,,,", "coordinates out of range", "lon '181' is outside -180..180"),
        ("A,200,100,5,,,", "coordinates out of range", "lat '100' is outside -90..90"),
        ("A,141,-31,,,,", "missing richness", "richness is missing"),
        ("A,141,-31,n/a,,,", "missing richness", "richness is missing"),
        ("A,141,-31,many,,,", "text for numbers", "richness 'many' is not a number"),
        ("A,141,-31,-3,,,", "negative richness", "richness '-3' is negative"),
        ("A,141,-31,-0.5,,,", "negative richness", "richness '-0.5' is negative"),
        ("A,141,-31,12.5,,,", "fractional richness", "richness '12.5' is not a whole number"),
        ("A,141,-31,inf,,,", "infinite numbers", "richness 'inf' is not finite"),
        ("A,141,-31,5,0,,", "areas not above 0", "area_m2 '0' is not above 0"),
        ("A,141,-31,5,-400,,", "areas not above 0", "area_m2 '-400' is not above 0"),
        ("A,141,-31,5,1 ha,,", "text for numbers", "area_m2 '1 ha' is not a number"),
        (
            "A,141,-31,5,,03/04/2014,",
            "unreadable dates",
            "date '03/04/2014' may begin with the day or the month, and its column does not decide",
        ),
        (
            "A,141,-31,5,,2015-02-29,",
            "unreadable dates",
            "date '2015-02-29' is not a day of the calendar",
        ),
        (
            "A,141,-31,5,,2914,",
            "unreadable dates",
            "date '2914' is outside the years 1700 to 2100",
        ),
        (
            "good,141,-31,5,100,2001-01-01,them",
            "duplicate rows",
            "repeats line 2: plot_id 'good' with the same coordinates, date, area and richness",
        ),
        ("A,141,-31,5", "broken rows", "the row has 4 fields where the header has 7"),
        ("A,141,-31,5,,,,8", "broken rows", "the row has 8 fields where the header has 7"),
    ],
)
def test_rejected(tmp_path, row, kind, reason):
    assert judge(tmp_path, row) == (kind, reason)


@pytest.mark.parametrize(
    "row",
    [
        "A,141,-31,5,,,",
        "A,-180,90,0,,,",
        "A,180,-90,5,,,",
        "A,0,51.5,5,,,",
        "A,100.5,0,5,,,",
        "A,+1.5e1,-.5,5.0,1E3,,",
        "A,141,-31,5,n/a,NA,null",
        "A,60,80,5,,,",  # would fit swapped too, which is no reason to doubt it
        "good,141,-31,5,100,2002,us",
        "good,141,-31,5,400,2001,us",
        "good,141,-31,6,100,2001,us",
        ",141,-31,5,100,2001,us",
        "A,141,-31,5,,,,,,",
    ],
)
def test_kept(tmp_path, row):
    assert judge(tmp_path, row) == ("", "")


def test_areas_may_all_be_unknown(tmp_path):
    text = "lon,lat,n,area\n1,2,3,\n1,2,4,NA\n"
    intake = read_plots(put(tmp_path, text), columns=PLACES | {"area_m2": "area"})
    assert intake.table["area_m2"].isna().tolist() == [True, True]
    assert intake.summary["area_m2"] == {"known": 0, "min": None, "median": None, "max": None}


def test_duplicates_need_a_plot_id(tmp_path):
    text = "lon,lat,n\n1,2,3\n1,2,3\n"
    table = read_plots(put(tmp_path, text), columns=PLACES).table
    assert table["plot_id"].tolist() == ["line-2", "line-3"]
    assert table["location"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ("A,-31,141,5,,,", "swapped coordinates", "lon '-31', lat '141' look swapped"),
        (
            "A,111.9,-31,5,,,",
            "places outside the region",
            "lon '111.9', lat '-31' is outside region [112, 154, -44, -10]",
        ),
        (
            "A,141,-9.9,5,,,",
            "places outside the region",
            "lon '141', lat '-9.9' is outside region [112, 154, -44, -10]",
        ),
        ("A,141,91,5,,,", "coordinates out of range", "lat '91' is outside -90..90"),
        ("A,20,100,5,,,", "swapped coordinates", "lon '20', lat '100' look swapped"),
        ("A,112,-44,5,,,", "", ""),
        ("A,154,-10,5,,,", "", ""),
    ],
)
def test_region(tmp_path, row, kind, reason):
    assert judge(tmp_path, row, region=REGION) == (kind, reason)


def test_region_tells_swaps_that_the_globe_cannot(tmp_path):
    # Chile: both (lon, lat) and (lat, lon) are places on Earth; only the region knows.
    text = "lon,lat,n\n-70.5,-33.25,4\n-33.25,-70.5,4\n"
    options = {"columns": PLACES, "max_rejected": 1.0}
    assert read_plots(put(tmp_path, text), **options).rejected.empty
    intake = read_plots(put(tmp_path, text), **options, region=[-80, -60, -60, -15])
    assert intake.rejected["reason"].tolist() == ["lon '-33.25', lat '-70.5' look swapped"]


def test_region_across_the_antimeridian(tmp_path):
    text = "lon,lat,n\n179,-17,4\n-179,-17,4\n170,-17,4\n"
    intake = read_plots(
        put(tmp_path, text), columns=PLACES, region=[175, -175, -20, -15], max_rejected=1.0
    )
    assert intake.table["lon"].tolist() == [179.0, -179.0]


def test_projected_coordinates(tmp_path):
    # UTM zone 17 south: 300 km of slack east and west are no swap; the swap itself is.
    rows = ["797178,8932755", "1200000,8932755", "8932755,797178", "1e12,1e12", "0,0"]
    text = "lon,lat,n\n" + "".join(f"{row},4\n" for row in rows)
    intake = read_plots(put(tmp_path, text), columns=PLACES, crs="EPSG:32717", max_rejected=1.0)
    assert intake.table["source_line"].tolist() == [2, 3]
    assert intake.rejected["reason"].tolist() == [
        "lon '8932755', lat '797178' look swapped",
        "lon '1e12', lat '1e12' is outside the domain of WGS 84 / UTM zone 17S",
        "lon '0', lat '0' is the point (0, 0), a placeholder",
    ]


def test_somewhat_beyond_the_zone_of_a_projection_is_no_swap(tmp_path):
    # Nigeria in UTM zone 31 north, 60 km east of the zone: exchanged it would lie inside.
    text = "lon,lat,n\n900000,500000,4\n"
    table = read_plots(put(tmp_path, text), columns=PLACES, crs="EPSG:32631").table
    assert table["lon"][0] == pytest.approx(6.6034, abs=1e-4)
    assert table["lat"][0] == pytest.approx(4.5146, abs=1e-4)


def test_location_is_shared_to_a_tenth_of_a_metre(tmp_path):
    text = "lon,lat,n\n1.00000001,2,3\n1,2,4\n1.00001,2,5\n1,2.0000000001,6\n"
    table = read_plots(put(tmp_path, text), columns=PLACES).table
    assert table["location"].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1990", (1990, 1, 1)),
        ("1990.0", (1990, 1, 1)),
        ("1888-07-05", (1888, 7, 5)),
        ("2014-5-3", (2014, 5, 3)),
        ("2014/05/03", (2014, 5, 3)),
        ("2014-05", (2014, 5, 1)),
        ("20140503", (2014, 5, 3)),
        ("2014-05-03T23:59:59.5Z", (2014, 5, 3)),
        ("2014-05-03 00:00:00+10:00", (2014, 5, 3)),
        ("2016-02-29", (2016, 2, 29)),
    ],
)
def test_dates(text, date):
    assert parse_date(text) == datetime.date(*date)


@pytest.mark.parametrize("text", ["", "NA", "0", "0.0", "0000", "null", "None", "nan"])
def test_missing_dates(text):
    assert parse_date(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2014",
        "31/12/2014",
        "3 Mei 2014",
        "2014-05-03 noon",
        "2014-05/03",
        "2014-13-01",
        "2014-00-00",
        "41000",
        "1699",
        "2101-01-01",
        "-1990",
        "1990.5",
        "2014-05-03/2014-05-10",
    ],
)
def test_unreadable_dates(text):
    assert isinstance(parse_date(text), str)


def test_years_and_days_reach_the_table(tmp_path):
    text = "lon,lat,n,day\n1,2,3,1990.0\n1,2,3,0\n1,2,3,\n1,2,3,2014-05-03T10:00\n"
    table = read_plots(put(tmp_path, text), columns=PLACES | {"date": "day"}).table
    assert table["date"].dt.strftime("%Y-%m-%d").fillna("-").tolist() == [
        "1990-01-01",
        "-",
        "-",
        "2014-05-03",
    ]


@pytest.mark.parametrize(
    ("name", "broken", "row", "kind"),
    [
        (
            "numbers",
            lambda texts, style: np.array([float(text or "nan") for text in texts]),
            "A,1_41,-31,5,,,",
            "text for numbers",
        ),
        (
            "_inside",
            lambda lon, lat, region: np.ones(len(lon), dtype=bool),
            "A,-31,141,5,,,",
            "swapped coordinates",
        ),
        (
            "_check_duplicates",
            lambda cells, values, verdicts: None,
            "good,141,-31,5,100,2001,us",
            "duplicate rows",
        ),
        ("LAST_YEAR", 3000, "A,141,-31,5,,2914,", "unreadable dates"),
    ],
)
def test_the_row_tests_notice_a_broken_check(tmp_path, monkeypatch, name, broken, row, kind):
    assert judge(tmp_path, row)[0] == kind
    module = plot_dates if name == "LAST_YEAR" else plot_checks
    monkeypatch.setattr(module, name, broken)
    assert judge(tmp_path, row)[0] != kind


@pytest.mark.parametrize(
    ("name", "broken", "test"),
    [
        ("_SLACK", 0.0, test_somewhat_beyond_the_zone_of_a_projection_is_no_swap),
        ("_home", lambda crs: plot_checks.WORLD, test_projected_coordinates),
    ],
)
def test_the_place_tests_notice_a_broken_check(tmp_path, monkeypatch, name, broken, test):
    monkeypatch.setattr(plot_checks, name, broken)
    with pytest.raises((AssertionError, PlotError)):
        test(tmp_path)
