"""The export: the files are what the server answers, byte for byte."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from spatioformer.viewer import export as export_module
from spatioformer.viewer import overview
from spatioformer.viewer.export import export
from tests.helpers.tiny_run import assert_refused, spatioformer


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text("<p>page</p>")
    return page


@pytest.fixture(scope="module")
def exported(run, page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "map"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "SIDE", 64)
        return folder, export(run, folder, page=page)


def test_tiles_are_those_of_the_server(client, exported):
    folder, made = exported
    paths = sorted(folder.glob("tiles/*/*/*/*/*.png"))
    assert len(paths) >= made["tiles"] > 20
    for path in paths:
        served = client.get(f"/{path.relative_to(folder).as_posix()}")
        if served.status_code == 204:
            assert not np.asarray(Image.open(path)).any(), path
        else:
            assert served.content == path.read_bytes(), path


def test_every_tile_within_the_bounds_is_there(client, run, exported):
    folder, made = exported
    for layer in run.catalogue.layers.values():
        for z in range(max(r.minzoom for r in layer.rasters.values()), made["maxzoom"] + 1):
            x, y = int((141.5 + 180) / 360 * 2**z), 9 * 2**z // 16
            assert (folder / f"tiles/{layer.id}/all/{z}/{x}/{y}.png").exists() == (
                z <= layer.maxzoom
            )


def test_json_is_that_of_the_server(client, exported):
    folder, made = exported
    for name in ("style", "ground", "plots", "sites"):
        content = json.loads((folder / "api" / f"{name}.json").read_text())
        assert content == client.get(f"/api/{name}.json").json()
    facts = json.loads((folder / "api" / "run.json").read_text())
    served = client.get("/api/run.json").json()
    assert facts.pop("static") is True
    assert facts.pop("maxzoom") == made["maxzoom"] == served.pop("maxzoom")
    assert served.pop("static") is False
    assert facts.pop("links") == {"report": "report.html", "folder": None}
    served.pop("links")
    assert facts == served


def test_a_page_from_disk_finds_the_same_in_a_script(exported):
    folder, _ = exported
    text = (folder / "data.js").read_text()
    start, end = "window.SPATIOFORMER = ", ";\n"
    assert text.startswith(start)
    assert text.endswith(end)
    data = json.loads(text[len(start) : -len(end)])
    named = {name for name in data if not name.startswith("api/explorer")}
    assert named == {f"api/{n}.json" for n in ("run", "style", "terms", "ground", "plots", "sites")}
    for name, content in data.items():
        assert content == json.loads((folder / name).read_text())


def test_pictures_stand_for_tiles_on_disk(run, exported):
    folder, _ = exported
    names = {path.stem for path in (folder / "overview").glob("*.png")}
    for layer in run.catalogue.layers.values():
        assert {f"{layer.id}_{year}" for year in layer.rasters} <= names
        assert (layer.id in names) == (not layer.years)


def test_the_page_and_the_report_are_there(exported):
    folder, _ = exported
    assert (folder / "index.html").read_text() == "<p>page</p>"
    assert (folder / "report.html").exists()


def test_the_largest_zooms_of_a_large_map_are_left_out(run, monkeypatch):
    monkeypatch.setattr(export_module, "MOST_TILES", 20)
    layer = run.catalogue.layers["slope"]
    raster = replace(layer.rasters["all"], minzoom=0, maxzoom=9)
    layers = {"slope": replace(layer, rasters={"all": raster})}
    large = SimpleNamespace(catalogue=SimpleNamespace(layers=layers), maxzoom=9, map=run.map)
    jobs, zoom = export_module._jobs(large)
    assert 0 < zoom < 9
    assert {job[2] for job in jobs} == set(range(zoom + 1))
    more = list(export_module._of_zoom(layers["slope"], zoom + 1, run.map.bounds))
    assert len(jobs) <= 20 < len(jobs) + len(more)


def test_an_earlier_export_is_replaced_and_nothing_else(run, page, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "SIDE", 16)
    folder = shutil.copytree(exported[0], tmp_path / "copy")
    (folder / "old.txt").write_text("old")
    assert export(run, folder, page=page) == exported[1]
    assert not (folder / "old.txt").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("mine")
    assert_refused(
        spatioformer("view", run.folder, "--export", precious),
        f"{precious} exists and is no earlier export; name a new folder, so that nothing is lost",
    )
    assert (precious / "thesis.txt").read_text() == "mine"
