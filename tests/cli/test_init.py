"""`spatioformer init` and `check`: files, questions, exit codes."""

import importlib
import io
import shlex
import sys

import numpy as np
import pytest

from spatioformer.config.file import load_config
from tests.helpers import landscape
from tests.helpers.landscape import imagery, plots, write_raster
from tests.helpers.tiny_run import half_written, spatioformer

command = importlib.import_module("spatioformer.cli.init")  # the package has the function


@pytest.fixture
def folder(tmp_path, monkeypatch):
    plots().to_csv(tmp_path / "plots.csv", index=False)
    write_raster(tmp_path / "image.tif", imagery(), names=("red", "green", "blue"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def two_counts(folder) -> None:
    table = plots().rename(columns={"richness": "tree_richness"})
    table.assign(herb_richness=table["tree_richness"]).to_csv(folder / "plots.csv", index=False)


def test_a_configuration_is_written(folder):
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert ended.code == 0
    assert ended.err == "run.yaml is written; read it, then start: spatioformer run run.yaml\n"
    assert "Found in plots.csv, image.tif" in ended.out
    assert "holds 150 of 150 plots" in " ".join(ended.out.split())
    text = (folder / "run.yaml").read_text()
    assert text.startswith("# Written by: spatioformer init plots.csv image.tif\n")
    assert load_config(folder / "run.yaml").imagery.layers[0].name == "image"
    assert not half_written(folder)


def test_a_file_is_not_replaced(folder):
    (folder / "run.yaml").write_text("mine")
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert ended.code == 2
    assert ended.err == (
        "spatioformer: run.yaml exists; give another name with -o, or --force to replace it\n"
    )
    assert (folder / "run.yaml").read_text() == "mine"
    assert spatioformer("init", "plots.csv", "image.tif", "--force", "-q").code == 0
    assert (folder / "run.yaml").read_text() != "mine"


def test_questions_without_a_terminal(folder):
    two_counts(folder)
    ended = spatioformer("init", "plots.csv", "image.tif", "-o", "out/run.yaml", "--yes")
    assert ended.code == 2
    assert ended.err == (
        "spatioformer: 1 question about plots.csv, image.tif, so out/run.yaml is not written:\n"
        "  plots.columns.richness (tree_richness or herb_richness): several columns may hold the "
        "richness; answer with --set plots.columns.richness=tree_richness\n"
    )
    assert not (folder / "out").exists()


def test_questions_on_a_terminal(folder, monkeypatch):
    """Each is asked once; a number or a text answers; each answer settles the next question."""
    two_counts(folder)
    data = imagery().astype(np.float32)
    data[:, :2] = -9999
    write_raster(folder / "image.tif", data)
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n2\n-9999\n"))
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert ended.code == 0, ended.err
    assert "  1  tree_richness\n  2  herb_richness\n" in ended.err
    assert ended.err.count("several columns may hold the richness") == 1
    config = load_config(folder / "run.yaml")
    assert config.plots.columns["richness"] == "herb_richness"
    assert config.imagery.layers[0].nodata == -9999
    head = (folder / "run.yaml").read_text().splitlines()[0]
    assert head.endswith(
        "--set plots.columns.richness=herb_richness --set imagery.layers.0.nodata=-9999"
    )


def test_an_answer_that_cannot_be_is_asked_again(folder, monkeypatch):
    table = plots().rename(columns={"lon": "x", "lat": "y"})
    table[["x", "y"]] = 1e5 * table[["x", "y"]].abs()
    table.to_csv(folder / "plots.csv", index=False)
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("EPSG:99\nEPSG:3857\n"))
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert "--crs: crs 'EPSG:99' is unknown" in ended.err
    assert ended.err.count("metres fit many CRSs") == 2
    assert ended.code == 2, "the plots lie elsewhere"


def test_an_answer_that_does_not_help_is_asked_once(folder, monkeypatch):
    two_counts(folder)
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("shrubs\n"))
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert ended.code == 2
    assert "column 'shrubs'" in ended.err
    assert not (folder / "run.yaml").exists()


def test_names_of_columns_are_text_in_answers(folder):
    table = plots().rename(columns={"richness": "# tree richness"})
    table.assign(herb_richness=1).to_csv(folder / "plots.csv", index=False)
    ended = spatioformer("init", "plots.csv", "image.tif")
    option = shlex.split(ended.err.rpartition("answer with ")[2])
    assert option == ["--set", "plots.columns.richness='# tree richness'"]
    assert spatioformer("init", "plots.csv", "image.tif", *option).code == 0
    assert load_config("run.yaml").plots.columns["richness"] == "# tree richness"


def test_names_that_look_like_markup(folder):
    plots().rename(columns={"plot": "[red]plot"}).to_csv(folder / "plots.csv", index=False)
    ended = spatioformer("init", "plots.csv", "image.tif")
    assert ended.code == 0
    assert "[red]plot" in ended.out


def test_check(tmp_path):
    config = landscape.write(tmp_path)
    ended = spatioformer("check", config)
    assert ended.code == 0
    assert ended.err == f"no problem found; start: spatioformer run {config}\n"
    assert "What tiny.yaml sets" in ended.out
    assert not (tmp_path / "run").exists()
    ended = spatioformer("check", config, "--set", "plots.path=absent.csv", "-q")
    assert ended.code == 2
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert first == f"spatioformer: 1 problem about {config}, so a run would stop:"
    assert second.startswith("  plots.path: there is no file")


def test_init_then_check(folder):
    assert spatioformer("init", "plots.csv", "image.tif", "-q").code == 0
    assert spatioformer("check", "run.yaml").code == 0
