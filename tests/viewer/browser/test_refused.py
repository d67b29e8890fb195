"""A map that its verdict refuses says so wherever it is seen: closed panel, answer, picture."""

import shutil

import numpy as np
import pytest
from PIL import Image

from spatioformer.common.files import write_json
from spatioformer.common.palette import DARK, LIGHT
from spatioformer.evaluation.verdict import REFUSE
from tests.helpers.browser import eventually, expect
from tests.viewer.browser.conftest import shown
from tests.viewer.browser.reading import answer, settled
from tests.viewer.browser.test_map import LAT, LON

DECISION = "Do not use this map to tell places apart."

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.fixture(scope="module")
def refused(folder, tmp_path_factory):
    """Address of the run with another verdict, without the maps of years."""
    copy = tmp_path_factory.mktemp("refused") / "run"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("years", "warmer"))
    write_json(copy / "verdict.json", {"verdict": REFUSE, "skill": {"mae": 15.8, "apart": 146.4}})
    with shown(copy) as (_, address):
        yield address


def test_a_phone_shows_the_verdict_while_the_panel_is_closed(visit, refused):
    page = visit(address=refused, phone=True, dark=True)
    settled(page)
    brief = page.locator(".panel .brief")
    expect(brief).to_have_text(DECISION)
    red = tuple(int(DARK["bad"][k : k + 2], 16) for k in (1, 3, 5))
    expect(brief).to_have_css("color", f"rgb{red}")

    def above() -> bool:
        scale, panel = (page.locator(one).bounding_box() for one in (".scalebar", ".panel"))
        return scale["y"] + scale["height"] <= panel["y"]

    eventually(page, above)  # it follows the height of the panel
    page.get_by_role("button", name="Show all settings").click()
    expect(brief).to_be_hidden()
    expect(page.locator(".verdict")).to_contain_text("by less than 146 species")


def test_an_answer_repeats_it(visit, refused):
    page = visit(f"#point={LON:.5f}/{LAT:.5f}", address=refused)
    expect(answer(page).locator(".refused")).to_have_text(DECISION)
    expect(page.locator("[aria-live]")).to_contain_text(DECISION)


@pytest.mark.soak
def test_the_picture_says_it_in_red_below_the_title(visit, refused):
    page = visit(address=refused)
    settled(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download a picture (PNG)").click()
    with Image.open(saved.value.path()) as image:
        head = np.asarray(image.convert("RGB")).astype(int)[:180]
    red = [int(LIGHT["bad"][k : k + 2], 16) for k in (1, 3, 5)]
    assert np.all(head == red, axis=-1).sum() > 200
