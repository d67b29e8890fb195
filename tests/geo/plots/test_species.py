"""Richness counted from species matrices and species lists."""

from collections import defaultdict

import geopandas
import numpy as np
import pandas as pd
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import species, species_counts
from spatioformer.geo.plots.table import TooManyRejected, read_plots
from tests.helpers.plot_tables import put

COLUMNS = {"plot_id": "plot", "lon": "lon", "lat": "lat"}
PLOTS = "plot,lon,lat\nA,1,2\nB,3,4\nC,5,6\nD,7,8\n"
LONG = {"layout": "long", "plot_id": "id", "species": "taxon", "abundance": "cover"}


def count(folder, plots, records=None, *, name="species.csv", max_rejected=0.9, **species):
    """Intake of plots whose species stand in `records`, or in the plot file itself."""
    path = put(folder, plots)
    if records is not None:
        species["path"] = put(folder, records, name)
    return read_plots(path, columns=COLUMNS, species=species, max_rejected=max_rejected)


def richness(intake):
    return dict(zip(intake.table["plot_id"], intake.table["richness"], strict=True))


def reasons(intake):
    return dict(zip(intake.rejected["plot_id"], intake.rejected["reason"], strict=True))


def test_matrix_in_a_file_of_its_own(tmp_path):
    matrix = (
        "id,Acacia,Banksia,Acacia,,Triodia\n"
        "A,0.5,0,0,9,1\n"  # Acacia and Triodia; the column without a name is none
        "B,,NA,.,9,-\n"  # an empty plot
        "C,r,+,2a,9,1e-3\n"  # cover codes; both Acacia columns are one species
        "Z,1,1,1,9,1\n"
        ",1,1,1,9,1\n"
    )
    intake = count(tmp_path, PLOTS, matrix, layout="matrix", plot_id="id")
    assert richness(intake) == {"A": 2, "B": 0, "C": 3}
    assert reasons(intake) == {"D": "plot_id 'D' has no row in species.csv"}
    assert intake.summary["species"] == {
        "file": "species.csv",
        "layout": "matrix",
        "species": 3,
        "rows": 4,
        "rows_without_plot": 1,
        "joined_names": 0,
        "unknown_plots": 1,
        "rows_of_unknown_plots": 1,
    }
    assert intake.summary["notes"] == [
        "rows of species.csv that name no plot of plots.csv: 1, with 1 plot_id such as 'Z'"
    ]


def test_rows_of_one_plot_in_a_matrix_are_joined(tmp_path):
    matrix = "id,Acacia,Banksia,Triodia\nA,1,0,0\nB,0,0,1\nA,1,1,0\n"
    intake = count(tmp_path, PLOTS, matrix, layout="matrix", plot_id="id")
    assert richness(intake) == {"A": 2, "B": 1}


def test_the_plot_table_is_the_matrix(tmp_path):
    plots = (
        "plot,lon,lat,Acacia,elevation,Banksia,observer\n"
        "A,1,2,3,700,0,JS\n"
        "B,3,4,0,710,0,JS\n"
        "A,3,4,1,720,1,MT\n"
    )
    intake = count(tmp_path, plots, layout="matrix", ignore=["elevation", "observer"])
    assert richness(intake) == {"A": 1, "B": 0, "A-2": 2}
    assert intake.summary["species"]["file"] == "plots.csv"
    assert intake.summary["species"]["unknown_plots"] == 0


def test_the_plot_table_is_the_matrix_without_plot_id(tmp_path):
    path = put(tmp_path, "lon,lat,Acacia,Banksia\n1,2,1,1\n\n3,4,0,1\n5,6,1\n")
    columns = {"lon": "lon", "lat": "lat"}
    intake = read_plots(path, columns=columns, species={"layout": "matrix"}, max_rejected=0.5)
    assert richness(intake) == {"line-2": 2, "line-4": 1}
    assert intake.rejected["reason"].tolist() == ["the row has 3 fields where the header has 4"]


def test_the_plot_table_is_the_matrix_in_a_geopackage(tmp_path):
    frame = geopandas.GeoDataFrame(
        {"plot": ["A", "B"], "Acacia": [1.5, 0.0], "Banksia": [2, 0], "Triodia": [np.nan, 1]},
        geometry=geopandas.points_from_xy([10, 20], [30, 40]),
        crs="EPSG:4326",
    )
    frame.to_file(tmp_path / "plots.gpkg")
    intake = read_plots(
        tmp_path / "plots.gpkg", columns={"plot_id": "plot"}, species={"layout": "matrix"}
    )
    assert richness(intake) == {"A": 2, "B": 1}
    assert intake.table["lon"].tolist() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("JS", "column 'Acacia' is 'JS' on line 3, which is not an abundance"),
        ("-9", "column 'Acacia' is '-9' on line 3, which is not an abundance"),
        ("nan?", "column 'Acacia' is 'nan?' on line 3, which is not an abundance"),
    ],
)
def test_unreadable_abundance_in_a_matrix(tmp_path, cell, reason):
    matrix = f"id,Acacia,Banksia\nA,1,0\nB,{cell},1\n"
    intake = count(tmp_path, PLOTS, matrix, layout="matrix", plot_id="id")
    assert richness(intake) == {"A": 1}
    assert reasons(intake)["B"] == reason


