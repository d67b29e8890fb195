"""Real plots through the import: an inventory of three rounds, and the header of sPlotOpen."""

import gzip

import numpy as np
import pytest

from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.geo.plots.archives.test_darwin_core import notes

pytestmark = pytest.mark.slow


def test_an_inventory_of_three_rounds(data_dir):
    settings = {"crs": "EPSG:23031", "columns": {"richness": "woody_richness"}}
    intake = import_plots(
        data_dir / "catalonia_ifn" / "plots.csv.gz", ImportOptions(settings=settings)
    )
    table = intake.table
    assert len(table) == 8997
    assert table["site"].nunique() == 4544
    assert (table["coordinate_rounding_m"] == 1000).sum() == 7311
    assert "3,242 plots were visited more than once" in notes(intake)
    assert intake.summary["imported"]["species_area"]["unknown"] == 8997


def test_the_header_of_splotopen_with_a_list(data_dir, tmp_path):
    content = gzip.decompress((data_dir / "splotopen_header" / "header.tsv.gz").read_bytes())
    (tmp_path / "sPlotOpen_header.txt").write_bytes(content)
    ids = [line.split(b"\t", 1)[0].decode() for line in content.splitlines()[1:]]
    rows = ["PlotObservationID\tSpecies\tOriginal_species\tRelative_cover"]
    rows += [f"{plot}\tPoa annua\tPoa annua L.\t1" for plot in ids]
    rows += [f"{plot}\tCarex nigra\tCarex fusca\t1" for plot in ids[::2]]
    (tmp_path / "sPlotOpen_DT.txt").write_text("\n".join(rows) + "\n")
    intake = import_plots(tmp_path)
    table = intake.table
    assert len(table) + len(intake.rejected) == 95_104
    assert np.array_equal(np.unique(table["richness"]), [1, 2])
    complete = intake.summary["imported"]["completeness"]
    assert complete["yes"] == pytest.approx(14_884, abs=5)
    assert complete["not stated"] == pytest.approx(70_937, abs=20)
    assert intake.summary["imported"]["coordinate_uncertainty_m"]["known"] > 50_000
