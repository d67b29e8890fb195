"""The demo's virtual flora: simulated once, and again where its record or a file is gone."""

import json
from pathlib import Path

import pytest

from spatioformer.common.progress import Console
from spatioformer.run import demo
from spatioformer.run.runner import Run
from tests.helpers import landscape

pytestmark = pytest.mark.integration

NAMES = ("plots.csv", "truth.tif", "noise.tif")


def fake_simulation(imagery: Path, folder: Path, seed: int, advance) -> tuple[int, float, float]:
    for name in NAMES:
        (folder / name).write_text(f"{name} {seed}")
    return 3, 1.0, 2.0


@pytest.fixture
def survey(tmp_path, monkeypatch, capsys):
    """Surveys the flora of a run folder; returns what the console says."""
    config = landscape.write(tmp_path)
    monkeypatch.setattr(demo, "_simulate", fake_simulation)

    def surveyed(*changes: str) -> str:
        demo._survey_virtual_flora(Run(config, changes, console=Console()))
        return capsys.readouterr().err

    return surveyed


MADE = "flora     ...\nflora     virtual: 3 species, 1 to 2 a plot, 3000 plots\n"
KEPT = "flora     unchanged, kept\n"


def test_a_flora_is_simulated_once(survey, tmp_path):
    folder = tmp_path / "run" / "virtual"
    assert survey() == MADE
    assert survey() == KEPT
    assert survey("seed=1") == MADE
    assert (folder / "truth.tif").read_text() == "truth.tif 1"
    assert survey("seed=1") == KEPT
    (folder / "noise.tif").unlink()
    assert survey("seed=1") == MADE
    record = json.loads((folder / "made_of.json").read_text())
    assert set(record) == set(NAMES)
    assert len(record["truth.tif"]["facts"]["sha256"]) == 64


@pytest.mark.parametrize("text", ["{", '{"made_of": "0123", "sha256": {"plots.csv": "4567"}}'])
def test_a_record_of_version_0_1_is_made_anew(survey, tmp_path, text):
    folder = tmp_path / "run" / "virtual"
    assert survey() == MADE
    (folder / "made_of.json").write_text(text)
    assert survey() == MADE
    assert survey() == KEPT
