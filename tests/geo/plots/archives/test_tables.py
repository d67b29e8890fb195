"""sPlotOpen, AusPlots, Turboveg, inventories and vegetation tables: known answers."""

import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.geo.plots.archives.test_darwin_core import notes, richness

SPLOT_HEADER = """PlotObservationID\tGIVD_ID\tDataset\tDate_of_recording\tLatitude\tLongitude\t\
Location_uncertainty\tReleve_area\tPlant_recorded
1\tNA-US-014\tAava\t1980-07-01\t62.421234\t-154.181234\t1000\t100\tAll vascular plants
2\tNA-US-014\tAava\tNA\t62.431234\t-154.171234\tNA\tNA\tNot specified
3\tEU-FR-003\tFrance_sophy\t1990-06-05\t45.671234\t2.351234\t10\t400\tAll woody plants
4\tEU-FR-003\tFrance_sophy\t1990-06-06\t45.681234\t2.361234\t10\t400\tAll vascular plants
"""
SPLOT_DT = """PlotObservationID\tSpecies\tOriginal_species\tOriginal_abundance\tAbundance_scale\t\
Relative_cover
1\tPoa annua\tPoa annua L.\t5\tCoverPerc\t0.5
1\tCarex nigra\tCarex fusca\t5\tCoverPerc\t0.5
1\tCarex nigra\tCarex nigra\t5\tCoverPerc\t0.5
2\tNA\tPoa sp.\t1\tpa\tNA
3\tPinus sylvestris\tPinus silvestris\t1\tpa\t1
4\tNA\tNA\t1\tpa\t1
9\tPoa annua\tPoa annua\t1\tpa\t1
"""
SPLOT_META = """PlotObservationID\tGIVD_ID\tBIBTEXKEY\tDB_BIBTEXKEY
1\tNA-US-014\tx\taava2020
2\tNA-US-014\tx\taava2020
3\tEU-FR-003\tx\tgarbolino2012a
9\tXX\tx\tother2000
"""
SPLOT_BIB = """@article{aava2020, title = {Aava}, year = {2020}}

@article{other2000,
  title = {Other}
}
@article{garbolino2012a, title = {SOPHY}}
"""


def splot(folder: Path, **changes: str) -> Path:
    files = {
        "sPlotOpen_header(2).txt": SPLOT_HEADER,
        "sPlotOpen_DT(2).txt": SPLOT_DT,
        "sPlotOpen_metadata(2).txt": SPLOT_META,
        "sPlotOpen_references(2).bib": SPLOT_BIB,
    }
    folder.mkdir()
    for name, text in (files | changes).items():
        if text:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_splotopen(tmp_path):
    intake = import_plots(splot(tmp_path / "s"))
    table = intake.table.set_index("plot_id")
    assert table["richness"].to_dict() == {"1": 2, "2": 1, "3": 1, "4": 0}
    assert table["list_complete"].to_dict() == {
        "1": "yes",
        "2": "not stated",
        "3": "no",
        "4": "yes",
    }
    assert np.array_equal(table["area_m2"], [100, np.nan, 400, 400], equal_nan=True)
    assert table["scope"]["3"] == "All woody plants"
    assert "1 rows of sPlotOpen_DT(2).txt name no plot of the header" in notes(intake)
    facts = intake.summary["imported"]
    assert facts["reference"]["doi"] == "10.1111/geb.13346"
    assert {o["key"]: o["plots"] for o in facts["origins"]} == {"NA-US-014": 2, "EU-FR-003": 2}
    assert facts["bibtex"].split() == [
        *SPLOT_BIB.splitlines()[0].split(),
        *["@article{garbolino2012a,", "title", "=", "{SOPHY}}"],
    ]


