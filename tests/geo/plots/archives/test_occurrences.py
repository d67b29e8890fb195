"""Occurrence cores and GBIF downloads: grouping, accepted names, single records, origins."""

import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.geo.plots.archives.test_darwin_core import PLACES, notes, richness
from tests.helpers.darwin_core import EML, File, archive, gbif_simple

COLUMNS = (
    *("id", "eventID", "eventDate", "decimalLatitude", "decimalLongitude", "samplingProtocol"),
    *("sampleSizeValue", "sampleSizeUnit", "scientificName", "acceptedNameUsage", "kingdom"),
)


def record(event, name, *, accepted="", kingdom="Plantae", place="a", date="2015-06-01", p="x"):
    return [f"{event}-{name}", event, date, *PLACES[place], p, 9, "m2", name, accepted, kingdom]


def test_records_are_grouped_by_event(tmp_path):
    rows = [
        record("1", "Poa annua"),
        record("1", "Poa annua L."),
        record("1", "Aira praecox", accepted="Avena praecox"),
        record("1", "Avena praecox"),
        record("1", "Boletus edulis", kingdom="Fungi"),
        record("2", "Poa annua", place="b"),
        record("2", "Carex nigra", place="b"),
    ]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows)))
    assert richness(intake) == {"1": 2, "2": 2}
    assert "1 records are not of plants (kingdom Fungi) and do not count" in notes(intake)
    assert intake.summary["imported"]["names"]["synonyms_joined"] == 1


def test_texts_for_missing_values_are_blank(tmp_path):
    """Tables of R have NA in blank cells, databases NULL: neither is a name, an id or an event."""
    columns = (*COLUMNS, "acceptedNameUsageID", "occurrenceStatus")
    rows = [
        [*record("NA", "Poa annua", accepted="NA"), "NA", "NA"],
        [*record("NA", "Carex nigra", accepted="NULL"), "NA", "present"],
        [*record("NA", "NA"), "", ""],
        [*record("NA", "Poa annua", accepted="NA", place="b"), "NA", ""],
    ]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", columns, rows)))
    assert intake.table["richness"].tolist() == [2, 1]
    assert intake.summary["imported"]["names"]["synonyms_joined"] == 0
    assert "1 records have no scientific name" in notes(intake)
    assert "occurrenceStatus" not in notes(intake)


def test_records_of_no_plants_found(tmp_path):
    columns = (*COLUMNS, "occurrenceStatus", "individualCount", "organismQuantity")
    states = [
        *(("present", "0,0", ""), ("present", "", "0 %"), ("excluded", "", ""), ("", "0.00", "")),
        *(("present", "1", ""), ("present", "", "+"), ("", "", "0,5"), ("doubtful", "", "")),
    ]
    rows = [[*record("1", f"Poa {'abcdefgh'[i]}nnua"), *state] for i, state in enumerate(states)]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", columns, rows)))
    assert richness(intake) == {"1": 4}
    assert "4 records state that the taxon is absent" in notes(intake)
    assert "occurrenceStatus 'doubtful' of 1 records is neither present nor absent" in notes(intake)


def test_records_of_several_areas_count_for_the_largest(tmp_path):
    rows = [record(e, n) for e in ("1", "2") for n in ("Poa annua", "Carex nigra", "Salix alba")]
    rows[1][6], rows[2][6] = 100, 25
    rows[3][6] = ""
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows)))
    assert intake.table["area_m2"].tolist() == [100, 9]
    assert "1 visits have records of several areas; the largest one counts" in notes(intake)


def test_a_time_behind_a_blank_is_no_day(tmp_path):
    rows = [
        record("1", "Poa annua", date="2015-06-01 10:00"),
        record("1", "Carex nigra", date="2015-06-01 10:05:30"),
        record("1", "Salix alba", date="2015-06-01T10:20"),
    ]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows)))
    assert richness(intake) == {"1": 3}
    assert intake.table["date"].dt.strftime("%Y-%m-%d").tolist() == ["2015-06-01"]


def test_surveys_of_others_are_no_plots_without_species(tmp_path):
    """Birds beside plants: their visits would count as plots of richness 0."""
    columns = (*COLUMNS, "occurrenceStatus")
    rows = [
        *([*record("1", n), ""] for n in ("Poa annua", "Carex nigra")),
        *([*record("2", n, kingdom="Animalia", place="b"), ""] for n in ("Turdus merula", "x")),
        *([*record("3", n, kingdom=k, place="c"), "absent"] for n, k in
          (("Poa annua", "Plantae"), ("Turdus merula", "Animalia"))),
    ]  # fmt: skip
    both = archive(tmp_path / "a.zip", File("occurrence", columns, rows))
    intake = import_plots(both)
    assert richness(intake) == {"1": 2, "3": 0}
    assert "1 visits have only records that do not count, such as those of animals" in notes(intake)
    birds = archive(tmp_path / "b.zip", File("occurrence", columns, rows[2:4]))
    with pytest.raises(PlotError, match=r"b.zip holds no records that count, only such of anim"):
        import_plots(birds)


def test_records_without_an_event_are_grouped_by_place_day_and_protocol(tmp_path):
    rows = [
        record("", "Poa annua"),
        record("", "Carex nigra"),
        record("", "Carex nigra", p="other"),
        record("", "Poa annua", date="2016-06-01"),
        record("", "Poa annua", place="b"),
        record("", "Bellis perennis", place="b"),
    ]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows)))
    assert intake.table["richness"].tolist() == [2, 1, 1, 2]
    assert intake.table["location"].tolist() == [0, 0, 0, 1]


