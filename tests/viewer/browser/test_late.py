"""Answers that come late, or in another order than the questions: the page shows the newest."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from spatioformer.viewer.explorer.model_routes import model_router
from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from tests.helpers import explored_run, text, viewed_run
from tests.helpers.browser import eventually, expect
from tests.viewer.browser.conftest import served, shown
from tests.viewer.browser.reading import answer, intercept, painted, quiet, settled
from tests.viewer.browser.test_map import EXPECTED, LAT, LON, POINT, RISE

pytestmark = [pytest.mark.slow, pytest.mark.integration]

MIDDLE = (800, 450)


class Late:
    """Requests that are held until the test lets them go."""

    def __init__(self, page: Any, pattern: str, which: Callable[[Any], bool] = lambda _: True):
        self.page, self.which = page, which
        self.held: list[Any] = []
        intercept(page, pattern, self._hold)

    def _hold(self, route: Any) -> None:
        if self.which(route.request):
            self.held.append(route)
        else:
            route.continue_()

    def hold_no_more(self) -> None:
        """Let later requests through; those that are held stay."""
        self.which = lambda _: False

    def came(self, count: int = 1) -> None:
        """Wait until so many requests are held."""
        eventually(self.page, lambda: len(self.held) >= count)

    def let_go(self) -> None:
        """Answer the held requests, and wait until the page has read the answers."""
        self.hold_no_more()
        for route in self.held:
            route.continue_()
        quiet(self.page)
        # Another answer is read after those, in a later task of the page.
        self.page.evaluate("fetch('api/style.json').then((one) => one.text())")


def draw(page: Any, *corners: tuple[int, int]) -> None:
    page.get_by_role("button", name="Draw").click()
    for x, y in corners:
        page.mouse.click(x, y)
    page.keyboard.press("Enter")


AT_ONCE = """(answer) => {
    const ask = window.fetch;
    window.fetch = (path, options) => path.startsWith("api/at.json")
        ? Promise.resolve(new Response(JSON.stringify(answer))) : ask(path, options);
}"""
"""Answers questions about places at once; where it waits, the page drops an explanation anyway."""


def test_the_explanation_of_another_year_does_not_stay(visit):
    page = visit(f"#{POINT}")
    card = answer(page)
    card.locator(".chip-picture").wait_for()
    first = viewed_run.YEARS[0]
    ask = f"fetch('api/at.json?lon={LON}&lat={LAT}&year={first}').then((one) => one.json())"
    first_answer = page.evaluate(ask)
    page.evaluate(AT_ONCE, first_answer)
    late = Late(page, "**/api/explain.json*")
    page.get_by_role("slider", name="Year").press("Home")
    expect(card.locator("h2")).to_have_text(re.compile(f"^{EXPECTED:.0f} species"))
    late.came()
    expect(card.locator(".chip-picture")).to_have_count(0)
    late.let_go()
    expect(card.locator("h3", has_text="looked at")).to_contain_text(str(first))


def test_an_area_that_was_cleared_does_not_come_back(visit):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Mean of an area").click()
    late = Late(page, "**/api/zonal.json")
    draw(page, (700, 300), (760, 300), (760, 420))
    late.came()
    page.get_by_role("button", name="Clear").click()
    late.hold_no_more()
    draw(page, (760, 300), (860, 300), (860, 420))
    zone = page.locator(".zone")
    zone.wait_for()
    newer = zone.inner_text()
    late.let_go()
    expect(zone).to_have_text(newer, use_inner_text=True)


def test_plots_that_come_late_leave_the_legend_its_distribution(visit):
    page = visit()
    settled(page)
    late = Late(page, "**/api/plots.json")
    page.get_by_role("button", name="Residual").click()
    late.came()
    settled(page)
    late.let_go()
    eventually(page, lambda: (painted(page, "plots")[..., 3] > 0).sum() > 40)
    expect(page.locator(".legend > svg.scale .hill path")).to_have_count(1)


def test_the_value_under_a_resting_pointer_is_that_of_the_legends_year(visit):
    page = visit()
    settled(page)
    page.mouse.move(*MIDDLE)
    reading = page.locator(".legend .reading")
    expect(reading).to_have_text(re.compile(r"^\d+$"))
    before = int(reading.inner_text())
    first = viewed_run.YEARS[0]
    late = Late(page, f"**/tiles/mean/{first}/**")
    page.get_by_role("slider", name="Year").press("Home")
    late.came()
    expect(page.locator(".legend")).to_contain_text(str(first))
    expect(reading).to_have_text("")
    page.mouse.move(MIDDLE[0] + 1, MIDDLE[1])
    expect(reading).to_have_text("")  # on the map is still the last year
    late.let_go()
    near = (before - RISE - 1, before - RISE + 1)  # rounded twice
    eventually(page, lambda: near[0] <= int(reading.inner_text() or -1) <= near[1])


def test_a_layer_chosen_during_a_move_is_asked_for_where_the_map_now_is(visit, folder, tmp_path):
    # The map lies on two tiles, that west and that east of 157.5 degrees; a phone first needs one.
    with shown(viewed_run.moved(folder, tmp_path / "run", 156.5, -20.0)) as (_, address):
        page = visit("#view=8/-21.2/155.9", address=address, phone=True)
        settled(page)
        quiet(page)
        width, mean = (Late(page, f"**/tiles/{name}/**") for name in ("width", "mean"))
        page.get_by_role("button", name="Show all settings").click()
        page.get_by_label(re.compile("^Width of the")).click()
        width.came()
        page.get_by_role("button", name="Show the map").click()
        page.mouse.move(300, 300)
        page.mouse.down()
        page.mouse.move(50, 300, steps=4)
        page.mouse.up()
        mean.came()
        width.hold_no_more()
        with page.expect_request(re.compile("/tiles/width/all/4/15/")):
            for route in width.held:
                route.continue_()
        mean.let_go()


def test_a_picture_waits_for_its_plots_and_has_the_chosen_year(visit):
    page = visit()
    settled(page)
    first = viewed_run.YEARS[0]
    late = Late(page, "**/api/plots.json")
    page.get_by_role("button", name="Residual").click()
    late.came()
    page.get_by_role("slider", name="Year").press("Home")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download a picture (PNG)").click()
        page.get_by_role("slider", name="Year").press("End")
        late.let_go()
    assert saved.value.suggested_filename == f"linear_mean_{first}.png"


def test_sites_opened_twice_have_one_marker_each(visit):
    page = visit()
    settled(page)
    late = Late(page, "**/api/sites.json")
    for _ in range(3):
        page.get_by_role("button", name="Survey sites").click()
    late.came()
    expect(page.locator(".sites")).to_be_visible()
    late.let_go()
    rows = page.locator(".sites li")
    rows.first.wait_for()
    expect(page.locator(".site")).to_have_count(rows.count())


def test_the_chip_is_that_of_the_last_click(visit, tmp_path):
    viewed = ViewedRun(explored_run.write(tmp_path / "run"))
    with served(router(viewed)) as address:
        page = visit("#lang=en", address=address, path="explorer.html")
        page.wait_for_selector("#chip .heads")
        buttons = page.locator("#chip .examples button")
        late = Late(page, "**/api/explorer/plot/*")
        buttons.first.click()
        late.came()
        late.hold_no_more()
        buttons.nth(1).click()
        title = page.locator("#chip h3").first
        number = page.evaluate("fetch('api/explorer.json').then((one) => one.json())")["examples"][
            1
        ]
        identifier = viewed.store.table["plot_id"].iloc[number]
        expect(title).to_have_text(f"Plot {identifier}")
        late.let_go()
        expect(title).to_have_text(f"Plot {identifier}")
        expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    viewed.rasters.close()


def test_the_sentence_is_the_last_one(visit, tmp_path):
    losses = [{"step": 1, "training_loss": 3.0, "validation_loss": 4.0}]
    text.random_model().save(tmp_path / "gpt", losses)
    with served(model_router(tmp_path / "gpt")) as address:
        page = visit("#lang=en", address=address, path="explorer.html")
        tokens = page.locator(".tokens")
        tokens.wait_for()
        late = Late(page, "**/api/explorer/text.json", lambda asked: "rey" in asked.post_data)
        for words in ("El rey", "Dios"):
            page.fill("#sentence", words)
            page.press("#sentence", "Enter")
        late.came()
        expect(tokens.locator("b").first).to_have_text("D")
        newer = tokens.inner_text()
        late.let_go()
        expect(tokens).to_have_text(newer, use_inner_text=True)