def test_a_text_column_in_a_matrix_says_what_to_do(tmp_path):
    plots = "plot,lon,lat,Acacia,observer\nA,1,2,3,JS\nB,3,4,0,JS\n"
    with pytest.raises(TooManyRejected) as caught:
        count(tmp_path, plots, layout="matrix")
    assert str(caught.value) == (
        "plots.csv loses 2 of 2 rows (100%), all it has, most often to unreadable abundances (2), "
        "first on line 2 (column 'observer' is 'JS' on line 2, which is not an abundance); "
        "correct them, or list non-species columns in species.ignore"
    )


def test_a_column_above_zero_everywhere_is_noted(tmp_path):
    plots = "plot,lon,lat,elevation,Acacia\n" + "".join(
        f"P{i},{i},{i},700,{i % 2}\n" for i in range(1, 13)
    )
    intake = count(tmp_path, plots, layout="matrix")
    assert intake.summary["notes"] == [
        "column 'elevation' of plots.csv is above 0 in every plot; if it is not a species, list it "
        "under species.ignore"
    ]


def test_long_list_in_a_file_of_its_own(tmp_path):
    records = (
        "id,taxon,cover\n"
        "A,Acacia,5\n"
        "A, Acacia ,1\n"  # another layer of the same species
        "A,Banksia,\n"  # listed without an abundance: present
        "A,Triodia,0\n"
        "B,Acacia,0\n"
        "C,,\n"  # listed without a species: an empty plot
        "Z,Acacia,1\n"
        "Z,Banksia,1\n"
        ",Acacia,1\n"
    )
    intake = count(tmp_path, PLOTS, records, **LONG)
    assert richness(intake) == {"A": 2, "B": 0, "C": 0}
    assert reasons(intake) == {"D": "plot_id 'D' has no row in species.csv"}
    assert intake.summary["rejected_by_kind"] == {"missing species lists": 1}
    assert intake.summary["species"] == {
        "file": "species.csv",
        "layout": "long",
        "species": 2,
        "rows": 8,
        "rows_without_plot": 1,
        "rows_without_species": 1,
        "rows_without_abundance": 1,
        "joined_names": 0,
        "unknown_plots": 1,
        "rows_of_unknown_plots": 2,
    }


def test_long_list_without_abundance_and_with_codes(tmp_path):
    records = "id,taxon,cover\nA,Acacia,0\nA,Banksia,+\nB,Acacia,r\nC,Acacia,a lot\n"
    without = count(tmp_path, PLOTS, records, **(LONG | {"abundance": None}))
    assert richness(without) == {"A": 2, "B": 1, "C": 1}
    with_codes = count(tmp_path, PLOTS, records, **LONG)
    assert richness(with_codes) == {"A": 1, "B": 1}
    assert reasons(with_codes)["C"] == (
        "abundance of 'Acacia' is 'a lot' on line 5, which is not an abundance"
    )


def test_the_plot_table_is_the_long_list(tmp_path):
    plots = (
        "plot,lon,lat,taxon,cover\n"
        "A,1,2,Acacia,1\n"
        "B,3,4,Acacia,1\n"
        "A,1,2,Banksia,2\n"
        "B,3,4.5,Banksia,2\n"
        ",1,2,Triodia,2\n"
        "C,5,6,Acacia,0\n"
        "D,5,x,Acacia,0\n"
    )
    intake = count(tmp_path, plots, layout="long", species="taxon", abundance="cover")
    assert richness(intake) == {"A": 2, "C": 0}
    assert intake.table["source_line"].tolist() == [2, 7]
    assert intake.summary["read"] == 5
    assert reasons(intake) == {
        "B": "plot_id 'B' has lat '4' on line 3 but '4.5' on line 5",
        "": "plot_id is missing, so its species are unknown",
        "D": "lat 'x' is not a number",
    }
    assert intake.rejected["source_line"].tolist() == [3, 6, 8]


def test_visits_of_one_plot_id_cannot_share_a_species_list(tmp_path):
    plots = "plot,lon,lat\nA,1,2\nA,3,4\nB,5,6\nB,5,6\n"
    intake = count(tmp_path, plots, "id,taxon,cover\nA,Acacia,1\nB,Acacia,1\n", **LONG)
    assert richness(intake) == {"B": 1}
    assert intake.rejected["reason"].tolist() == [
        "plot_id 'A' is on several rows that share one list of species",
        "plot_id 'A' is on several rows that share one list of species",
        "repeats line 4: plot_id 'B' with the same coordinates, date, area and richness",
    ]