def test_an_event_of_two_places_is_rejected(tmp_path):
    rows = [record("1", "Poa annua"), record("1", "Carex nigra", place="b")]
    rows += [record("2", "Poa annua", place="c")]
    path = archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows))
    intake = import_plots(path, ImportOptions(max_rejected=0.5))
    assert richness(intake) == {"2": 1}
    assert "eventID '1' has records of several places or days" in intake.rejected["reason"][0]


def test_accepted_names_may_be_stated_by_ids(tmp_path):
    columns = ("id", "eventID", "decimalLatitude", "decimalLongitude", "samplingProtocol")
    columns += ("scientificName", "taxonID", "acceptedNameUsageID")
    place = (*PLACES["a"], "x")
    rows = [
        ["1", "e", *place, "Avena praecox", "t1", "t1"],
        ["2", "e", *place, "Aira praecox", "t2", "t1"],
        ["3", "e", *place, "Poa alba", "t3", "t9"],  # t9 is not in the archive
        ["4", "e", *place, "Poa nivea", "t4", "t9"],
    ]
    intake = import_plots(archive(tmp_path / "a.zip", File("occurrence", columns, rows)))
    assert richness(intake) == {"e": 2}


GBIF = {
    "datasetKey": "d1",
    "kingdom": "Plantae",
    "taxonRank": "SPECIES",
    "occurrenceStatus": "PRESENT",
    "decimalLatitude": 47.123456,
    "decimalLongitude": 8.234567,
    "eventDate": "2015-06-01",
    "license": "CC_BY_NC_4_0",
    "basisOfRecord": "HUMAN_OBSERVATION",
}


def test_a_gbif_simple_csv_is_refused_unless_incomplete_lists_are_accepted(tmp_path):
    rows = [
        GBIF | {"gbifID": 1, "scientificName": "Poa annua L.", "species": "Poa annua"},
        GBIF | {"gbifID": 2, "scientificName": "Poa annua var. x", "species": "Poa annua"},
        GBIF | {"gbifID": 3, "scientificName": "Carex L.", "taxonRank": "GENUS"},
        GBIF | {"gbifID": 4, "scientificName": 'Carex "nigra', "datasetKey": "d2"},
        GBIF | {"gbifID": 5, "scientificName": "Poa alpina", "eventDate": "2016-06-01T10:00"},
        GBIF | {"gbifID": 6, "scientificName": "Poa bulbosa", "basisOfRecord": "FOSSIL_SPECIMEN"},
    ]
    path = gbif_simple(tmp_path / "g.zip", rows)
    with pytest.raises(PlotError, match=r"g.zip holds 6 single records, not surveys: .*--accept-"):
        import_plots(path)
    intake = import_plots(path, ImportOptions(accept_incomplete=True, doi="10.15468/dl.abc123"))
    assert intake.table["richness"].tolist() == [2, 1, 1]
    assert intake.table["list_complete"].tolist() == ["no"] * 3
    facts = intake.summary["imported"]
    assert facts["reference"]["doi"] == "10.15468/dl.abc123"
    assert {o["key"]: (o["plots"], o["licence"]) for o in facts["origins"]} == {
        "d1": (2, "CC-BY-NC-4.0"),
        "d2": (1, "CC-BY-NC-4.0"),
    }


def test_single_records_with_event_ids_of_their_own_are_no_surveys(tmp_path):
    """Each record is an event: a list of one species each is no survey."""
    rows = [record(f"e{i}", "Poa annua", date=f"2015-06-{i + 1:02d}") for i in range(12)]
    path = archive(tmp_path / "a.zip", File("occurrence", COLUMNS, rows))
    with pytest.raises(PlotError, match=r"holds 12 single records, not surveys"):
        import_plots(path)


def test_surveys_among_single_records_are_kept(tmp_path):
    rows = [record("1", "Poa annua"), record("1", "Carex nigra")]
    rows += [record("2", "Poa annua", place="b")]
    lone = record("", "Poa annua", place="c", p="")
    lone[6] = ""
    path = archive(tmp_path / "a.zip", File("occurrence", COLUMNS, [*rows, lone]))
    intake = import_plots(path)
    assert richness(intake) == {"1": 2, "2": 1}
    assert "1 of 3 places and days have single records only, no survey" in notes(intake)


def test_a_gbif_download_names_its_doi_and_data_sets(tmp_path):
    columns = (*COLUMNS, "datasetKey", "license")
    rows = [[*record("1", name), "key-1", "CC0_1_0"] for name in ("Poa annua", "Carex nigra")]
    download = EML.format(package="x").replace("10.15468/grass1", "10.15468/dl.xyz789")
    path = archive(
        tmp_path / "0001.zip",
        File("occurrence", columns, rows),
        eml__xml=download,
        **{"dataset/key-1__xml": EML.format(package="y")},
    )
    facts = import_plots(path).summary["imported"]
    assert facts["reference"]["doi"] == "10.15468/dl.xyz789"
    assert facts["reference"]["title"] == "GBIF Occurrence Download 10.15468/dl.xyz789"
    assert facts["origins"][0] | {"plots": 1} == {
        "key": "key-1",
        "title": "Grasslands of Somewhere",
        "doi": "10.15468/grass1",
        "licence": "CC-BY-NC-4.0",
        "citation": "Doe J (2020). Grasslands of Somewhere.",
        "plots": 1,
    }
