"""Hemispheres in columns of their own, and letters behind coordinates."""

import pandas as pd
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.hemispheres import is_named_side
from spatioformer.geo.plots.recognise import recognise
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import PLACES, put

NAMED = PLACES | {"lat_hemisphere": "NS", "lon_hemisphere": "EW"}


def table(*rows) -> str:
    return "lat,NS,lon,EW,n\n" + "".join(f"{row},{i + 3}\n" for i, row in enumerate(rows))


def read(tmp_path, text, columns=NAMED, **options):
    return read_plots(put(tmp_path, text), columns=columns, **options)


def refusal(tmp_path, text, columns=NAMED) -> str:
    with pytest.raises(PlotError) as caught:
        read(tmp_path, text, columns)
    return str(caught.value)


def places(intake) -> list[list[float]]:
    return intake.table[["lon", "lat"]].to_numpy().tolist()


def test_letters_give_the_signs_of_coordinates_without(tmp_path):
    result = read(tmp_path, table("33.5,S,147.25,E", "12.25,N,70.5,W", "0.5,south,10,Este"))
    assert places(result) == [[147.25, -33.5], [-70.5, 12.25], [10.0, -0.5]]
    assert "column 'NS' gives the hemisphere of lat" in result.summary["notes"]


def test_the_columns_are_recognised_by_name_and_value(tmp_path):
    text = (
        "Latitud;Hemisferio lat;Longitud;E/W;Riqueza\n33,5;Sur;70,25;Oeste;3\n34,5;Sur;71,5;W;4\n"
    )
    found = recognise(open_source(put(tmp_path, text)))
    assert found.columns == {
        "lon": "Longitud",
        "lat": "Latitud",
        "lat_hemisphere": "Hemisferio lat",
        "lon_hemisphere": "E/W",
        "richness": "Riqueza",
    }
    assert (found.crs, found.questions, found.problems) == ("EPSG:4326", [], [])
    assert ("lat", "signs", "column 'Hemisferio lat' gives the hemisphere of lat") in [
        (d.what, d.value, d.why) for d in found.decisions
    ]
    assert places(read(tmp_path, text, None)) == [[-70.25, -33.5], [-71.5, -34.5]]


def test_numbers_of_a_typed_table_get_letters_too():
    frame = pd.DataFrame({"lon": [70.5, 71], "EW": ["W", "W"], "lat": [3.5, 4], "n": [3, 4]})
    columns = {k: v for k, v in NAMED.items() if k != "lat_hemisphere"}
    assert places(read_plots(frame, columns=columns)) == [[-70.5, 3.5], [-71.0, 4.0]]


def test_degrees_and_minutes_get_letters_too(tmp_path):
    result = read(tmp_path, table("33 30 00,S,70 15 00,W", "34 00 00,S,70:30,W", "35S,S,70,W"))
    assert places(result) == [[-70.25, -33.5], [-70.5, -34.0], [-70.0, -35.0]]


def test_signs_that_agree_stay(tmp_path):
    result = read(tmp_path, table("-33.5,S,147.25,E", "12.25,N,-70.5,W", "0,S,-1,"))
    assert places(result) == [[147.25, -33.5], [-70.5, 12.25], [-1.0, 0.0]]
    assert "the signs of lat agree with column 'NS'" in result.summary["notes"]


@pytest.mark.parametrize("row", ["-33.5,N,147.25,E", "33.5,S,147.25,E"])
def test_signs_that_disagree_are_refused(tmp_path, row):
    message = refusal(tmp_path, table("-1,S,1,E", row))
    assert "column 'lat' (lat) has signs" in message
    assert "does not agree with" in message


def test_o_is_refused(tmp_path):
    message = refusal(tmp_path, table("33.5,S,70.5,O"))
    assert message == (
        "column 'EW' (lon_hemisphere) holds 'O', which is west (oeste, ouest) or east (Ost); write "
        "W or E"
    )
    found = recognise(open_source(put(tmp_path, "lat,lon,richness\n33.5S,70.5O,3\n34S,71O,4\n")))
    assert "column 'lon' holds none (O in '70.5O' means west or east; write W or E)" in (
        found.questions[0].why
    )
    found = recognise(open_source(put(tmp_path, table("33.5,S,70.5,O", "3,S,7.5,O"))))
    assert any("holds 'O'" in problem for problem in found.problems)


def test_rows_without_a_hemisphere_are_rejected(tmp_path):
    rows = ["33.5,S,147.25,E", "12.25,,70.5,W", "12.25,Q,70.5,W"]
    result = read(tmp_path, table(*rows), max_rejected=0.9)
    assert places(result) == [[147.25, -33.5]]
    assert result.rejected["reason"].tolist() == [
        "lat '12.25' has no N or S, which other cells have",
        "lat '12.25 Q' is no coordinate in degrees, minutes and seconds",
    ]
    assert "is blank in every row" in refusal(tmp_path, table("33.5,,147.25,E"))


def test_a_column_that_is_not_named_has_to_agree(tmp_path):
    message = refusal(tmp_path, table("1,N,1,E", "33.5,S,147.25,E"), PLACES)
    assert message == (
        "column 'lat' (lat) holds '33.5' where column 'NS' says 'S'; set columns.lat_hemisphere to "
        "'NS', or remove that column"
    )
    assert places(read(tmp_path, table("-33.5,S,147.25,E"), PLACES)) == [[147.25, -33.5]]


def test_other_cells_are_no_hemispheres(tmp_path):
    assert places(read(tmp_path, table("33.5,S,147.25,3", "1,ns,1,4"), PLACES)) == [
        [147.25, 33.5],
        [1.0, 1.0],
    ]


def test_letters_behind_coordinates_need_no_column(tmp_path):
    text = "lat,lon,richness\n33.5S,147.5E,3\n12.25N,70.5W,4\n"
    assert places(read(tmp_path, text, None)) == [[147.5, -33.5], [-70.5, 12.25]]


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("N/S", "lat"),
        ("lat_dir", "lat"),
        ("GPSLatitudeRef", "lat"),
        ("Hemisphere", "lat"),
        ("Hemisphere", "lon"),
        ("E_W", "lon"),
        ("Longitude hemisphere", "lon"),
    ],
)
def test_names_of_hemispheres(name, axis):
    assert is_named_side(name, axis)


@pytest.mark.parametrize(
    "name", ["aspect", "slope_dir", "ref_species", "lat", "wind direction", "Direction", "ref"]
)
def test_names_of_other_columns(name):
    assert not is_named_side(name, "lat")
    assert not is_named_side(name, "lon")
