"""`spatioformer plots import`, and a run on imported plots up to its report and map."""

import json

import geopandas
import pandas as pd
import pytest

import spatioformer as sf
from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.files import open_source
from tests.geo.plots.archives.test_darwin_core import LISTS, RICHNESS, core
from tests.geo.plots.archives.test_occurrences import GBIF
from tests.geo.plots.archives.test_tables import TREES
from tests.helpers import landscape
from tests.helpers.darwin_core import archive, events, gbif_simple, lists
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config

pytestmark = [pytest.mark.usefixtures("blank_pictures"), pytest.mark.integration]


@pytest.fixture
def source(tmp_path):
    return archive(tmp_path / "a.zip", core(), lists(LISTS))


def test_the_table_is_written_with_its_origin(source, tmp_path):
    out = tmp_path / "plots.parquet"
    ended = spatioformer("plots", "import", source, "-o", out)
    assert ended.code == 0, ended.err
    assert "Imported from a.zip" in ended.out
    assert "10.15468/grass1" in ended.out
    assert "no commercial use" in ended.out
    assert f"{out} is written; make a configuration: spatioformer init {out} RASTERS" in ended.err
    table = geopandas.read_parquet(out)
    assert dict(zip(table["plot_id"], table["richness"], strict=True)) == RICHNESS
    assert open_source(out).imported["reference"]["doi"] == "10.15468/grass1"
    again = spatioformer("plots", "import", source, "-o", out)
    assert_refused(again, f"{out} exists; give another name with -o, or --force to replace it")
    assert spatioformer("plots", "import", source, "-o", out, "--force", "-q").out == ""


def test_refusals_are_one_sentence_and_write_nothing(source, tmp_path):
    out = tmp_path / "plots.parquet"
    assert_refused(
        spatioformer("plots", "import", source, "-o", tmp_path / "plots.csv"),
        f"-o {tmp_path / 'plots.csv'} has to end with .parquet, the format of the table",
    )
    assert_refused(
        spatioformer("plots", "import", source, "-o", out, "--doi", "none"),
        "--doi 'none' is no DOI; give one such as 10.15468/dl.abc123",
    )
    ended = spatioformer("plots", "import", source, "-o", out, "--set", "colums.richness=x")
    assert ended.code == 2
    assert "colums" in ended.err
    single = gbif_simple(tmp_path / "g.zip", [GBIF | {"scientificName": "Poa annua"}])
    ended = spatioformer("plots", "import", single, "-o", out)
    assert ended.code == 2
    assert "g.zip holds 1 single records, not surveys" in ended.err
    assert not out.exists()
    ended = spatioformer("plots", "import", single, "-o", out, "--accept-incomplete", "-q")
    assert ended.code == 0
    assert geopandas.read_parquet(out)["list_complete"].tolist() == ["no"]


def test_rejected_visits_are_written_beside_the_table(tmp_path):
    found = {name: names for name, names in LISTS.items() if name != "c"}
    source = archive(tmp_path / "a.zip", core(), lists(found))
    out = tmp_path / "p.parquet"
    ended = spatioformer("plots", "import", source, "-o", out)
    assert ended.code == 2
    assert "loses 1 of 3 rows (33%)" in ended.err
    rejected = pd.read_csv(tmp_path / "p.rejected.csv")
    assert rejected["plot_id"].tolist() == ["c"]
    assert not out.exists()
    ended = spatioformer("plots", "import", source, "-o", out, "--set", "max_rejected=0.5")
    assert ended.code == 0
    assert "1 visits are rejected; the reasons are in" in ended.err


def test_a_table_takes_the_settings_of_a_configuration(tmp_path):
    (tmp_path / "t.csv").write_text(TREES.replace("species", "what"))
    out = tmp_path / "p.parquet"
    spatioformer(
        "plots", "import", tmp_path / "t.csv", "-o", out, "--set", "species.species=what", "-q"
    )
    assert geopandas.read_parquet(out)["richness"].tolist() == [2, 1, 1]


def test_the_python_door_imports_archives(source, tmp_path):
    plots = sf.read_plots(source)
    assert dict(zip(plots["plot_id"], plots["richness"], strict=True)) == RICHNESS
    assert plots.attrs["imported"]["reference"]["licence"] == "CC-BY-NC-4.0"
    written = spatioformer("plots", "import", source, "-o", tmp_path / "p.parquet", "-q")
    assert written.code == 0
    again = sf.read_plots(tmp_path / "p.parquet")
    assert again.attrs["imported"]["completeness"] == {"yes": 0, "no": 0, "not stated": 3}
    near = sf.read_plots(tmp_path / "p.parquet", region=(8, 10, 46, 48), max_rejected=0.5)
    assert near.attrs["imported"]["plots"] == 2
    (tmp_path / "t.csv").write_text(TREES)
    assert sf.read_plots(tmp_path / "t.csv", archive=True)["richness"].tolist() == [2, 1, 1]
    with pytest.raises(PlotError, match="archive=True imports a file or folder"):
        sf.read_plots(pd.DataFrame({"lon": [1.0]}), archive=True)
    with pytest.raises(PlotError, match="is no rule; use species, strict, written"):
        sf.read_plots(source, taxa="all")


def test_attributes_of_another_form_are_no_origin(tmp_path):
    table = geopandas.GeoDataFrame(
        {"richness": [1, 2]}, geometry=geopandas.points_from_xy([1, 2], [3, 4]), crs=4326
    )
    for wrong in ("x", {"origins": 3}, {"origins": [], "reference": {"doi": 5}}, {"names": 1}):
        table.attrs = {"imported": wrong}
        table.to_parquet(tmp_path / "p.parquet")
        assert open_source(tmp_path / "p.parquet").imported is None


def test_a_run_on_imported_plots_cites_them(tmp_path):
    landscape.write(tmp_path)
    table = landscape.plots()
    rows = [
        (f"p{i}", "", "2015-06-01", f"{lat:.6f}", f"{lon:.6f}", 100, "m2", "relevé", 20)
        for i, (lon, lat) in enumerate(zip(table["lon"], table["lat"], strict=True))
    ]
    counts = table["richness"].to_numpy(int).tolist()
    found = {f"p{i}": [f"Genus species-{'x' * n}" for n in range(1, c + 1)]
             for i, c in enumerate(counts)}  # fmt: skip
    source = archive(tmp_path / "a.zip", events(*rows), lists(found))
    out = tmp_path / "plots.parquet"
    ended = spatioformer("plots", "import", source, "-o", out, "-q", "--set", "max_rejected=0.9")
    assert ended.code == 0, ended.err
    config = write_config(tmp_path, ("plots", {"path": "plots.parquet", "max_rejected": 0.9}))
    ended = spatioformer("run", config, "--quiet")
    assert ended.code == 0, ended.err
    run = tmp_path / "run"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Sources and licences" in page
    assert "doi:10.15468/grass1" in page
    assert "no commercial use" in page
    assert "@misc{grass1," in (run / "CITATIONS.bib").read_text(encoding="utf-8")
    assert "DOI of the training plots: 10.15468/grass1" in (run / "model/README.md").read_text()
    again = tmp_path / "again.tif"
    ended = spatioformer(
        *("map", run / "model", run / "imagery.tif", "-o", again, "--samples", 0, "--stac"),
        *("--year", 2015, "-q"),
    )
    assert ended.code == 0, ended.err
    item = json.loads((tmp_path / "again.item.json").read_text(encoding="utf-8"))
    assert {"rel": "derived_from", "href": "https://doi.org/10.15468/grass1",
            "title": "plots of the model"} in item["links"]  # fmt: skip
