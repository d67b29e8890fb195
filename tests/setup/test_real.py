"""Real plots and rasters: a configuration without an edit, after at most one question."""

from pathlib import Path

import pytest

from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.setup.plan import Request, plan

WITH_RASTERS = {
    "mongon": (("mongon_plots.csv", "ep.tif"), "EPSG:32717", ()),
    "ecospat": (("plots.csv", "env.tif"), "EPSG:21781", ()),
    "south_america": (
        ("plots.csv", "predictors_chile.tif"),
        None,
        (),
    ),
}
TABLES = {
    "ausplots": ("sites.csv", ("plots.columns.richness=Species richness_vouchers",)),
    "new_zealand": ("plots.csv.gz", ()),
    "south_america": ("plots.csv", ()),
    "keil_chase": ("plots.csv", ()),
    "catalonia_ifn": ("plots.csv.gz", ("plots.columns.richness=woody_richness",)),
}


def planned(folder: Path, files: tuple[str, ...], out: Path, crs=None, changes=()):
    plots, *rasters = (folder / name for name in files)
    return plan(Request(plots, tuple(map(str, rasters)), out, crs, tuple(changes)))


def written(draft, out: Path) -> RunConfig:
    assert draft.findings.problems == []
    assert draft.findings.questions == []
    out.write_text(draft.text([]), encoding="utf-8")
    return load_config(out)


@pytest.mark.parametrize("name", WITH_RASTERS)
def test_rasters(data_dir, tmp_path, name):
    files, crs, changes = WITH_RASTERS[name]
    out = tmp_path / "run.yaml"
    config = written(planned(data_dir / name, files, out, crs, changes), out)
    assert len(config.imagery.layers) == 1
    assert "knndm" in [split.name for split in config.evaluate.splits]
    if crs or changes:  # one answer, and without it one question
        (question,) = planned(data_dir / name, files, out).findings.questions[:1]
        assert question.key == "plots.crs"
    else:  # the table states what the raster holds at 97 of 703 plots
        assert config.model.patch == 1
        assert len(config.model.covariates) == 11


def test_mongon_has_tiles_in_km(data_dir, tmp_path):
    files, crs, _ = WITH_RASTERS["mongon"]
    draft = planned(data_dir / "mongon", files, tmp_path / "run.yaml", crs)
    assert draft.values["evaluate"]["splits"][1] == {"name": "tiles", "kind": "tiles"}
    assert "size: 0.2, unit: km" in draft.text([])
    (why,) = [line.why for line in draft.findings.decisions if line.what == "evaluate.splits"]
    assert "tiles of 0.2 km or more" in why
    assert "the run widens them to the range of the residuals" in why


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_tables(data_dir, tmp_path, name):
    table, changes = TABLES[name]
    out = tmp_path / "run.yaml"
    config = written(planned(data_dir / name, (table,), out, None, changes), out)
    assert config.imagery is None
    assert config.map.model == "auto"
    assert len(planned(data_dir / name, (table,), out).findings.questions) == len(changes)
