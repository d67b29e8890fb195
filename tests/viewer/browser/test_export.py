"""The static export in Chromium: from a plain web server, and from disk."""

import functools
import http.server
import shutil
import threading

import numpy as np
import pytest

from spatioformer.viewer.export import export
from spatioformer.viewer.run import ViewedRun
from tests.helpers import linear_world as linear
from tests.helpers.viewed_run import YEARS
from tests.viewer.browser.test_map import EXPECTED, POINT, RISE, answer, painted, settled

pytestmark = [pytest.mark.slow, pytest.mark.integration]


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
