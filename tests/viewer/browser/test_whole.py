"""In Chromium: own map and masked land, explorer, notebook, antimeridian, static export."""

import functools
import http.server
import json
import re
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
from tests.helpers.browser import eventually, expect
from tests.helpers.viewed_run import YEARS
from tests.viewer.browser.conftest import shown
from tests.viewer.browser.reading import (
    answer,
    becomes,
    left_edge,
    painted,
    part_of,
    quiet,
    settled,
    view_of,
)
from tests.viewer.browser.test_map import EXPECTED, LAST, PIXEL, POINT, RISE

pytestmark = [pytest.mark.slow, pytest.mark.integration]

MASKED = viewed_run.centre(viewed_run.MASKED[0], 4)
MIDDLE = (700, 450)
"""The middle of the window, where the place of `view` lies."""


def test_the_runs_own_map_masked_land_and_terms(visit):
    page = visit(f"#{POINT}")
    settled(page)
    card = answer(page)
    value, looked = card.locator("h2"), card.locator("h3", has_text="looked at")
    expect(looked).to_have_text(f"What the model looked at, {LAST}")
    card.locator(".chip-picture").wait_for()
    expect(value).to_have_text(re.compile(f"^{EXPECTED + RISE:.0f} species"))
    own = page.get_by_role("button", name="Map of the run")
    own.click()
    expect(value).to_have_text(re.compile(f"^{EXPECTED:.0f} species"))
    becomes(page, "year", "all")
    legend = page.locator(".legend")
    expect(legend).to_contain_text("Map of the run")
    expect(legend).to_contain_text("Grey: masked land (cropland)")
    expect(looked).to_have_text("What the model looked at")  # without a year
    card.locator(".chip-picture").wait_for()
    own.click()
    becomes(page, "year", str(LAST))

    what = page.get_by_role("button", name="What it means: prediction interval, coverage")
    what.press("Enter")
    interval = next(term for term in terms() if term.identifier == "interval")
    expect(page.locator(".group .terms:visible")).to_contain_text(interval.meaning.en)
    expect(what).to_have_attribute("title", re.compile(re.escape(interval.meaning.en)))

    page.evaluate(f"location.hash = 'view=8/{MASKED[1]}/{MASKED[0]}&lang=es'")
    expect(page.locator("html")).to_have_attribute("lang", "es")  # the page is built anew
    settled(page)
    page.mouse.move(*MIDDLE)
    expect(page.locator(".legend .reading")).to_have_text("enmascarado")
    page.mouse.click(*MIDDLE)
    expect(answer(page)).to_contain_text("Enmascarado: cropland.")


def test_map_and_explorer_keep_language_and_theme(visit):
    page = visit("#lang=es&theme=dark")
    quiet(page)
    page.get_by_role("link", name="Explorador del modelo").click()
    page.locator("#place .features").wait_for()
    chosen = {"lang": ["es"], "theme": ["dark"]}
    assert parse_qs(urlsplit(page.url).fragment) == chosen
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="English").click()
    quiet(page)
    page.get_by_role("link", name="Map", exact=True).click()
    settled(page)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


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
    expect(frame.locator(".answer h2")).to_contain_text("species")
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
        expect(page.locator(".answer header")).to_contain_text("179.65° W")
        page.locator(".answer tbody button").first.click()
        eventually(page, lambda: 350 < left_edge(page.locator("path.pointed")) < 1400)
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Whole map").click()
        page.get_by_role("button", name="Survey sites").click()
        expect(page.locator(".site")).to_have_count(20)

        def inside() -> bool:
            across = [left_edge(one) for one in page.locator(".site").all()]
            return len(across) == 20 and all(350 < one < 1400 for one in across)

        eventually(page, inside)  # the map may still move
        page.get_by_role("button", name="Mean of an area").click()
        corners = [[-179.5, -17], [-179, -17], [-179, -17.5], [-179.5, -17.5], [-179.5, -17]]
        (tmp_path / "a.geojson").write_text(
            json.dumps({"type": "Polygon", "coordinates": [corners]})
        )
        page.locator("input[type=file]").set_input_files(tmp_path / "a.geojson")
        expect(page.locator(".zone")).to_contain_text("25 pixels")
        eventually(page, lambda: 350 < left_edge(page.locator("path.area")) < 1400)
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
    expect(card).to_contain_text("The model applies here.")
    expect(card.locator(".series circle")).to_have_count(2)
    expect(card.locator("tbody tr")).to_have_count(5)
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Mean of an area").click()
    expect(page.locator(".zones")).to_contain_text("need the server")


def test_from_disk_it_shows_pictures_and_says_what_is_missing(visit, exported):
    page = visit(address=exported.as_uri() + "/", path="index.html")
    expect(page.locator(".settings")).to_contain_text("Opened from disk")
    wide = "document.querySelector('img.overview').naturalWidth > 100"
    eventually(page, lambda: page.evaluate(wide))
    page.get_by_label("Where the model applies").click()
    expect(page.locator("img.overview")).to_have_attribute("src", re.compile("applies"))
    eventually(page, lambda: page.evaluate(wide))
    page.get_by_label("Graticule").check()
    eventually(page, lambda: np.any(painted(page, "lines")[..., 3] > 0))  # it can be read
