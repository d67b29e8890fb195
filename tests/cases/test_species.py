"""Species in several spellings, and abundances in words or left blank."""

import pandas as pd
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.abundances import (
    ABSENT,
    ABSENT_WORD,
    PRESENT,
    PRESENT_WORD,
    UNREADABLE,
    Abundances,
)
from spatioformer.geo.plots.table import read_plots
from spatioformer.geo.plots.taxa import Taxa
from tests.cases.test_tables import run_case
from tests.helpers.plot_tables import put

COLUMNS = {"plot_id": "id", "lon": "lon", "lat": "lat"}
LONG = {"layout": "long", "plot_id": "id", "species": "taxon"}


def count(tmp_path, records, **species):
    plots = put(tmp_path, "id,lon,lat\nA,1,2\nB,3,4\n")
    path = put(tmp_path, records, "species.csv")
    species = {"path": path, "plot_id": "id"} | species
    return read_plots(plots, columns=COLUMNS, species=species)


SPELLINGS = [
    "Isoëtes drummondii",
    "isoe\u0308tes  Drummondii",
    "ISOËTES\u00a0DRUMMONDII",
    "Isoëtes\u2009drummondii",
    "Isoëtes drum\u00admondii\u200b",
    "Iso\ufb00tes",  # a ligature, and another name
    "Isofftes",
]


def test_spellings_of_one_species_in_a_long_list(tmp_path):
    records = "id,taxon\n" + "".join(f"A,{name}\n" for name in SPELLINGS) + "B,Acacia\n"
    intake = count(tmp_path, records, **LONG)
    assert intake.table["richness"].tolist() == [2, 1]
    assert intake.summary["species"]["species"] == 3
    assert intake.summary["species"]["joined_names"] == 5
    assert intake.summary["notes"] == [
        "species names of species.csv that differ from another one only in spaces, case or Unicode "
        "form, and were joined with it: 5, such as 'Isoëtes drummondii' = 'isoe\u0308tes  "
        "Drummondii', 'Iso\ufb00tes' = 'Isofftes'"
    ]


def test_spellings_of_one_species_in_a_matrix(tmp_path):
    records = "id," + ",".join(SPELLINGS) + "\nA" + ",1" * 7 + "\nB,0,0,1,0,0,0,0\n"
    intake = count(tmp_path, records, layout="matrix")
    assert intake.table["richness"].tolist() == [2, 1]
    assert intake.summary["species"]["joined_names"] == 5


def test_different_species_stay_apart():
    taxa = Taxa()
    names = ["Poa annua", "Poa nana", "Poa", "Poa annua var. x", "Poa × annua", "Pöa annua"]
    assert len({taxa[name] for name in names}) == len(names)
    assert (taxa.joined, taxa.notes("x.csv")) == (0, [])


@pytest.mark.parametrize(
    ("state", "texts"),
    [
        (PRESENT, ["1", "0.5", "0,5", "1.000", "<1", "> 75", "~5", "5%", "5 %", "1e-3", "R", "X"]),
        (PRESENT, ["+", "r", "x", "2M", "2a", "inf", ".5"]),
        (PRESENT_WORD, ["present", "Present", "PRESENCE", "yes", "Y", "true", "True"]),
        (ABSENT_WORD, ["absent", "Absence", "no", "N", "FALSE"]),
        (ABSENT, ["0", "0.0", "0,000", "-0", ".", "-", "0 %", "0e5", "NA", "", "null"]),
        (UNREADABLE, ["-1", "-0,5", "many", "1-5", "1_0", "٣", "ın", ",", "5 5", "9" * 401]),
        (UNREADABLE, ["9" * 100_000 + "x", "1." * 50_000 + "x"]),
    ],
)
def test_abundances(state, texts):
    abundances = Abundances(blank=ABSENT)
    assert {text[:20]: abundances[text] for text in texts} == {text[:20]: state for text in texts}


def test_words_in_a_long_list(tmp_path):
    records = "id,taxon,status\nA,Acacia,PRESENT\nA,Poa,absent\nB,Acacia,Absent\nB,Poa,no\n"
    intake = count(tmp_path, records, **LONG, abundance="status")
    assert intake.table["richness"].tolist() == [1, 0]


def test_words_in_a_matrix(tmp_path):
    assert count(tmp_path, "id,Acacia,Poa\nA,yes,no\nB,yes,\n", layout="matrix").table[
        "richness"
    ].tolist() == [1, 1]
    with pytest.raises(PlotError) as caught:
        count(tmp_path, "id,Acacia,grazed\nA,1,no\nB,2,yes\n", layout="matrix")
    assert str(caught.value) == (
        "column 'grazed' of species.csv holds words such as yes or absent, but other columns hold "
        "numbers or signs; list it under species.ignore if it is not a species, otherwise write 1 "
        "and 0"
    )
    ignored = count(
        tmp_path, "id,Acacia,grazed\nA,1,no\nB,2,yes\n", layout="matrix", ignore=["grazed"]
    )
    assert ignored.table["richness"].tolist() == [1, 1]
    pd.DataFrame({"id": ["A", "B"], "Acacia": [True, False], "Poa": [True, True]}).to_parquet(
        tmp_path / "s.parquet"
    )
    intake = read_plots(
        put(tmp_path, "id,lon,lat\nA,1,2\nB,3,4\n"),
        columns=COLUMNS,
        species={"path": tmp_path / "s.parquet", "layout": "matrix", "plot_id": "id"},
    )
    assert intake.table["richness"].tolist() == [2, 1]


def test_blank_abundances_of_a_long_list(tmp_path):
    records = "id,taxon,cover\nA,Acacia,5\nA,Poa,\nB,Acacia,NA\n"
    intake = count(tmp_path, records, **LONG, abundance="cover")
    assert intake.table["richness"].tolist() == [2, 1]
    assert intake.summary["notes"] == [
        "rows of species.csv without an abundance, counted as present because the species is "
        "listed: 2"
    ]
    with pytest.raises(PlotError) as caught:
        count(tmp_path, records + "B,Poa,3\n", **LONG, abundance="cover")
    assert str(caught.value) == (
        "species.csv lists all 2 species in every plot, so its 2 rows without an abundance may "
        "mean absent or present; remove the rows of absent species or write 0"
    )
    zeros = count(
        tmp_path,
        records.replace("NA", "0").replace("Poa,\n", "Poa,0\n") + "B,Poa,3\n",
        **LONG,
        abundance="cover",
    )
    assert zeros.table["richness"].tolist() == [1, 1]


def test_given_case_of_one_species_in_several_spellings(cases_dir):
    intake = run_case(cases_dir, "10")
    assert intake.table["richness"].tolist() == [2, 1, 1]
    assert intake.summary["species"]["joined_names"] == 4
