"""Pictures of docs/viewer.md: the pages of `view` as Chromium shows them.

    SPATIOFORMER_PICTURES=RUN python -m pytest -p no:xdist tests/viewer/browser/test_pictures.py

writes those of a run, such as the demo's, to docs/images.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spatioformer import view
from spatioformer.common.files import writing
from tests.helpers.browser import eventually

RUN = os.environ.get("SPATIOFORMER_PICTURES")
FOLDER = Path(__file__).parents[3] / "docs" / "images"
WIDE, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 780}
COLOURS = 256


def area(page: Any, corners: list[tuple[int, int]]) -> None:
    """Draw an area on the map; corners are pixels of the window."""
    for x, y in corners:
        page.mouse.click(x, y)
    page.keyboard.press("Enter")


def two_areas(page: Any) -> None:
    page.get_by_role("button", name="Mean of an area").click()
    page.get_by_role("button", name="Draw").click()
    area(page, [(520, 290), (640, 280), (655, 410), (515, 420)])
    page.locator(".zone").wait_for()
    page.get_by_role("button", name="Draw a second one").click()
    area(page, [(700, 170), (790, 160), (800, 260), (700, 265)])
    page.locator(".zone").nth(2).wait_for()
    page.mouse.move(700, 640)


def explained(page: Any) -> None:
    page.locator(".answer .bars").wait_for()


PICTURES: dict[str, tuple[str, dict[str, Any], Callable[[Any], None] | None]] = {
    "viewer_map": ("#point=133.2/-21.4&plots=none", {}, explained),
    "viewer_plots": ("#plots=residual", {}, None),
    "viewer_compare": ("#swipe=width//52", {"color_scheme": "dark"}, None),
    "viewer_area": ("", {}, two_areas),
    "viewer_phone": ("", {"viewport": PHONE}, None),
    "viewer_phone_answer": (
        "#point=133.2/-21.4&lang=es",
        {"viewport": PHONE, "color_scheme": "dark"},
        explained,
    ),
}
"""Name of a picture -> state of the page, options of the window, what to do first."""


def is_drawn(image: Image.Image) -> bool:
    """Whether a picture shows a map: a page without one has few colours."""
    return len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 1000


def shoot(browser: Any, address: str, name: str) -> Image.Image:
    state, options, act = PICTURES[name]
    context = browser.new_context(
        **{"viewport": WIDE, "color_scheme": "light", "locale": "en-GB"} | options
    )
    page = context.new_page()
    page.goto(f"{address}{state}")
    page.locator("svg.scale .hill path").wait_for()
    if act is not None:
        act(page)
    page.wait_for_load_state("networkidle")
    taken = [Image.new("RGB", (1, 1))]

    def nothing_moves() -> bool:  # and so the last tile is painted
        taken.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        return taken[-1] == taken[-2] and is_drawn(taken[-1])

    eventually(page, nothing_moves, 60)
    context.close()
    return taken[-1]


def beside(images: list[Image.Image], gap: int = 24) -> Image.Image:
    """Pictures side by side on white."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + gap
    return sheet


def write(image: Image.Image, path: Path) -> None:
    """Write a PNG with a palette, a third of the bytes of full colour."""
    with writing(path) as part:
        colours = image.quantize(COLOURS, kmeans=2)
        dithered = image.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        dithered.save(part, "PNG", optimize=True)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


@pytest.mark.soak
def test_the_page_is_drawn(browser, server):
    """The small run of the tests, as the documents show the demo's."""
    image = shoot(browser, server, "viewer_compare")
    assert image.size == (WIDE["width"], WIDE["height"])
    assert max(image.convert("L").getextrema()) > 200, "no map on the dark page"
    assert is_drawn(image)


@pytest.mark.skipif(RUN is None, reason="SPATIOFORMER_PICTURES names no run to show")
def test_pictures_of_the_documents(browser):
    served = view(RUN)
    try:
        images = {name: shoot(browser, served.url, name) for name in PICTURES}
    finally:
        served.stop()
    phones = [images.pop(name) for name in ("viewer_phone", "viewer_phone_answer")]
    for name, image in (images | {"viewer_phone": beside(phones)}).items():
        write(image, FOLDER / f"{name}.png")
