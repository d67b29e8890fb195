"""Areas, durations, ranges of dates, rounded coordinates, species and area."""

import numpy as np
import pandas as pd
import pytest
import shapely

from spatioformer.geo.land.capitals import load_capitals
from spatioformer.geo.land.store import load
from spatioformer.geo.plots.archives.coordinates import (
    GBIF_SECRETARIAT,
    placeholders,
    rounding,
    rounding_notes,
    step_metres,
    to_wgs84,
)
from spatioformer.geo.plots.archives.effort import area_m2, first_day, hours, is_area, is_duration
from spatioformer.geo.plots.archives.nested import species_area


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("100", "m2", 100),
        ("0.01", "ha", 100),
        ("0,25", "Hectares", 2500),
        ("1e-2", "km²", 10_000),
        ("4", "square metre", 4),
        ("10 x 20", "m", 200),
        ("100.0 x 100.0", "", 10_000),
        ("400 m2", "", 400),
        ("1", "acre", 4046.8564224),
        ("43560", "sq. ft", 4046.8564224),
        ("100", "feet", None),
        ("1,000", "m2", None),  # a thousand, or one
        ("1,000 x 2", "m", None),
        ("0,125", "ha", 1250),
        ("1.000", "m2", 1),
        ("100", "m", None),
        ("3", "observer hours", None),
        ("0", "m2", None),
        ("many", "m2", None),
        ("", "", None),
    ],
)
def test_areas(value, unit, expected):
    assert area_m2(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("90", "minutes", 1.5),
        ("2 h", "", 2),
        ("1", "day", 24),
        ("10", "m2", None),
        ("x", "h", None),
    ],
)
def test_durations(value, unit, expected):
    assert hours(value, unit) == expected


def test_types_of_measurements():
    assert all(map(is_area, ("plot area", "plotSize", "sampled area", "Area sampled", "area")))
    assert not any(map(is_area, ("leaf area", "basal area", "area of leaf", "cover", "slope")))
    assert is_duration("sampling duration")
    assert not is_duration("time of flowering")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2003-05-01/2003-05-20", ("2003-05-01", 20)),
        ("2003-05-01/20", ("2003-05-01", 20)),
        ("2003-05/2003-06", ("2003-05", 61)),
        ("2003/2004", ("2003", 731)),
        ("2003-05-01T10:00Z/2003-05-01T12:00Z", ("2003-05-01", 1)),
        ("2003-05-20/2003-05-01", None),
        ("5/1/2003", None),
        ("2003-05-01", None),
        ("2003-13/2003-14", None),
    ],
)
def test_ranges_of_dates(text, expected):
    assert first_day(text) == expected


def test_rounding_is_found_where_chance_does_not_explain_it():
    draw = np.random.default_rng(0)
    lon, lat = draw.uniform(0, 30, 1000), draw.uniform(40, 60, 1000)
    assert np.isnan(rounding(lon.round(6), lat.round(6), True)).all()
    steps = rounding(np.where(np.arange(1000) < 300, lon.round(1), lon),
                     np.where(np.arange(1000) < 300, lat.round(1), lat), True)  # fmt: skip
    assert (steps[:300] == 0.1).mean() > 0.95
    assert np.isnan(steps[300:]).all()
    assert "coordinates rounded to 0.1 degree (about 11.1 km)" in rounding_notes(steps, True)[0]


def test_all_places_of_two_decimals_are_not_taken_for_coarser_ones():
    draw = np.random.default_rng(1)
    lon, lat = draw.uniform(0, 30, 3000).round(2), draw.uniform(40, 60, 3000).round(2)
    steps = rounding(lon, lat, True)
    assert (steps == 0.01).all()


def test_rounding_in_metres():
    draw = np.random.default_rng(2)
    x, y = draw.uniform(4e5, 5e5, (2, 500))
    steps = rounding(np.round(x, -3), np.round(y, -3), False)
    assert (steps == 1000).mean() > 0.95
    assert step_metres(steps, False)[0] == steps[0]


def test_places_that_stand_for_a_country():
    held = load()
    france = shapely.centroid(held.shapes[held.names.index("France")])
    lon = np.array([france.x, 8.234567, GBIF_SECRETARIAT[0], np.nan])
    lat = np.array([france.y, 47.123456, GBIF_SECRETARIAT[1], 1.0])
    assert placeholders(lon, lat) == ["centroid of France", "", "GBIF secretariat", ""]
    assert placeholders(lon[3:], lat[3:]) == [""]


def test_places_of_capitals():
    names, places = load_capitals()
    assert len(names) == len(places) == 243
    at = places[names.index("Quito")]
    assert abs(at - (-78.525, -0.2298)).max() < 1e-9
    lon, lat = at[0] + np.array([0, 0.005, 0.02]), np.full(3, at[1])  # 0, 0.56 and 2.2 km
    assert placeholders(lon, lat) == ["capital Quito", "capital Quito", ""]
    shapes = dict(zip(load().names, load().shapes, strict=True))
    inside = {
        "Quito": "Ecuador",
        "Vienna": "Austria",
        "New Delhi": "India",
        "Canberra": "Australia",
    }
    for capital, country in inside.items():
        assert shapes[country].contains(shapely.Point(places[names.index(capital)]))


def test_other_datums_are_converted():
    frame = pd.DataFrame(
        {
            "lon": ["-100.0", "8.0", "8.0", "x"],
            "lat": ["40.0", "47.0", "47.0", "47"],
            "datum": ["NAD27", "EPSG:4326", "Atlantis 1900", "NAD27"],
        }
    )
    moved, notes = to_wgs84(frame)
    assert abs(float(moved["lon"][0]) + 100.0004) < 2e-4
    assert moved.iloc[1:].equals(frame.iloc[1:])
    assert notes[0] == "1 visits were converted from NAD27 to WGS 84"
    assert "the datum 'Atlantis 1900' of 1 visits is not known" in notes[1]


def test_species_area_recovers_the_exponent():
    area = np.array([1.0, 10.0, 100.0, 1000.0, np.nan])
    relation = species_area(area, np.append(5 * area[:4] ** 0.25, 7.0))
    assert relation["exponent"] == pytest.approx(0.25)
    assert relation["unknown"] == 1
    assert [c["plots"] for c in relation["classes"]] == [1, 1, 1, 1]
    assert species_area(area[:2], np.array([1.0, 2.0]))["exponent"] is None


def test_many_areas_are_shown_by_powers_of_ten():
    area = np.linspace(1, 999, 200)
    classes = species_area(area, np.ones(200))["classes"]
    assert [(c["from"] >= 10**i) for i, c in enumerate(classes)] == [True] * 3
    assert sum(c["plots"] for c in classes) == 200
