"""Darwin Core archives: known answers, both cores, extensions, and how files may be written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.helpers.darwin_core import (
    DWC,
    EML,
    File,
    archive,
    events,
    gbif_simple,
    lists,
    meta,
)

PLACES = {"a": (47.123456, 8.234567), "b": (46.912345, 9.512345), "c": (45.654321, 7.654321)}
LISTS = {
    "a": ["Poa annua L.", "Carex nigra", "Bellis perennis", "-Abies alba"],
    "b": ["Poa annua", "Poa pratensis L."],
    "c": ["Picea abies (L.) H.Karst."],
}
RICHNESS = {"a": 3, "b": 2, "c": 1}


def core(**changes) -> File:
    rows = [
        (name, "", f"2015-06-0{i}", lat, lon, 10 * i, "m2", "relevé", 5)
        for i, (name, (lat, lon)) in enumerate(PLACES.items(), start=1)
    ]
    return events(*rows, **changes)


def richness(intake) -> dict[str, float]:
    return dict(zip(intake.table["plot_id"], intake.table["richness"], strict=True))


def notes(intake) -> str:
    return "\n".join(intake.summary["notes"])


# --- event core -----------------------------------------------------------------------------------


def test_an_event_core_and_its_lists(tmp_path):
    intake = import_plots(archive(tmp_path / "a.zip", core(), lists(LISTS)))
    table = intake.table
    assert richness(intake) == RICHNESS
    assert table["area_m2"].tolist() == [10, 20, 30]
    assert table[["lat", "lon"]].to_numpy().tolist() == [list(p) for p in PLACES.values()]
    assert table["date"].dt.strftime("%Y-%m-%d").tolist() == [f"2015-06-0{i}" for i in (1, 2, 3)]
    assert table["list_complete"].tolist() == ["not stated"] * 3
    assert table["coordinate_uncertainty_m"].tolist() == [5, 5, 5]
    assert table["source_line"].tolist() == [2, 3, 4]
    assert "1 records state that the taxon is absent" in notes(intake)


def test_the_archive_says_whose_it_is(tmp_path):
    facts = import_plots(archive(tmp_path / "a.zip", core(), lists(LISTS))).summary["imported"]
    assert facts["reference"] == {
        "key": "",
        "title": "Grasslands of Somewhere",
        "doi": "10.15468/grass1",
        "licence": "CC-BY-NC-4.0",
        "citation": "Doe J (2020). Grasslands of Somewhere.",
    }
    assert facts["completeness"] == {"yes": 0, "no": 0, "not stated": 3}


def test_metadata_that_cannot_be_read_cost_a_note_not_the_plots(tmp_path):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS), eml__xml="<eml")
    intake = import_plots(path)
    assert richness(intake) == RICHNESS
    assert "the metadata are not used: eml.xml of a.zip is no valid XML" in notes(intake)
    assert intake.summary["imported"]["reference"]["doi"] == ""


WAYS = {
    "commas and quotes": {"separator": ",", "quote": '"'},
    "semicolons": {"separator": ";"},
    "no header": {"header": False},
    "latin-1": {"encoding": "ISO-8859-1"},
    "utf-16": {"encoding": "UTF-16"},
    "windows line ends": {"line_end": "\r\n"},
    "three parts": {"parts": 3},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_files_may_be_written_in_many_ways(tmp_path, way):
    path = archive(tmp_path / "a.zip", core(**way), lists(LISTS, **way))
    intake = import_plots(path)
    assert richness(intake) == RICHNESS
    assert intake.table["protocol"].tolist() == ["relevé"] * 3


def test_a_folder_is_read_like_its_zip(tmp_path):
    import zipfile

    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    with zipfile.ZipFile(path) as held:
        held.extractall(tmp_path / "a" / "inner")
    assert richness(import_plots(tmp_path / "a")) == RICHNESS


def test_constants_and_defaults_of_terms(tmp_path):
    plain = core()
    columns = [c if c != "samplingProtocol" else "" for c in plain.columns]
    rows = [list(row) for row in plain.rows]
    rows[1][3] = ""  # a date that the default fills in
    changed = File(
        "event",
        columns,
        rows,
        constants={"samplingProtocol": "constant", "datasetName": "Alps"},
        defaults={"eventDate": "1999-01-02"},
    )
    table = import_plots(archive(tmp_path / "a.zip", changed, lists(LISTS))).table
    assert table["protocol"].tolist() == ["constant"] * 3
    assert table["programme"].tolist() == ["Alps"] * 3
    assert table["date"].dt.year.tolist() == [2015, 1999, 2015]


def test_quoted_text_may_hold_separators_and_line_ends(tmp_path):
    remarked = lists(LISTS, separator=",", quote='"')
    remarked.columns = (*remarked.columns, "")
    remarked.rows = [[*row, 'wet,\n"deep"'] for row in remarked.rows]
    assert richness(import_plots(archive(tmp_path / "a.zip", core(), remarked))) == RICHNESS


# --- hierarchies ----------------------------------------------------------------------------------


def test_children_inherit_places_and_layers_are_parts(tmp_path):
    nested = events(
        ("site", "", "2015-06-01", 47.123456, 8.234567, "", "", "relevé", 5),
        ("tree layer", "site", "", "", "", "", "", "", ""),
        ("herb layer", "site", "", "", "", "", "", "", ""),
        ("later", "site", "2016-06-01", "", "", "", "", "", ""),
    )
    found = {"tree layer": ["Picea abies"], "herb layer": ["Picea abies", "Poa annua"]}
    intake = import_plots(
        archive(tmp_path / "a.zip", nested, lists(found | {"later": ["Poa annua"]}))
    )
    assert richness(intake) == {"site": 2, "later": 1}
    assert intake.table["lon"].tolist() == [8.234567, 8.234567]
    assert intake.table["protocol"].tolist() == ["relevé", "relevé"]
    assert "2 events state neither place, day nor size of their own" in notes(intake)


NEST = events(
    ("nest", "", "2015-06-01", 47.123456, 8.234567, "", "", "", ""),
    ("s1", "nest", "", "", "", 1, "m2", "", ""),
    ("s10", "nest", "", "", "", 10, "m2", "", ""),
    ("s100", "nest", "", "", "", 0.01, "ha", "", ""),
    ("lone", "", "2015-06-02", 46.912345, 9.512345, 50, "m²", "", ""),
)
NEST_LISTS = {
    "s1": ["Poa annua", "Carex nigra"],
    "s10": ["Bellis perennis"],
    "s100": ["Picea abies", "Poa annua"],
    "lone": ["Poa annua"],
}


def test_nested_plots_are_joined_into_the_largest(tmp_path):
    path = archive(tmp_path / "a.zip", NEST, lists(NEST_LISTS))
    intake = import_plots(path)
    assert richness(intake) == {"s100": 4, "lone": 1}
    assert intake.table["area_m2"].tolist() == [100, 50]
    assert intake.summary["imported"]["nested"] == {
        "rule": "largest",
        "nests": 1,
        "plots_joined": 2,
        "areas": {"1 + 10 + 100": 1},
    }
    assert "at 1 places the smaller plots hold species that the largest one" in notes(intake)


def test_all_nested_plots_can_be_kept(tmp_path):
    path = archive(tmp_path / "a.zip", NEST, lists(NEST_LISTS))
    intake = import_plots(path, ImportOptions(nested="all"))
    assert richness(intake) == {"s1": 2, "s10": 1, "s100": 2, "lone": 1}
    assert intake.table["site"].tolist() == ["nest"] * 3 + [""]
    assert "1 places have nested plots of several areas; all of them are kept" in notes(intake)


def test_parents_that_lead_back_are_refused(tmp_path):
    looped = events(
        ("a", "b", "2015", 47.1, 8.2, 1, "m2", "", ""),
        ("b", "a", "2016", 47.1, 8.2, 2, "m2", "", ""),
    )
    path = archive(tmp_path / "a.zip", looped, lists({"a": ["Poa annua"]}))
    with pytest.raises(PlotError, match=r"the parents of event 'a' .* lead back"):
        import_plots(path)


# --- Humboldt terms, measurements -----------------------------------------------------------------


def humboldt(*rows) -> File:
    columns = ("id", "isTaxonomicScopeFullyReported", "taxonCompletenessReported")
    columns += ("targetTaxonomicScope", "totalAreaSampledValue", "totalAreaSampledUnit")
    return File("humboldt", (*columns, "eventDurationValue", "eventDurationUnit"), rows)


def test_humboldt_terms_state_completeness_area_and_duration(tmp_path):
    bare = events(
        *((n, "", "2015", lat, lon, "", "", "", "") for n, (lat, lon) in PLACES.items()),
        ("empty", "", "2015", 44.123456, 8.654321, "", "", "", ""),
    )
    terms = humboldt(
        ["a", "true", "", "Tracheophyta", 0.04, "ha", 90, "minutes"],
        ["b", "", "reportedIncomplete", "", "", "", "", ""],
        ["c", "true", "reportedIncomplete", "", 5, "m2", 1, "h"],
        ["empty", "", "reportedComplete", "", "", "", "", ""],
        ["nowhere", "true", "", "", "", "", "", ""],
    )
    intake = import_plots(archive(tmp_path / "a.zip", bare, lists(LISTS), terms))
    table = intake.table.set_index("plot_id")
    assert table["list_complete"].to_dict() == {"a": "yes", "b": "no", "c": "no", "empty": "yes"}
    assert table["richness"].to_dict() == RICHNESS | {"empty": 0}
    assert table["area_m2"].tolist()[:1] == [400]
    assert table["duration_h"].dropna().to_dict() == {"a": 1.5, "c": 1.0}
    assert table["scope"]["a"] == "Tracheophyta"
    assert "1 rows of Humboldt terms belong to no event" in notes(intake)
    assert intake.summary["imported"]["completeness"] == {"yes": 2, "no": 2, "not stated": 0}


def test_an_event_without_a_list_is_rejected_unless_it_is_complete(tmp_path):
    found = {name: names for name, names in LISTS.items() if name != "c"}
    path = archive(tmp_path / "a.zip", core(), lists(found))
    intake = import_plots(path, ImportOptions(max_rejected=0.5))
    assert set(richness(intake)) == {"a", "b"}
    assert intake.rejected["plot_id"].tolist() == ["c"]
    assert intake.summary["rejected_by_kind"] == {"missing species lists": 1}


def test_measurements_state_areas(tmp_path):
    bare = events(*((n, "", "2015", *PLACES[n], "", "", "", "") for n in PLACES))
    columns = ("id", "occurrenceID", "measurementType", "measurementValue", "measurementUnit")
    measured = File(
        "measurement",
        columns,
        [
            ["a", "", "plot area", 25, "m²"],
            ["b", "", "plotSize", "10 x 20", "m"],
            ["b", "", "slope", 30, "degrees"],
            ["c", "o1", "plot area", 99, "m2"],  # of an occurrence
            ["c", "", "sampling duration", 30, "min"],
        ],
    )
    table = import_plots(archive(tmp_path / "a.zip", bare, lists(LISTS), measured)).table
    assert np.array_equal(table["area_m2"], [25, 200, np.nan], equal_nan=True)
    assert table["duration_h"].dropna().tolist() == [0.5]


# --- occurrence core ------------------------------------------------------------------------------

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


ORACLE = """
import json, sys
from dwca.read import DwCAReader
term = "http://rs.tdwg.org/dwc/terms/scientificName"
with DwCAReader(sys.argv[1]) as reader:
    print(json.dumps({row.id: len({e.data[term] for e in row.extensions}) for row in reader}))