def test_splotopen_as_a_zip_and_what_is_wrong_with_its_tables(tmp_path):
    folder = splot(tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as written:
        for file in folder.iterdir():
            written.write(file, f"sPlotOpen/{file.name}")
    assert len(import_plots(tmp_path / "s.zip").table) == 4
    twice = splot(tmp_path / "t", **{"copy_header.txt": SPLOT_HEADER})
    with pytest.raises(PlotError, match=r"may both be the header of the plots"):
        import_plots(twice)
    repeated = SPLOT_HEADER + SPLOT_HEADER.splitlines()[1] + "\n"
    with pytest.raises(PlotError, match=r"plot '1' is on lines 2 and 6 of"):
        import_plots(splot(tmp_path / "u", **{"sPlotOpen_header(2).txt": repeated}))
    other = SPLOT_DT.splitlines()[0] + "\n77\tPoa annua\tPoa annua\t1\tpa\t1\n"
    with pytest.raises(PlotError, match=r"no row of sPlotOpen_DT.* names a plot of the header"):
        import_plots(splot(tmp_path / "v", **{"sPlotOpen_DT(2).txt": other}))


AUS_SITES = """site_location_name,site_unique,visit_start_date,longitude,latitude,plot_dimensions
NSABHC0001,NSABHC0001-53596,2012-05-03,141.433754,-31.893350,100.0 x 100.0
NSABHC0001,NSABHC0001-58000,2019-05-03,141.433754,-31.893350,
NSABHC0002,NSABHC0002-53597,2012-05-04,141.432960,-31.927026,50 x 50
"""
AUS_VOUCH = """site_unique,herbarium_determination,standardised_name
NSABHC0001-53596,Acacia aneura,Acacia aneura
NSABHC0001-53596,Acacia aneura var. aneura,Acacia aneura
NSABHC0001-53596,Atriplex vesicaria,Atriplex vesicaria
NSABHC0001-53596,Annual Grass,NA
NSABHC0001-58000,Acacia aneura,Acacia aneura
NSABHC0002-53597,No ID,NA
"""
AUS_PI = AUS_VOUCH.replace("Atriplex vesicaria", "Acacia aneura")


def ausplots(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in {"site.info": AUS_SITES, **files}.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_ausplots_count_their_vouchers(tmp_path):
    intake = import_plots(ausplots(tmp_path / "a", **{"veg.vouch": AUS_VOUCH, "veg.PI": AUS_PI}))
    assert intake.table["richness"].tolist() == [2, 1, 0]
    assert intake.table["area_m2"].tolist() == [10_000, 10_000, 2500]
    assert intake.table["list_complete"].tolist() == ["yes"] * 3
    assert intake.table["site"].tolist() == ["NSABHC0001", "NSABHC0001", "NSABHC0002"]
    assert "1 visits do not state their size and are taken as 1 ha" in notes(intake)
    assert intake.summary["imported"]["reference"]["licence"] == "CC-BY-4.0"


def test_points_alone_are_no_complete_lists(tmp_path):
    intake = import_plots(ausplots(tmp_path / "a", **{"veg.PI": AUS_PI}))
    assert intake.table["richness"].tolist() == [1, 1, 0]
    assert intake.table["list_complete"].tolist() == ["no"] * 3


EVA_HEADER = """PlotObservationID\tPlotID\tTV2 relevé number\tDate of recording\tRelevé area (m²)\t\
Longitude\tLatitude\tLocation uncertainty (m)\tDataset\tRemarks
101\t1\t5\t25.06.1995\t16\t14.512345\t50.112345\t100\tCzechia "CNPD\t"dry
102\t2\t6\t07.07.1996\t25\t14.522345\t50.122345\t\tCzechia\t
"""
EVA_SPECIES = """PlotObservationID\tTaxonomy\tTaxon group\tTurboveg2 concept\tMatched concept\t\
Original taxon concept\tLayer\tCover %\tCover code
101\tCzechia\tVascular plant\tPoa annua\tPoa annua\tPoa annua\t6\t3\t+
101\tCzechia\tVascular plant\tFestuca rubra agg.\tFestuca rubra aggr.\tFestuca rubra agg.\t6\t3\t1
101\tCzechia\tMoss\tBryum argenteum\tBryum argenteum\tBryum argenteum\t9\t3\t+
101\tCzechia\tVascular plant\tPicea abies\tPicea abies\tPicea excelsa\t1\t40\t3
101\tCzechia\tVascular plant\tPicea abies\tPicea abies\tPicea abies\t4\t2\t+
102\tCzechia\tVascular plant\tPoa annua\t\tPoa annua\t6\t3\t+
"""


def test_turboveg(tmp_path):
    folder = tmp_path / "eva"
    folder.mkdir()
    (folder / "x_header.csv").write_text(EVA_HEADER, encoding="utf-8")
    (folder / "x_species.csv").write_text(EVA_SPECIES, encoding="cp1252")
    intake = import_plots(folder)
    assert richness(intake) == {"101": 3, "102": 1}
    assert intake.table["area_m2"].tolist() == [16, 25]
    assert intake.table["date"].dt.strftime("%Y-%m-%d").tolist() == ["1995-06-25", "1996-07-07"]
    assert "1 records of Moss do not count" in notes(intake)
    assert "quotation marks of x_header.csv are text" in notes(intake)
    assert intake.summary["imported"]["names"]["synonyms_joined"] == 1
    moss = EVA_SPECIES.replace("102\tCzechia\tVascular plant", "102\tCzechia\tMoss")
    (folder / "x_species.csv").write_text(moss, encoding="cp1252")
    intake = import_plots(folder)
    assert richness(intake) == {"101": 3}
    assert "1 visits have only records that do not count" in notes(intake)


# --- one table ------------------------------------------------------------------------------------

TREES = """plot,year,lon,lat,area_m2,species,dbh
p1,1990,1.512345,42.312345,314,Pinus sylvestris,12
p1,1990,1.512345,42.312345,314,Pinus sylvestris,14
p1,1990,1.512345,42.312345,314,Quercus ilex,9
p1,2001,1.512345,42.312345,314,Quercus ilex,9
p2,1990,1.612345,42.412345,314,Fagus sylvatica,9
"""


def test_visits_of_an_inventory_are_plots_and_years(tmp_path):
    (tmp_path / "trees.csv").write_text(TREES)
    intake = import_plots(tmp_path / "trees.csv")
    assert richness(intake) == {"p1/1990": 2, "p1/2001": 1, "p2": 1}
    assert intake.table["site"].tolist() == ["p1", "p1", "p2"]
    assert intake.table["location"].tolist() == [0, 0, 1]
    assert "3 visits to 2 plots; 1 plots were visited more than once" in notes(intake)


def test_rows_of_one_visit_that_differ_are_rejected(tmp_path):
    (tmp_path / "trees.csv").write_text(TREES + "p2,1990,1.7,42.412345,314,Abies alba,9\n")
    intake = import_plots(tmp_path / "trees.csv", ImportOptions(max_rejected=0.5))
    assert set(richness(intake)) == {"p1/1990", "p1/2001"}
    assert "plot_id 'p2' has lon '1.612345' on line 6 but '1.7'" in intake.rejected["reason"][0]


def test_abundances_of_a_long_list(tmp_path):
    (tmp_path / "trees.csv").write_text(TREES.replace(",9\n", ",0\n"))
    settings = {"species": {"species": "species", "abundance": "dbh"}}
    intake = import_plots(tmp_path / "trees.csv", ImportOptions(settings=settings))
    assert richness(intake) == {"p1/1990": 1, "p1/2001": 0, "p2": 0}


def test_absences_of_a_long_list_are_found(tmp_path):
    """A list of all species with a cover of 0 where they are absent."""
    text = TREES.replace("dbh", "Cover %").replace(",9\n", ",0\n")
    (tmp_path / "a.csv").write_text(text)
    intake = import_plots(tmp_path / "a.csv")
    assert richness(intake) == {"p1/1990": 1, "p1/2001": 0, "p2": 0}
    assert "rows of which 'Cover %' is 0 or absent do not count" in notes(intake)
    (tmp_path / "b.csv").write_text(TREES.replace("dbh", "cover"))
    assert "do not count" not in notes(import_plots(tmp_path / "b.csv"))
    (tmp_path / "c.csv").write_text(text.replace(",14\n", ",felled\n"))
    with pytest.raises(PlotError, match=r"which column is not clear; set species.abundance to 'Co"):
        import_plots(tmp_path / "c.csv")


def test_a_cover_of_zero_is_an_absence(tmp_path):
    text = SPLOT_DT.replace("Carex fusca\t5", "Carex fusca\t0").replace("nigra\t5", "nigra\t0")
    intake = import_plots(splot(tmp_path / "s", **{"sPlotOpen_DT(2).txt": text}))
    assert richness(intake) == {"1": 1, "2": 1, "3": 1, "4": 0}
    assert "2 rows of sPlotOpen_DT(2).txt have a cover of 0 and do not count" in notes(intake)


def test_questions_are_asked_with_their_settings(tmp_path):
    (tmp_path / "t.csv").write_text("plot,lon,lat,tree_richness,herb_richness\na,1.5,42.5,3,4\n")
    with pytest.raises(PlotError, match=r"set columns.richness to tree_richness or herb_richness"):
        import_plots(tmp_path / "t.csv")
    two = TREES.replace("dbh", "taxon").replace(",9\n", ",x\n")
    (tmp_path / "u.csv").write_text(two.replace(",12\n", ",x\n").replace(",14\n", ",x\n"))
    with pytest.raises(PlotError, match=r"set species.species to 'species' or 'taxon'"):
        import_plots(tmp_path / "u.csv")


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


SPECIES_ROWS = [["Poa annua", 1, None], ["Carex nigra", "+", "2a"], ["Poa sp. 1", "r", "."]]


def test_species_in_rows_below_coordinates(tmp_path):
    rows = [
        ["", "p1", "p2"],
        ["Longitude", 14.512345, 14.522345],
        ["Latitude", 50.112345, 50.122345],
        ["Date", "1995-06-25", "1996-07-07"],
        ["Area (m²)", 16, 25],
        ["Cover herb layer", 80, 60],
        [None, None, None],
        *SPECIES_ROWS,
    ]
    intake = import_plots(workbook(tmp_path / "v.xlsx", table=rows))
    assert richness(intake) == {"p1": 3, "p2": 1}
    assert intake.table["area_m2"].tolist() == [16, 25]
    assert "not taken for species: 'Cover herb layer'" in notes(intake)
    assert "3 names of species, from 'Poa annua' to 'Poa sp. 1'" in notes(intake)


def test_species_in_columns(tmp_path):
    rows = [
        ["plot", "lon", "lat", "slope", "Poa annua", "Carex nigra", "Cover total"],
        ["p1", 14.512345, 50.112345, 3, 1, 0, 90],
        ["p2", 14.522345, 50.122345, 4, "+", 5, 80],
    ]
    intake = import_plots(workbook(tmp_path / "v.xlsx", table=rows))
    assert richness(intake) == {"p1": 1, "p2": 2}
    assert "not taken for species: 'slope', 'Cover total'" in notes(intake)


@pytest.mark.parametrize("across", [True, False], ids=["species in rows", "species in columns"])
def test_two_sheets(tmp_path, across):
    plots = [
        ["plot", "lon", "lat"],
        ["p1", 14.512345, 50.112345],
        ["p2", 14.522345, 50.122345],
        ["p3", 14.532345, 50.132345],
    ]
    rows: list[list[object]] = [["", "p1", "p2"], *SPECIES_ROWS]
    if not across:
        rows = [list(column) for column in zip(*rows, strict=True)]
    intake = import_plots(workbook(tmp_path / "v.xlsx", plots=plots, species=rows))
    assert richness(intake) == {"p1": 3, "p2": 1, "p3": 0}


def test_tables_that_are_no_vegetation_tables(tmp_path):
    with pytest.raises(PlotError, match=r"has 0 sheets with coordinates of plots"):
        import_plots(workbook(tmp_path / "a.xlsx", a=[["x"], [1]], b=[["y"], [2]]))
    plots = [["plot", "lon", "lat"], ["p1", 14.512345, 50.112345], ["p2", 14.52, 50.12]]
    with pytest.raises(PlotError, match=r"no sheet of b.xlsx has the names of the plots"):
        import_plots(workbook(tmp_path / "b.xlsx", a=plots, b=[["", "q1"], ["Poa annua", 1]]))
    odd = [["plot", "lon", "lat", "Poa annua"], ["p1", 14.512345, 50.112345, "lots"]]
    with pytest.raises(PlotError, match=r"unreadable abundances"):
        import_plots(workbook(tmp_path / "c.xlsx", a=odd))
