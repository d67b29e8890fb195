"""Plot intake on real tables; figures from the tables' own columns and the data's description."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.recognise import recognise
from spatioformer.geo.plots.table import TooManyRejected, read_plots

AUSPLOTS = {"plot_id": "Site and visit", "lon": "Longitude", "lat": "Latitude"}


def test_ausplots(data_dir):
    path = data_dir / "ausplots" / "sites.csv"
    columns = AUSPLOTS | {"richness": "Species richness_vouchers"}
    intake = read_plots(path, columns=columns, region=[112, 154, -44, -10])
    assert intake.summary["kept"] == 458
    assert intake.summary["rejected"] == 0
    assert intake.summary["repeated_locations"] == 18
    assert intake.summary["richness"] == {"known": 458, "min": 2.0, "median": 38.0, "max": 106.0}
    source = pd.read_csv(path)
    np.testing.assert_array_equal(intake.table["lon"], source["Longitude"])
    np.testing.assert_array_equal(intake.table["richness"], source["Species richness_vouchers"])
    lines = path.read_text().splitlines()
    first, last = intake.table.iloc[0], intake.table.iloc[-1]
    assert lines[first["source_line"] - 1].startswith(first["plot_id"])
    assert lines[last["source_line"] - 1].startswith(last["plot_id"])


def test_ausplots_species_are_counted_as_its_authors_did(data_dir):
    folder = data_dir / "ausplots"
    species = {"path": folder / "percent_cover.csv.gz", "layout": "matrix"}
    intake = read_plots(
        folder / "sites.csv", columns=AUSPLOTS, species=species | {"plot_id": "Unnamed: 0"}
    )
    expected = pd.read_csv(folder / "sites.csv")["Species richness_intercepts"]
    np.testing.assert_array_equal(intake.table["richness"], expected)
    assert intake.summary["species"]["species"] == 2147
    assert intake.summary["species"]["unknown_plots"] == 0


def test_ausplots_species_as_a_long_list(data_dir, tmp_path):
    folder = data_dir / "ausplots"
    cover = pd.read_csv(folder / "percent_cover.csv.gz", index_col=0)
    plot, taxon = np.nonzero(cover.to_numpy())
    long = pd.DataFrame({"visit": cover.index[plot], "taxon": cover.columns[taxon]})
    long["cover"] = cover.to_numpy()[plot, taxon]
    absent = pd.DataFrame({"visit": cover.index, "taxon": "Nothofagus.gunnii", "cover": 0})
    long = pd.concat([long, absent])
    long.to_csv(tmp_path / "long.csv", index=False)
    intake = read_plots(
        folder / "sites.csv",
        columns=AUSPLOTS,
        species={"path": tmp_path / "long.csv", "layout": "long", "plot_id": "visit"}
        | {"species": "taxon", "abundance": "cover"},
    )
    expected = pd.read_csv(folder / "sites.csv")["Species richness_intercepts"]
    np.testing.assert_array_equal(intake.table["richness"], expected)


def test_new_zealand_map_grid(data_dir):
    path = data_dir / "new_zealand" / "plots.csv.gz"
    columns = {"plot_id": "siteid", "lon": "x", "lat": "y", "richness": "richness52"}
    table = read_plots(path, columns=columns, crs="EPSG:27200").table
    source = pd.read_csv(path)
    assert len(table) == 19_120
    # The table's own lon, lat (WGS 84) come from the same grid coordinates: 1e-8 degree is 1 mm.
    np.testing.assert_allclose(table["lon"], source["lon"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(table["lat"], source["lat"], rtol=0, atol=1e-8)


def test_mongon(data_dir):
    path = data_dir / "mongon" / "mongon_plots.csv"
    columns = {"plot_id": "id", "lon": "x", "lat": "y", "richness": "richness"}
    intake = read_plots(path, columns=columns, crs="EPSG:32717")
    assert intake.summary["bounds"] == pytest.approx(
        [-78.3072, -78.2917, -9.6477, -9.6257], abs=1e-4
    )
    assert intake.table["richness"].sum() == pd.read_csv(path)["richness"].sum()
    exchanged = columns | {"lon": "y", "lat": "x"}
    with pytest.raises(TooManyRejected, match=r"swapped coordinates \(100\), first on line 2"):
        read_plots(path, columns=exchanged, crs="EPSG:32717")


def test_catalonia(data_dir):
    columns = {
        "plot_id": "id_unique_code",
        "lon": "coordx",
        "lat": "coordy",
        "richness": "woody_richness",
        "date": "year",
        "programme": "version",
    }
    intake = read_plots(
        data_dir / "catalonia_ifn" / "plots.csv.gz", columns=columns, crs="EPSG:23031"
    )
    summary = intake.summary
    assert (summary["kept"], summary["rejected"]) == (8997, 0)
    assert summary["repeated_locations"] == 3532
    assert summary["dates"] == {"known": 8993, "first": "1980-01-01", "last": "2016-01-01"}
    assert summary["programmes"] == {"ifn3": 3769, "ifn2": 3542, "ifn4": 1686}
    assert summary["notes"] == ["4453 repeats of a plot_id were given a suffix (-2, -3, ...)"]
    # The province of Barcelona.
    assert summary["bounds"] == pytest.approx([1.3782, 2.8065, 41.2156, 42.3023], abs=1e-4)


@pytest.mark.slow
def test_splotopen_header(data_dir):
    # It has no richness; its plot number stands in, since what is tested is the size.
    columns = {
        "plot_id": "PlotObservationID",
        "lon": "Longitude",
        "lat": "Latitude",
        "richness": "PlotObservationID",
        "area_m2": "Releve_area",
        "date": "Date_of_recording",
        "programme": "Dataset",
    }
    summary = read_plots(data_dir / "splotopen_header" / "header.tsv.gz", columns=columns).summary
    assert (summary["kept"], summary["rejected"]) == (95_104, 0)
    assert summary["repeated_locations"] == 16_624
    assert summary["area_m2"] == {"known": 67_022, "min": 0.03, "median": 100.0, "max": 40_000.0}
    assert summary["dates"] == {"known": 80_085, "first": "1888-07-05", "last": "2015-02-03"}
    assert len(summary["programmes"]) == 106


@pytest.mark.parametrize(
    ("name", "columns", "crs", "questions", "covariates"),
    [
        (
            "ausplots/sites.csv",
            ["Longitude", "Latitude"],
            "EPSG:4326",
            ["columns.richness"],
            10,
        ),
        ("new_zealand/plots.csv.gz", ["lon", "lat", "richness52"], "EPSG:4326", [], 13),
        ("south_america/plots.csv", ["lon", "lat", "Species_richness"], "EPSG:4326", [], 12),
        ("mongon/mongon_plots.csv", ["x", "y", "richness"], None, ["crs"], 0),
        ("keil_chase/plots.csv", ["Lon", "Lat", "S", "area_m2"], "EPSG:4326", [], 13),
        ("ecospat/plots.csv", ["long", "lat", "richness"], None, ["crs"], 5),
        (
            "catalonia_ifn/plots.csv.gz",
            ["coordx", "coordy", "year"],
            "EPSG:23031",
            ["columns.richness"],
            9,
        ),
    ],
)
def test_columns_are_recognised(data_dir, name, columns, crs, questions, covariates):
    result = recognise(open_source(data_dir / name))
    fields = [column for field, column in result.columns.items() if field != "plot_id"]
    assert fields == columns
    assert result.crs == crs
    assert [question.key for question in result.questions] == questions
    assert len(result.covariates) == covariates
    assert result.problems == []


def test_rarefied_richness_is_continuous(data_dir, tmp_path):
    table = pd.read_csv(data_dir / "keil_chase" / "plots.csv")
    table.assign(S=np.sqrt(table["S"])).to_csv(tmp_path / "plots.csv", index=False)
    covariates = {"GPP": "number", "REALM_PK": "class"}
    columns = {"lon": "Lon", "lat": "Lat", "richness": "S"}
    intake = read_plots(
        tmp_path / "plots.csv", columns=columns, kind="auto", covariates=covariates, fold="REALM_PK"
    )
    assert (intake.summary["kept"], intake.summary["target_kind"]) == (1336, "continuous")
    np.testing.assert_array_equal(intake.table["GPP"], table["GPP"])
    assert intake.table["fold"].nunique() == 7


def test_south_america(data_dir):
    path = data_dir / "south_america" / "plots.csv"
    columns = {"plot_id": "PlotObservationID", "lon": "lon", "lat": "lat"}
    columns |= {"richness": "Species_richness"}
    intake = read_plots(path, columns=columns)
    assert intake.summary["kept"] == 703
    assert intake.summary["richness"]["max"] == 256.0
    source = pd.read_csv(path)
    region = [-76, -66, -55.6, -17.6]  # of the raster of predictors
    inside = source["lon"].between(*region[:2]) & source["lat"].between(*region[2:])
    cut = read_plots(path, columns=columns, region=region, max_rejected=0.9)
    assert cut.summary["kept"] == inside.sum()
    assert cut.summary["rejected_by_kind"] == {"places outside the region": int((~inside).sum())}
