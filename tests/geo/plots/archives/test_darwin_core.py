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
    File,
    archive,
    events,
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


def test_a_plot_without_an_area_is_joined_with_no_other(tmp_path):
    nest = events(
        ("plot", "", "2015-06-01", 47.123456, 8.234567, "", "", "", ""),
        ("s1", "plot", "", "", "", 1, "m2", "", ""),
    )
    found = {"plot": ["Poa annua"], "s1": ["Carex nigra", "Salix alba"]}
    intake = import_plots(archive(tmp_path / "a.zip", nest, lists(found)))
    assert richness(intake) == {"plot": 1, "s1": 2}
    assert "1 plots that hold others, or lie beside them in one parent, state no" in notes(intake)


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


def test_events_of_animals_alone_are_left_out(tmp_path):
    found = lists(LISTS, constants={})
    found.columns = (*found.columns, "kingdom")
    found.rows = [[*row, "Animalia" if row[0] == "b" else "Plantae"] for row in found.rows]
    intake = import_plots(archive(tmp_path / "a.zip", core(), found))
    assert richness(intake) == {"a": 3, "c": 1}
    assert "1 visits have only records that do not count" in notes(intake)


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


# --- the archive as a whole ----------------------------------------------------------------------

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
