"""Who can use the page: axe-core finds nothing serious, and Spanish is complete."""

import re

import pytest

from tests.helpers.browser import expect
from tests.viewer.browser.reading import answer, settled
from tests.viewer.browser.test_map import POINT
from tests.viewer.words import words

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def violations(page) -> list[str]:
    """What axe-core calls serious or critical: rule and elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent").Axe()
    # The page's own policy forbids `eval`, and this is how the library runs axe.
    found = axe.run(page).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param({}, id="light"),
        pytest.param({"dark": True}, id="dark"),
        pytest.param({"phone": True}, id="phone", marks=pytest.mark.soak),
    ],
)
def test_axe_finds_nothing_serious(visit, mode):
    page = visit(f"#{POINT}&plots=residual&swipe=width//40", **mode)
    card = answer(page)
    card.locator(".chip-picture").wait_for()
    card.locator(".what").first.press("Enter")
    assert violations(page) == []
    card.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Mean of an area").click()
    expect(page.locator(".zones")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Survey sites").click(force=True)
    page.locator(".sites li").first.wait_for()
    assert violations(page) == []


def test_axe_can_fail(visit):
    page = visit()
    settled(page)
    page.evaluate("document.querySelector('.toolbar button').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.toolbar button').removeAttribute('title')")
    assert any(one.startswith("button-name") for one in violations(page))


def test_every_text_changes_with_the_language(visit):
    page = visit(f"#{POINT}&plots=residual&swipe=width//40")
    answer(page).locator(".chip-picture").wait_for()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Español").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    card = answer(page)
    expect(card.locator("h2")).to_contain_text("probablemente de")
    card.locator(".chip-picture").wait_for()
    text = page.locator("body").inner_text()
    labels = page.evaluate(
        "[...document.querySelectorAll('[aria-label]')].map((e) => e.ariaLabel).join('\\n')"
    )
    shown = f"{text}\n{labels}\n".splitlines()
    english = {en for en, es in words().values() if en != es} - {"English"}
    assert "Usted" not in text
    assert not english & {line.strip() for line in shown}
    expect(page.get_by_role("button", name="English")).to_be_visible()


def test_drawn_areas_outlive_a_change_of_the_language(visit):
    page = visit()
    settled(page)
    page.get_by_role("button", name="Mean of an area").click()
    page.get_by_role("button", name="Draw").click()
    for x, y in ((520, 300), (620, 300), (620, 420)):
        page.mouse.click(x, y)
    page.keyboard.press("Enter")
    mean = page.locator(".zone strong").inner_text().split()[1]
    page.get_by_role("button", name="Español").click()
    spanish = re.escape(mean.replace(".", ","))
    expect(page.locator(".zone strong")).to_have_text(re.compile(rf"^media {spanish} "))


def test_every_control_is_reached_by_tab(visit):
    page = visit()
    settled(page)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("((e) => e.id || e.type || e.tagName)(document.activeElement)"))
    assert {"map", "radio", "checkbox", "range", "button"} <= reached
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Zoom out")).to_be_focused()
