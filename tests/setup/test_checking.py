"""A configuration by hand: what it sets, and everything that is wrong with it."""

import numpy as np
import pytest

from spatioformer.config.file import load_config
from spatioformer.setup.checking import examine_config
from tests.helpers import landscape
from tests.helpers.landscape import SIDE, imagery, write_raster


def lines(findings) -> dict[str, tuple[str, str]]:
    return {d.what: (d.value, d.why) for d in findings.decisions}


def test_what_is_set(tmp_path):
    findings = examine_config(load_config(landscape.write(tmp_path)))
    assert findings.problems == []
    assert findings.questions == []
    shown = lines(findings)
    assert shown["plots.columns.plot_id"] == ("plot", "set")
    assert shown["plots.crs"] == ("EPSG:4326", "default; a geometry has its own")
    assert shown["plots"][0].startswith("150 at ")
    assert "3 bands (red, green, blue)" in shown["imagery.layers.0"][1]
    assert "holds 150 of 150 plots" in shown["imagery.layers.0"][1]
    assert shown["model.patch"] == ("3", "default")
    assert shown["model.width"] == ("8", "set")
    assert shown["train.epochs"] == ("2", "set")
    assert "train.batch" not in shown, "a default of which nobody thinks"
    assert shown["split random"] == ("random", "set; 2 folds")
    assert shown["split tiles"][1].startswith("set; 2 folds; tiles of 1 degree, in which the plots")
    assert shown["map.model"] == ("spatioformer", "set")


def test_all_problems_at_once(tmp_path):
    config = load_config(landscape.write(tmp_path))
    changes = ["plots.columns.lon=longitude", "imagery.layers.0.path=absent.tif", "map.memory=0.1"]
    findings = examine_config(load_config(tmp_path / "tiny.yaml", changes))
    assert [problem.split(":")[0] for problem in findings.problems] == [
        *("plots.columns.lon", "imagery.layers.0", "map.memory")
    ]
    assert examine_config(config).problems == []


def test_plots_beside_the_raster(tmp_path):
    config = landscape.write(tmp_path)
    write_raster(tmp_path / "image.tif", imagery()[:, :, : SIDE // 4])
    (problem,) = examine_config(load_config(config)).problems
    assert "of 150 plots lie on image.tif, so the run would reject" in problem
    changes = ["plots.max_rejected=0.9", "evaluate.curve_sizes=[]", "train.validation_tile=0.2"]
    assert examine_config(load_config(config, changes)).problems == []


@pytest.mark.parametrize("value", [-9999, -32768])
def test_what_a_run_only_remarks(tmp_path, value):
    config = landscape.write(tmp_path)
    data = imagery().astype(np.float32)
    data[:, :2] = value
    write_raster(tmp_path / "image.tif", data)
    notes = [d.why for d in examine_config(load_config(config)).decisions if d.value == "look"]
    assert len(notes) == 1
    assert f"set `nodata: {value}`" in notes[0]


def test_nothing_is_written(tmp_path):
    config = landscape.write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    examine_config(load_config(config))
    assert sorted(tmp_path.rglob("*")) == before