"""


def test_an_independent_reader_finds_the_same(tmp_path):
    """python-dwca-reader, in a process of its own, since it leaves files open."""
    pytest.importorskip("dwca", reason="python-dwca-reader is not installed")
    names = [f"Genus{chr(97 + i % 7)} species{chr(97 + i % 23)}" for i in range(40)]
    draw = np.random.default_rng(3)
    found = {f"e{i}": [names[j] for j in draw.integers(0, 40, 30)] for i in range(25)}
    rows = [
        (name, "", f"2015-06-{i + 1:02d}", f"{40 + i / 7:.6f}", f"{5 + i / 9:.6f}", 4, "m2", "r", 1)
        for i, name in enumerate(found)
    ]
    path = archive(tmp_path / "a.zip", events(*rows), lists(found))
    run = subprocess.run(
        [sys.executable, "-c", ORACLE, path], capture_output=True, text=True, check=True
    )
    assert richness(import_plots(path)) == json.loads(run.stdout)


def test_a_term_of_darwin_core_goes_before_others_of_its_name(tmp_path):
    """GBIF's archives have terms of several vocabularies with one name."""
    doubled = core()
    doubled.columns = (*doubled.columns[:-1], "other", doubled.columns[-1])
    doubled.rows = [[*row[:-1], 999, row[-1]] for row in doubled.rows]
    term = "coordinateUncertaintyInMeters"
    text = meta(doubled, lists(LISTS)).replace(f"{DWC}other", f"http://rs.gbif.org/{term}")
    path = archive(tmp_path / "a.zip", doubled, lists(LISTS), meta__xml=text)
    assert import_plots(path).table["coordinate_uncertainty_m"].tolist() == [5, 5, 5]


def test_meta_is_found_without_its_metadata(tmp_path):
    path = archive(
        tmp_path / "a.zip",
        core(),
        lists(LISTS),
        meta__xml=meta(core(), lists(LISTS), metadata=None),
    )
    intake = import_plots(path)
    assert intake.summary["imported"]["reference"]["title"] == "a.zip"
    assert Path(path).is_file()
