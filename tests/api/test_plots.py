"""Plot tables through the Python door: the checks are those of `geo.plots.table`."""

import geopandas
import pandas as pd
import pytest

import spatioformer as sf
from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import table as intake

ROWS = {
    "plot_id": ["a", "b", "c"],
    "lon": [147.0, 148.0, 999.0],
    "lat": [-42.0, -43.0, -42.0],
    "richness": [12, 30, 4],
    "area_m2": [400, 100, 400],
}


def test_a_file_and_a_frame_give_the_same(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "plots.csv", index=False)
    columns = {name: name for name in ROWS}
    expected = intake.read_plots(tmp_path / "plots.csv", columns=columns, max_rejected=0.5)
    for source in (tmp_path / "plots.csv", frame):
        plots = sf.read_plots(source, max_rejected=0.5)
        columns = [name for name in expected.table if name != "source_line"]  # a file has a header
        pd.testing.assert_frame_equal(
            pd.DataFrame(plots[columns]), pd.DataFrame(expected.table[columns])
        )
        (rejected,) = plots.attrs["rejected"]
        assert rejected["reason"].replace("'999'", "'999.0'") == expected.rejected["reason"][0]
        assert (plots.attrs["summary"]["kept"], plots.attrs["summary"]["read"]) == (2, 3)
    assert plots.attrs["summary"]["source_file"] == "the table"


def test_a_geodataframe_brings_its_crs():
    points = geopandas.points_from_xy([147.0, 148.0], [-42.0, -43.0], crs="EPSG:4326")
    frame = geopandas.GeoDataFrame({"richness": [3, 4]}, geometry=points).to_crs("EPSG:3577")
    plots = sf.read_plots(frame)
    assert plots["lon"].round(6).tolist() == [147.0, 148.0]
    assert plots.crs.to_epsg() == 4326
    with pytest.raises(PlotError, match=r"has no CRS; give it one with plots\.set_crs"):
        sf.read_plots(frame.set_crs(None, allow_override=True))


def test_what_was_read_can_be_read_again_joined_and_saved(tmp_path):
    plots = sf.read_plots(pd.DataFrame(ROWS), max_rejected=0.5)
    again = sf.read_plots(plots)
    assert again[["plot_id", "richness", "area_m2"]].equals(
        plots[["plot_id", "richness", "area_m2"]]
    )
    assert len(pd.concat([plots, plots.copy()])) == 4  # attrs are compared
    plots.to_parquet(tmp_path / "plots.parquet")  # and written as JSON


def test_other_usual_names_are_found():
    frame = pd.DataFrame(
        {"Longitud": [147.25, 148.5], "Latitud": [-42.5, -43.25], "Riqueza": [12, 30]}
    )
    frame["Fecha"] = ["05/01/2014", "25/12/2014"]
    plots = sf.read_plots(frame)
    assert plots["richness"].tolist() == [12, 30]
    assert plots["date"].astype(str).tolist() == ["2014-01-05", "2014-12-25"]
    other = sf.read_plots(frame.iloc[:1], date_order="month-first")
    assert other["date"].astype(str).tolist() == ["2014-05-01"]


def test_species_are_counted():
    matrix = pd.DataFrame(
        {"lon": [147.0, 148.0], "lat": [-42.0, -43.0], "acacia": [1, 0], "poa": [2, 3]}
    )
    plots = sf.read_plots(matrix, species={"layout": "matrix"})
    assert plots["richness"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            pd.DataFrame({"lon": [1.5], "lat": [22.5]}),
            r"set columns\.richness \(no column is",
        ),
        (pd.DataFrame(ROWS), r"the table loses 1 of 3 rows \(33%\)"),
        ("absent.csv", r"there is no file absent\.csv"),
    ],
)
def test_sentences(source, sentence):
    with pytest.raises(PlotError, match=sentence):
        sf.read_plots(source)
