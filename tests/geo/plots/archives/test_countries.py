"""Coordinates against the country that an archive states, and what GBIF says of coordinates."""

import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.geo.plots.archives.test_darwin_core import LISTS, RICHNESS, notes, richness
from tests.geo.plots.archives.test_occurrences import GBIF
from tests.helpers.darwin_core import EVENT_COLUMNS, File, archive, gbif_simple, lists

SWISS = {"a": (47.123456, 8.234567), "b": (46.912345, 9.012345), "c": (46.554321, 7.654321)}


def events_in(places, countries=("Switzerland",) * 3) -> File:
    rows = [
        [name, name, "", "2015-06-01", *place, 10, "m2", "r", 5, country]
        for (name, place), country in zip(places.items(), countries, strict=True)
    ]
    return File("event", (*EVENT_COLUMNS, "country"), rows)


@pytest.mark.parametrize(
    ("mend", "mistake"),
    [
        (lambda lat, lon: (lon, lat), "latitude and longitude are exchanged"),
        (lambda lat, lon: (lat, -lon), "the sign of the longitude is wrong"),
        (lambda lat, lon: (-lat, lon), "the sign of the latitude is wrong"),
    ],
)
def test_coordinates_that_another_order_or_sign_brings_home(tmp_path, mend, mistake):
    wrong = {name: mend(*place) for name, place in SWISS.items()}
    path = archive(tmp_path / "a.zip", events_in(wrong), lists(LISTS))
    with pytest.raises(PlotError, match=rf"{mistake} in a.zip: only so do 3 of 3 plots lie in"):
        import_plots(path)


def test_plots_in_another_country_are_named(tmp_path):
    path = archive(tmp_path / "a.zip", events_in(SWISS), lists(LISTS))
    intake = import_plots(path)
    assert richness(intake) == RICHNESS
    assert "outside the country" not in notes(intake)
    assert "country" not in intake.table
    other = events_in(SWISS, ("Austria", "switzerland", "CH"))
    intake = import_plots(archive(tmp_path / "b.zip", other, lists(LISTS)))
    assert richness(intake) == RICHNESS
    assert "1 of 2 plots lie more than 0.2 degree outside the country that is" in notes(intake)


def test_doubts_of_gbif_are_said(tmp_path):
    rows = [
        GBIF | {"gbifID": i, "scientificName": name, "issue": issue}
        for i, (name, issue) in enumerate(
            [
                ("Poa annua", "COUNTRY_COORDINATE_MISMATCH;TAXON_MATCH_FUZZY"),
                ("Poa alpina", "COUNTRY_COORDINATE_MISMATCH"),
                ("Carex nigra", "TAXON_MATCH_FUZZY"),
            ]
        )
    ]
    intake = import_plots(
        gbif_simple(tmp_path / "g.zip", rows), ImportOptions(accept_incomplete=True)
    )
    assert "2 records have coordinates that GBIF doubts (COUNTRY_COORDINATE_MISM" in notes(intake)
    assert "FUZZY" not in notes(intake)


def test_places_made_less_exact_are_said(tmp_path):
    held = events_in(SWISS)
    held.columns = (*held.columns, "dataGeneralizations")
    texts = ("Coordinates rounded to 0.1 degree", "", "NA")
    held.rows = [[*row, text] for row, text in zip(held.rows, texts, strict=True)]
    intake = import_plots(archive(tmp_path / "a.zip", held, lists(LISTS)))
    assert "1 visits state dataGeneralizations, such as 'Coordinates rounded to 0" in notes(intake)
