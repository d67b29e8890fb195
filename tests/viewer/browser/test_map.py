"""The map page in Chromium: what a reader can do, and that the numbers are those of the run."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.helpers import linear_world as linear
from tests.helpers import viewed_run
from tests.helpers.browser import eventually, expect
from tests.viewer.browser.reading import (
    answer,
    becomes,
    drawn,
    intercept,
    painted,
    part_of,
    quiet,
    settled,
    view_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.integration]

PIXEL = (7, 20)
"""Row and column of a pixel that the tests ask about."""

LON, LAT = viewed_run.centre(*PIXEL)
EXPECTED = float(linear.richness(*linear.climate()[:, PIXEL[0], PIXEL[1]]))
LAST = viewed_run.YEARS[-1]
RISE = viewed_run.SLOPE * (LAST - viewed_run.YEARS[0])
POINT = f"point={LON}/{LAT}"


def test_it_opens_with_verdict_title_legend_and_colours(visit):
    page = visit()
    settled(page)
    expect(page).to_have_title("A linear world · Spatioformer")
    first = page.locator(".settings > :first-child")
    expect(first).to_have_text(re.compile(r"^Use this map\."), use_inner_text=True)
    for words in ("species", str(LAST), "Hatched"):
        expect(page.locator(".legend")).to_contain_text(words, use_inner_text=True)

    def many_colours() -> bool:  # coarse tiles, which come first, have few
        colours = painted(page, "left")
        shown = colours[colours[..., 3] > 0]
        return len(shown) > 10_000 and len(np.unique(shown, axis=0)) > 50

    eventually(page, many_colours)


def test_a_click_gives_the_value_and_interval_of_the_map(visit):
    page = visit(f"#{POINT}")
    card = answer(page)
    value = EXPECTED + RISE
    likely = f"likely {value - linear.HALF:.0f} to {value + linear.HALF:.0f}"
    heading = f"{value:.0f} species {likely}"
    expect(card.locator("h2")).to_have_text(heading, use_inner_text=True)
    expect(card).to_contain_text("The model applies here.")
    trend = card.locator(".note", has_text="Trend")
    expect(trend).to_contain_text(f"Trend: +{viewed_run.SLOPE:.1f}")
    expect(page.locator("[aria-live]")).to_contain_text(f"{value:.0f} species")
    expect(card.locator("tbody tr")).to_have_count(10)  # nearest plots, and plots most alike


def test_a_click_with_the_mouse_asks_where_it_points(visit):
    page = visit()
    settled(page)
    page.mouse.click(800, 500)
    value = int(answer(page).locator("h2").inner_text().split()[0])
    eventually(page, lambda: part_of(page, "point"))
    lon, lat = (float(one) for one in part_of(page, "point").split("/"))
    row = (viewed_run.NORTH - lat) / viewed_run.STEP
    col = (lon - viewed_run.WEST) / viewed_run.STEP
    climate = linear.climate()[:, int(row), int(col)]
    assert abs(value - (linear.richness(*climate) + RISE)) <= 0.51
    page.get_by_role("button", name="Close").click()
    becomes(page, "point", None)
    expect(page.locator(".answer")).to_be_hidden()


def test_the_value_under_the_pointer_stands_in_the_legend(visit):
    page = visit()
    settled(page)
    page.mouse.move(801, 501)  # and the value is there once its tile is
    reading = page.locator(".legend .reading")
    expect(reading).to_have_text(re.compile(r"\d"))
    shown = reading.inner_text()
    page.mouse.click(801, 501)
    value = int(answer(page).locator("h2").inner_text().split()[0])
    assert abs(int(shown) - value) <= 1  # the tile's pixel may be a neighbour of the map's


def test_outside_the_area_of_applicability_it_says_so_and_why(visit):
    lon, lat = viewed_run.centre(*viewed_run.OUTSIDE)
    page = visit(f"#point={lon}/{lat}")
    card = answer(page)
    expect(card).to_contain_text("The model does not apply here.")
    expect(card).to_contain_text("warmth")


def test_where_applicability_was_not_measured_it_says_so(visit):
    page = visit()
    settled(page)
    why = {"en": "The run did not measure where its model applies."}
    known = {"lon": LON, "lat": LAT, "inside": True, "value": 7.0, "applies": None, "why": why}
    intercept(page, "**/api/at.json*", lambda route: route.fulfill(json=known))
    page.mouse.click(800, 500)
    expect(answer(page).locator(".unmeasured")).to_have_text(why["en"])


def test_where_there_is_no_prediction_it_says_so(visit):
    lon, lat = viewed_run.centre(viewed_run.EMPTY_ROW, 3)
    page = visit(f"#point={lon}/{lat}")
    expect(answer(page).locator("h2")).to_have_text("There is no prediction here.")


def test_pan_and_zoom_change_the_view_and_the_address(visit):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Zoom in").click()
    eventually(page, lambda: view_of(page))
    zoom, lat, lon = view_of(page)
    page.mouse.move(800, 450)
    page.mouse.down()
    page.mouse.move(700, 450, steps=4)
    page.mouse.up()
    east = lon + 100 / (256 * 2**zoom) * 360
    eventually(page, lambda: view_of(page)[2] - lon == pytest.approx(east - lon, rel=0.02))
    assert view_of(page)[:2] == [zoom, pytest.approx(lat, abs=0.02)]
    page.mouse.move(710, 460)
    page.mouse.wheel(0, 400)
    eventually(page, lambda: view_of(page)[0] < zoom)


def test_the_year_changes_map_legend_and_answer(visit):
    page = visit(f"#{POINT}")
    settled(page)
    card = answer(page)
    mark = page.locator(".asked").bounding_box()
    middle = [mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2]
    near = pytest.approx(EXPECTED + RISE, abs=0.6)  # the scale has a hundred steps
    eventually(page, lambda: drawn(page, "left", "mean", *middle) == near)
    before = int(card.locator("h2").inner_text().split()[0])
    slider = page.get_by_role("slider", name="Year")
    slider.focus()
    page.keyboard.press("Home")
    eventually(page, lambda: int(card.locator("h2").inner_text().split()[0]) == before - RISE)
    becomes(page, "year", str(viewed_run.YEARS[0]))
    expect(page.locator(".legend")).to_contain_text(str(viewed_run.YEARS[0]))
    near = pytest.approx(EXPECTED, abs=0.6)
    eventually(page, lambda: drawn(page, "left", "mean", *middle) == near)


@pytest.mark.soak
def test_the_years_play(visit):
    page = visit(f"#year={viewed_run.YEARS[0]}")
    page.get_by_role("button", name="Play the years").click()
    becomes(page, "year", str(viewed_run.YEARS[1]))
    page.get_by_role("button", name="Pause").click()


def test_two_years_are_compared_with_a_divider(visit):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Compare two layers or years").click()
    divider = page.get_by_role("slider", name="Divider between the two layers")
    divider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    becomes(page, "swipe", f"mean/{viewed_run.YEARS[0]}/60")
    page.get_by_label("Layer on the right").select_option("width")
    expect(page.locator(".legend")).to_contain_text("Right: Width")
    width = pytest.approx(2 * linear.HALF, abs=0.6)
    second = ".legend .plots svg.scale"
    eventually(page, lambda: drawn(page, "right", "width", 800, 500, second) == width)
    clips = page.evaluate(
        "['left', 'right'].map((p) => document.querySelector(`.leaflet-${p}-pane`).style.clipPath)"
    )
    assert all(clip.startswith("polygon(") for clip in clips)
    box = divider.bounding_box()
    page.mouse.move(box["x"] + 18, 600)
    page.mouse.down()
    page.mouse.move(700, 600, steps=3)
    page.mouse.up()
    becomes(page, "swipe", f"width/{viewed_run.YEARS[0]}/50")


def test_the_mean_of_two_drawn_areas_and_their_difference(visit, tmp_path):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Mean of an area").click()
    page.get_by_role("button", name="Draw").click()
    for x, y in ((520, 300), (620, 300), (620, 420)):
        page.mouse.click(x, y)
    page.mouse.dblclick(520, 420)
    page.locator(".zone").wait_for()
    page.get_by_role("button", name="Draw a second one").click()
    for x, y in ((760, 300), (860, 300), (860, 420)):
        page.mouse.click(x, y)
    page.keyboard.press("Enter")
    page.locator(".zone").nth(2).wait_for()
    west, east, difference = (page.locator(".zone").nth(k).inner_text() for k in range(3))
    means = [float(re.search(r"mean ([\d.]+) species, likely", one)[1]) for one in (west, east)]
    assert means[0] < means[1]  # it is warmer in the east
    assert float(re.search(r"−([\d.]+) species", difference)[1]) == pytest.approx(
        means[1] - means[0], abs=0.11
    )
    quiet(page)
    page.reload()  # the link holds both areas
    expect(page.locator(".zone").nth(2)).to_have_text(difference, use_inner_text=True)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    lines = saved.value.path().read_text().splitlines()
    assert "mean" in lines[0]
    assert len(lines) >= 3


def test_an_area_is_drawn_by_keyboard_and_escape_leaves(visit):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Mean of an area").click()
    page.get_by_role("button", name="Draw").press("Enter")
    keys = "Space ArrowRight ArrowRight ArrowRight Space ArrowDown ArrowDown ArrowDown Space"
    for key in keys.split():
        page.keyboard.press(key)
    spoken = page.locator("[aria-live]")
    expect(spoken).to_have_text("Corner 3 is set.")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(spoken).to_contain_text("at least three corners")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.locator(".zone").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Draw").press("Enter")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(spoken).to_have_text("Drawing is cancelled.")
    expect(page.locator(".zone")).to_have_count(0)


def square(west: float, side: float = 2.0) -> dict:
    south = viewed_run.NORTH - 4 * viewed_run.STEP - side
    ring = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    corners = [[west + side * x, south + side * y] for x, y in ring]
    return {"type": "Polygon", "coordinates": [corners]}


def test_a_file_of_polygons_is_opened_and_a_bad_one_gets_a_sentence(visit, tmp_path):
    page = visit()
    page.get_by_role("button", name="Mean of an area").click()
    good, bad, outside, flat = (
        tmp_path / f"{name}.geojson" for name in ("good", "bad", "out", "flat")
    )
    side = 6 * viewed_run.STEP
    wests = (viewed_run.WEST + k * viewed_run.STEP for k in (2, 16))
    features = [{"type": "Feature", "properties": {}, "geometry": square(w, side)} for w in wests]
    good.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    bad.write_text('{"type": "Point", "coordinates": [1, 2]}')
    outside.write_text(json.dumps(square(viewed_run.WEST + 100, side)))
    opener = page.locator("input[type=file]")
    opener.set_input_files(good)
    page.locator(".zone").nth(2).wait_for()
    page.get_by_role("button", name="Clear").click()
    opener.set_input_files(bad)
    notice = page.locator(".zones .notice")
    expect(notice).to_contain_text("bad.geojson holds no polygon")
    opener.set_input_files(outside)
    page.locator(".zone", has_text="no prediction inside").wait_for()
    expect(page.locator(".results")).to_contain_text("outside")
    page.get_by_role("button", name="Clear").click()
    page.watch.expected.append("status of 4")  # the browser logs the server's refusal
    flat.write_text(json.dumps({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}))
    opener.set_input_files(flat)
    notice.wait_for()


def test_the_picture_holds_title_map_and_legend(visit):
    page = visit("#plots=residual&graticule=yes")
    settled(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download a picture (PNG)").click()
    assert saved.value.suggested_filename == f"linear_mean_{LAST}.png"
    with Image.open(saved.value.path()) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[0] > 1800
    assert pixels.shape[1] > 1900
    foot = pixels[-250:-60, :700]
    for end in ((68, 1, 84), (253, 231, 37)):  # the ends of viridis, in the legend
        assert np.any(np.abs(foot - end).sum(-1) < 12)
    assert np.any(pixels[:100].sum(-1) < 300)  # the title's ink


def test_plots_are_drawn_and_a_click_on_one_names_it(visit):
    page = visit("#plots=observed")
    settled(page)
    eventually(page, lambda: (painted(page, "plots")[..., 3] > 0).sum() > 40)
    page.get_by_role("button", name="Residual").click()
    expect(page.locator(".legend")).to_contain_text("Observed minus predicted")


def test_survey_sites_are_left_out_moved_and_downloaded(visit):
    page = visit("#sites=yes")
    rows = page.locator(".sites li")
    rows.first.wait_for()
    count = rows.count()
    expect(page.locator(".site")).to_have_count(count)
    rows.first.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Site 2: Move to the crosshair").click()
    expect(rows.nth(1)).to_contain_text("moved")
    box = page.locator(".site").nth(2).bounding_box()
    page.mouse.move(box["x"] + 13, box["y"] + 13)
    page.mouse.down()
    page.mouse.move(box["x"] + 53, box["y"] + 33, steps=4)
    page.mouse.up()
    expect(rows.nth(2)).to_contain_text("moved")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download GPX").click()
    tree = ElementTree.parse(saved.value.path())
    points = tree.findall("{http://www.topografix.com/GPX/1/1}wpt")
    assert len(points) == count - 1
    assert points[0].find("{http://www.topografix.com/GPX/1/1}name").text == "2"


def test_arrows_move_the_crosshair_and_enter_asks_there(visit):
    page = visit()
    settled(page)
    page.locator("#map").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    spoken = page.locator("[aria-live]")
    value = answer(page).locator("h2").inner_text().split()[0]
    expect(spoken).to_have_text(re.compile(f"^{value} species, likely"))
    page.keyboard.press("Escape")
    expect(page.locator(".answer")).to_be_hidden()


def test_a_link_opens_the_same_view(visit):
    state = (
        f"#layer=width&year=2021&view=9/{LAT:.4f}/{LON:.4f}&swipe=mean/2020/30&opacity=60&hatch=no"
        f"&names=no&graticule=yes&plots=predicted&point={LON:.5f}/{LAT:.5f}&lang=es&theme=dark"
    )
    page = visit(state)
    answer(page)
    eventually(page, lambda: page.evaluate("location.hash") == state)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_nonsense_in_a_link_is_left_out(visit):
    page = visit("#layer=none&year=1066&view=x/y/z&swipe=q&opacity=900&point=a/b&lang=xx&plots=all")
    settled(page)
    becomes(page, "layer", "mean")
    becomes(page, "year", str(LAST))
    becomes(page, "point", None)


def test_empty_parts_of_a_link_are_no_numbers_and_names_of_the_language_no_languages(visit):
    page = visit("#opacity=&view=//&point=/&areas=;;&swipe=toString//&lang=constructor")
    settled(page)
    becomes(page, "layer", "mean")
    for name in ("opacity", "point", "areas", "swipe", "lang"):
        becomes(page, name, None)
    expect(page.get_by_label("Opacity")).to_have_value("100")
    eventually(page, lambda: view_of(page))
    assert view_of(page)[0] > 0


def test_on_a_phone_the_panel_opens_over_the_map(visit):
    page = visit(phone=True)
    settled(page)
    expect(page.locator(".settings")).to_be_hidden()
    expect(page.locator(".legend")).to_be_visible()
    page.get_by_role("button", name="Show all settings").click()
    page.get_by_label(re.compile("^Width of the")).click()
    becomes(page, "layer", "width")
    page.get_by_role("button", name="Show the map").click()
    page.touchscreen.tap(160, 300)
    card = answer(page).bounding_box()
    assert card["x"] == 0
    assert card["width"] == 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_theme_follows_the_system_and_the_switch(visit):
    page = visit(dark=True)
    background = "getComputedStyle(document.querySelector('.panel')).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    eventually(page, lambda: page.evaluate(background) != dark)
    becomes(page, "theme", "light")
