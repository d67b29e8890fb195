"""In Chromium: own map and masked land, explorer, notebook, antimeridian, static export."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from spatioformer import view
from spatioformer.common.glossary import terms
from spatioformer.viewer.export import export
from spatioformer.viewer.run import ViewedRun
from tests.helpers import linear_world as linear
from tests.helpers import viewed_run
from tests.helpers.viewed_run import YEARS
from tests.viewer.browser.conftest import becomes, eventually, part_of, shown, view_of
from tests.viewer.browser.test_map import (
    EXPECTED,
    LAST,
    PIXEL,
    POINT,
    RISE,
    answer,
    painted,
    settled,
)

pytestmark = [pytest.mark.slow, pytest.mark.integration]

MASKED = viewed_run.centre(viewed_run.MASKED[0], 4)
MIDDLE = (700, 450)
"""The middle of the window, where the place of `view` lies."""


def number(page) -> int:
    return int(answer(page).locator("h2").inner_text().split()[0])


def test_the_runs_own_map_masked_land_and_terms(visit):
    page = visit(f"#{POINT}")
    settled(page)
    card = answer(page)
    card.locator(".chip-picture").wait_for()
    assert number(page) == round(EXPECTED + RISE)
    assert f"What the model looked at, {LAST}" in card.inner_text()
    own = page.get_by_role("button", name="Map of the run")
    own.click()
    eventually(page, lambda: number(page) == round(EXPECTED))
    becomes(page, "year", "all")
    legend = page.locator(".legend")
    assert "Map of the run" in legend.inner_text()
    assert "Grey: masked land (cropland)" in legend.inner_text()
    card.locator(".chip-picture").wait_for()
    assert str(LAST) not in card.locator("h3", has_text="looked at").inner_text()
    own.click()
    becomes(page, "year", str(LAST))

    what = page.get_by_role("button", name="What it means: prediction interval, coverage")
    what.press("Enter")
    interval = next(term for term in terms() if term.identifier == "interval")
    assert interval.meaning.en in page.locator(".group .terms:visible").inner_text()
    assert interval.meaning.en in what.get_attribute("title")

    page.evaluate(f"location.hash = 'view=8/{MASKED[1]}/{MASKED[0]}&lang=es'")
    eventually(page, lambda: part_of(page, "view"))
    settled(page)
    page.mouse.move(*MIDDLE)
    reading = page.locator(".legend .reading")
    eventually(page, lambda: reading.inner_text() == "enmascarado")
    page.mouse.click(*MIDDLE)
    assert "Enmascarado: cropland." in answer(page).locator("..").inner_text()


def test_map_and_explorer_keep_language_and_theme(visit):
    page = visit("#lang=es&theme=dark")
    page.get_by_role("link", name="Explorador del modelo").click()
    page.locator("#place .features").wait_for()
    chosen = {"lang": ["es"], "theme": ["dark"]}
    assert parse_qs(urlsplit(page.url).fragment) == chosen
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Map", exact=True).click()
    settled(page)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.fixture
def notebook(folder) -> Iterator[str]:
    """Address of a page that shows `sf.view` as a notebook does; its host has another name."""
    shown = view(folder)
    content = f"<!doctype html><title>Cells</title>{shown._repr_html_()}".encode()

    class Cells(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 204)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(content if self.path == "/" else b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cells) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
    shown.stop()


@pytest.mark.soak
def test_a_notebook_shows_the_map_in_a_frame(browser, notebook):
    page = browser.new_page(locale="en-GB")
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.goto(notebook)
    frame = page.frame_locator("iframe")
    frame.locator("svg.scale .hill path").wait_for()
    frame.locator("[data-ready]").wait_for()
    box = page.locator("iframe").bounding_box()
    assert (box["height"], box["width"] > 1000) == (640, True)
    page.mouse.click(box["x"] + 640, box["y"] + 400)
    frame.locator(".answer h2").wait_for()
    assert "species" in frame.locator(".answer h2").inner_text()
    page.close()
    assert problems == []


WEST, NORTH = 178.5, -16.0


def test_a_map_across_the_antimeridian(visit, folder, tmp_path):
    """Plots, sites, clicks and polygons beyond 180 degrees, which files count from -180."""
    with shown(viewed_run.moved(folder, tmp_path / "fiji", WEST, NORTH)) as (viewed, address):
        lons = viewed.plots["lon"].to_numpy()
        assert (lons < 0).any()
        assert (lons > 0).any()
        east = WEST + 18.5 * viewed_run.STEP  # 180.35
        lat = NORTH - (PIXEL[0] + 0.5) * viewed_run.STEP
        page = visit(f"#plots=observed&view=8/{lat}/{east}", address=address)
        settled(page)
        page.mouse.click(*MIDDLE)
        answer(page)
        eventually(page, lambda: part_of(page, "point"))
        assert float(part_of(page, "point").split("/")[0]) == pytest.approx(east, abs=0.01)
        assert "179.65° W" in page.locator(".answer header").inner_text()
        page.locator(".answer tbody button").first.click()
        ring = page.locator("path.pointed").bounding_box()
        assert 350 < ring["x"] < 1400
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Whole map").click()
        page.get_by_role("button", name="Survey sites").click()
        page.locator(".site").first.wait_for()
        across = [one.bounding_box()["x"] for one in page.locator(".site").all()]
        assert len(across) == 20
        assert min(across) > 350
        assert max(across) < 1400
        page.get_by_role("button", name="Mean of an area").click()
        corners = [[-179.5, -17], [-179, -17], [-179, -17.5], [-179.5, -17.5], [-179.5, -17]]
        (tmp_path / "a.geojson").write_text(
            json.dumps({"type": "Polygon", "coordinates": [corners]})
        )
        page.locator("input[type=file]").set_input_files(tmp_path / "a.geojson")
        page.locator(".zone").wait_for()
        assert "25 pixels" in page.locator(".zone").inner_text()
        eventually(page, lambda: 350 < page.locator("path.area").bounding_box()["x"] < 1400)
        eventually(page, lambda: abs(view_of(page)[2] - 180.75) < 0.1)


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """The export of a run with fewer years and layers, which takes a tenth of the time."""
    base = tmp_path_factory.mktemp("static")
    target, copy = base / "map", base / "run"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "warmer")
    for year in YEARS[1:-1]:
        (copy / "years" / f"map_{year}.tif").unlink()
    viewed = ViewedRun(copy)
    for name in viewed.catalogue.layers.keys() - {"mean", "lower", "upper", "applies"}:
        del viewed.catalogue.layers[name]
    export(viewed, target)
    viewed.rasters.close()
    return target


@pytest.fixture(scope="module")
def plain_server(exported):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=exported)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_plain_server_is_enough_for_the_map_and_for_clicks(visit, plain_server):
    page = visit(f"#{POINT}", address=plain_server)
    settled(page)
    card = answer(page)
    value = EXPECTED + RISE
    words = card.locator("h2").inner_text().split()
    assert abs(int(words[0]) - value) <= 0.51
    assert abs(int(words[3]) - (value - linear.HALF)) <= 0.51
    assert "The model applies here." in card.inner_text()
    assert card.locator(".series circle").count() == 2
    assert card.locator("tbody tr").count() == 5
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Mean of an area").click()
    assert "need the server" in page.locator(".zones").inner_text()


def test_from_disk_it_shows_pictures_and_says_what_is_missing(visit, exported):
    page = visit(address=exported.as_uri() + "/", path="index.html")
    assert "Opened from disk" in page.locator(".settings").inner_text()
    picture = page.locator("img.overview")
    picture.wait_for()
    assert page.evaluate("document.querySelector('img.overview').naturalWidth") > 100
    page.get_by_label("Where the model applies").click()
    assert "applies" in page.locator("img.overview").get_attribute("src")
    assert np.any(painted(page, "lines")[..., 3] >= 0)