def test_species_in_parquet(tmp_path):
    records = pd.DataFrame({"id": [1.0, 1.0, 2.0, np.nan], "taxon": ["a", "b", "a", "a"]})
    records.to_parquet(tmp_path / "species.parquet")
    intake = read_plots(
        put(tmp_path, "plot,lon,lat\n1,1,2\n2,3,4\n"),
        columns=COLUMNS,
        species={"layout": "long", "path": tmp_path / "species.parquet"}
        | {"plot_id": "id", "species": "taxon"},
    )
    assert richness(intake) == {"1": 2, "2": 1}
    assert intake.summary["species"]["rows_without_plot"] == 1


def test_separator_of_the_species_file(tmp_path):
    records = "id;taxon\nA;Acacia\n"
    settings = {"layout": "long", "plot_id": "id", "species": "taxon"}
    assert richness(count(tmp_path, PLOTS, records, separator=";", **settings)) == {"A": 1}
    assert richness(count(tmp_path, PLOTS, records, **settings)) == {"A": 1}
    with pytest.raises(PlotError, match=r"at commas; set species\.separator to ';'"):
        count(tmp_path, PLOTS, records, separator=",", **settings)


@pytest.mark.parametrize(
    ("records", "species", "message"),
    [
        ("id,A\nA,1\n", {"layout": "wide"}, "species.layout 'wide' is unknown; use matrix or long"),
        (
            "id,A\nA,1\n",
            {"genus": "A"},
            "species.genus is not a setting; use path, layout, plot_id, species, abundance, "
            "ignore, separator, layer",
        ),
        (
            "id,A\nA,1\n",
            {"layout": "long", "plot_id": "id"},
            "species.species names no column; set it to the one with species names",
        ),
        (
            "id,A\nA,1\n",
            {"layout": "matrix", "plot_id": "ids"},
            "column 'ids' (species.plot_id) is not in species.csv; did you mean 'id'?",
        ),
        (
            "id,A\nA,1\n",
            {"layout": "matrix", "plot_id": "id", "ignore": ["A"]},
            "species.csv has no species column; check species.ignore and columns",
        ),
        (
            "id,A\n",
            {"layout": "matrix", "plot_id": "id"},
            "species.csv holds no row with species; check the file",
        ),
        (
            "id,taxon\n",
            {"layout": "long", "plot_id": "id", "species": "taxon"},
            "species.csv holds no row with a plot; check species.plot_id",
        ),
        (
            "id,A,B\nA,1,0\nB,1\n",
            {"layout": "matrix", "plot_id": "id"},
            "line 3 of species.csv is broken: the row has 2 fields where the header has "
            "3; correct it",
        ),
        (
            "id,taxon,cover\nA,Acacia\n",
            LONG,
            "line 2 of species.csv is broken: the row has 2 fields where the header has "
            "3; correct it",
        ),
        (
            "id,A\nA-01,1\n",
            {"layout": "matrix", "plot_id": "id"},
            "no plot_id of plots.csv, such as 'A', occurs in species.csv, such as 'A-01'; check "
            "species.plot_id",
        ),
        (
            None,
            {"layout": "matrix", "plot_id": "lon"},
            "species.plot_id 'lon' and columns.plot_id 'plot' differ, yet name one column of one "
            "file; remove species.plot_id",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path, records, species, message):
    with pytest.raises(PlotError) as caught:
        count(tmp_path, PLOTS, records, **species)
    assert str(caught.value) == message


def test_richness_twice_and_no_plot_id(tmp_path):
    path = put(tmp_path, "plot,lon,lat,n,Acacia\nA,1,2,3,1\n")
    with pytest.raises(PlotError, match=r"comes both from column 'n' and from counting species"):
        read_plots(path, columns=COLUMNS | {"richness": "n"}, species={"layout": "matrix"})
    with pytest.raises(PlotError, match=r"species are matched by plot_id; set columns\.plot_id"):
        read_plots(
            path,
            columns={"lon": "lon", "lat": "lat"},
            species={"layout": "long", "species": "Acacia"},
        )


def test_plot_id_may_be_named_under_species_alone(tmp_path):
    path = put(tmp_path, "plot,lon,lat,taxon\nA,1,2,Acacia\nA,1,2,Banksia\n")
    intake = read_plots(
        path,
        columns={"lon": "lon", "lat": "lat"},
        species={"layout": "long", "plot_id": "plot", "species": "taxon"},
    )
    assert richness(intake) == {"A": 2}


@pytest.mark.parametrize(
    ("module", "name", "broken", "test"),
    [
        (
            species_counts,
            "_any_by_group",
            lambda present, codes, axis: present,
            test_matrix_in_a_file_of_its_own,
        ),
        (
            species_counts,
            "Abundances",
            lambda blank: defaultdict(lambda: blank),
            test_long_list_without_abundance_and_with_codes,
        ),
        (species, "_one_row_per_plot", lambda cells: cells, test_the_plot_table_is_the_long_list),
    ],
)
def test_the_tests_notice_broken_counting(tmp_path, monkeypatch, module, name, broken, test):
    monkeypatch.setattr(module, name, broken)
    with pytest.raises((AssertionError, ValueError, PlotError)):
        test(tmp_path)
