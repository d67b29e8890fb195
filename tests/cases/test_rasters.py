"""The rasters that were given as failing cases."""

import json
import re
import shutil

import pytest

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.stack import Layer, Stack, build_stack
from tests.helpers.tiny_run import spatioformer

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


GIVEN = {
    "01-netcdf-unequal-latitudes": 1600,
    "03-netcdf-sum-over-missing": 47,
    "04-netcdf-other-variable": "variable 'tp' is not in .*; set `variable` to t2m",
    "07-mask-codes-above-2-to-24": 600,
    "09-longitudes-0-360-second-layer": 1200,
    "11-alpha-band": 750,
    "16-colon-in-netcdf-name": 64,
    "20-class-raster-with-colours": "has a colour table, so its values look like classes",
    "21-ground-control-points-only": "is placed by 4 ground control points",
    "22-undeclared-lowest-float": 900,
    "24-tiles-of-one-export": "look like pieces of one raster",
}


@pytest.mark.integration
@pytest.mark.parametrize("case", GIVEN)
def test_given_cases(case, cases_dir, tmp_path, monkeypatch):
    folder = tmp_path / "case"
    shutil.copytree(cases_dir / case, folder, copy_function=shutil.copyfile)
    monkeypatch.chdir(folder)
    ended = spatioformer("imagery", folder / "case.yaml")
    expected = GIVEN[case]
    if isinstance(expected, str):
        assert ended.code == 2
        assert re.search(expected, ended.err)
        return
    assert ended.code == 0, ended.err
    summary = json.loads((folder / "out" / "imagery.json").read_text())
    assert summary["pixels_to_predict"] == expected
    if case.startswith("01"):  # values are latitudes; rows 3 degrees apart
        low, high = (summary["statistics"]["soil"][key] for key in ("min", "max"))
        assert 44 <= low < 44.2
        assert 51.8 < high <= 52
        assert "note: rows of" in ended.err
    if case.startswith("22"):
        assert "note: 17 % of the values of dem are -3.4028235e+38" in ended.err


@pytest.mark.parametrize(
    "name", ["moon.tif", "degenerate-transform.tif", "two-billion-columns.vrt"]
)
def test_given_hostile_rasters(name, cases_dir, tmp_path):
    for read in (lambda p: build_stack([Layer(p, "a")], tmp_path / "s.tif"), Stack):
        with pytest.raises(ImageryError) as error:
            read(cases_dir / "hostile" / name)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600
