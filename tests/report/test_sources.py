"""Sources and licences of a run: the panel, and CITATIONS.bib."""

import re

import pytest

from spatioformer.common.files import read_json, write_json
from spatioformer.report.results import Results
from spatioformer.report.sources import panel, write_citations
from tests.helpers import report_run

IMPORTED = {
    "format": "Darwin Core archive, occurrence core",
    "source": "0001.zip",
    "sha256": "",
    "bibtex": "@article{given2020, title = {Given}}",
    "reference": {
        "key": "",
        "title": "GBIF Occurrence Download 10.15468/dl.abc",
        "doi": "10.15468/dl.abc",
        "licence": "",
        "citation": "GBIF.org GBIF Occurrence Download",
    },
    "origins": [
        {"key": "k1", "title": "Forests & {meadows}", "doi": "10.15468/one", "licence":
         "CC-BY-NC-4.0", "citation": "Doe 50 % _x_", "plots": 40},
        {"key": "k2", "title": "k2", "doi": "", "licence": "", "citation": "", "plots": 20},
    ],
    "plots": 60,
    "names": {"rule": "species", "names": 300, "taxa": 250, "synonyms_joined": 30,
              "spellings_joined": 2},
    "nested": {"rule": "largest", "nests": 1, "plots_joined": 2, "areas": {"1 + 10": 1}},
    "completeness": {"yes": 30, "no": 10, "not stated": 20},
    "scopes": {"Tracheophyta": 30},
    "species_area": {"classes": [{"from": 1.0, "to": 1.0, "plots": 60, "median": 5.0}],
                     "exponent": 0.25, "plots": 60, "unknown": 0},
    "duration_h": None,
    "coordinate_uncertainty_m": {"known": 50, "min": 1.0, "median": 30.0, "max": 2e6},
    "coordinate_rounding_m": {"111195": 12, "111": 3},
}  # fmt: skip

COLLECTION = {
    "source": "s2", "title": "Sentinel-2 L2A", "composite": "median", "licence": "",
    "attribution": "Contains modified Copernicus data.", "years": [2019, 2019], "items": 5,
    "citation": "https://doi.org/10.5270/S2_-znk9xsj", "items_of_year": 5,
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "run"
    config = report_run.write(folder)
    plots, imagery = read_json(folder / "plots.json"), read_json(folder / "imagery.json")
    write_json(folder / "plots.json", plots | {"imported": IMPORTED})
    mask = COLLECTION | {"name": "water", "licence": "CC-BY-SA-4.0", "citation": ""}
    write_json(folder / "imagery.json", imagery | {"sources": [COLLECTION], "masks": [mask]})
    return Results(folder, config)


def test_the_panel_names_sources_licences_completeness_and_effort(results):
    content = panel(results)
    facts = dict(content["facts"])
    assert facts["Lists"] == (
        "50% complete: complete 30, incomplete 10, not stated 20; recorded: Tracheophyta (30)"
    )
    assert facts["Taxa"].startswith("250 from 300 names by the rule species; 30 synonyms")
    assert facts["Species and area"] == ("richness grows with area to the power 0.25 over 60 plots")
    pixel = min(results.pixel_size)
    assert 111 < pixel < 111_195
    assert facts["Rounded places"].startswith("12 plots (20%) have coordinates rounded to more")
    assert content["areas"] == [(1.0, 1.0, 60, 5.0)]
    assert [(row.role, row.licence) for row in content["rows"]] == [
        ("plots", ""),
        ("plots", "CC-BY-NC-4.0"),
        ("plots", ""),
        ("imagery", ""),
        ("mask", "CC-BY-SA-4.0"),
    ]
    assert content["sentences"] == [
        "40 plots: no commercial use",
        "the licence of 20 plots is not stated; ask their publisher before you share results",
        "Sentinel-2 L2A: the licence is not stated",
        "water: share-alike: what is made from it must have the same licence",
    ]


def test_citations_are_bibtex(results):
    path = write_citations(results)
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^@(\w+)\{([^,]+),", text, re.MULTILINE) == [
        ("misc", "dl-abc"),
        ("misc", "one"),
        ("misc", "s2-znk9xsj"),
        ("misc", "water"),
        ("article", "given2020"),
    ]
    assert "title = {Forests \\& meadows}" in text
    assert "note = {Doe 50 \\% \\_x\\_. Licence: CC-BY-NC-4.0}" in text
    assert "url = {https://doi.org/10.15468/dl.abc}" in text
    assert text.count("{") == text.count("}")
    assert write_citations(results).read_text(encoding="utf-8") == text


def test_nothing_to_cite_is_no_file(tmp_path):
    config = report_run.write(tmp_path / "run")
    results = Results(tmp_path / "run", config)
    (tmp_path / "run" / "CITATIONS.bib").write_text("old")
    assert write_citations(results) is None
    assert not (tmp_path / "run" / "CITATIONS.bib").exists()
    assert panel(results)["rows"] == []
