"""What tests read of the map page: its address, its colours, its card."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers.browser import eventually


def part_of(page: Any, name: str) -> str | None:
    """Value of a name in the page's address (a permalink) now, or None."""
    hash_ = page.evaluate("location.hash").removeprefix("#")
    pairs = (pair.split("=", 1) for pair in hash_.split("&"))
    return dict(pair for pair in pairs if len(pair) == 2).get(name)


def becomes(page: Any, name: str, expected: str | None) -> None:
    """Wait until a name in the page's address, which follows the page later, has a value."""
    shown: list[str | None] = []

    def holds() -> bool:
        shown.append(part_of(page, name))
        return shown[-1] == expected

    try:
        eventually(page, holds)
    except AssertionError:
        raise AssertionError(f"{name} is {shown[-1]} in the address, not {expected}") from None


def view_of(page: Any) -> list[float]:
    """Zoom, latitude and longitude in the page's address; none until the map was moved."""
    return [float(one) for one in (part_of(page, "view") or "").split("/") if one]


def settled(page: Any) -> None:
    """Wait until the map is painted: until the legend shows how its values are distributed."""
    page.wait_for_selector("svg.scale .hill path")


def quiet(page: Any) -> None:
    """Wait until all answers have come; a page that is left before complains of lost requests."""
    eventually(page, lambda: not page.watch.pending)


def intercept(page: Any, pattern: str, handle: Callable[[Any], Any]) -> None:
    """`page.route`, and a wait until it holds: a slow page sends its next request past it."""
    caught = []

    def probe(route: Any) -> None:
        caught.append(route)
        route.continue_()

    def holds() -> list[Any]:
        page.evaluate("fetch('api/style.json?probe').then((one) => one.text())")
        return caught

    page.route(pattern, handle)
    page.route(re.compile(r"style\.json\?probe"), probe)
    eventually(page, holds)


def painted(page: Any, pane: str) -> np.ndarray:
    """Pixels (y, x, 4) of the canvas in a pane of the map."""
    url = page.evaluate(f"document.querySelector('.leaflet-{pane}-pane canvas').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGBA"))


STEPS = "(steps) => steps.map((one) => one.getAttribute('fill'))"


def drawn(page: Any, pane: str, layer: str, x: float, y: float, scale: str = "svg.scale") -> float:
    """Value whose colour a pane of the map has, by a scale of the legend; NaN without a colour.

    Args:
        layer: identifier of the layer that the scale is of.
        x, y: pixel of the window.
        scale: selector of the scale, whose steps are a hundredth of the layer's range.
    """
    steps = page.locator(f"{scale} g:not(.hill) rect").evaluate_all(STEPS)
    box = page.locator(f".leaflet-{pane}-pane canvas").bounding_box()
    pixels = painted(page, pane)
    sharp = pixels.shape[1] / box["width"]
    *pixel, opacity = pixels[int((y - box["y"]) * sharp), int((x - box["x"]) * sharp)].astype(int)
    if not opacity:
        return np.nan
    colours = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] for one in steps])
    far = np.abs(colours - pixel).sum(axis=1)
    assert far.min() < 12, f"{pixel} is no colour of the scale"
    run = page.evaluate("fetch('api/run.json').then((answer) => answer.json())")
    low, high = next(one["range"] for one in run["layers"] if one["id"] == layer)
    return float(low + (far.argmin() + 0.5) / len(steps) * (high - low))


def left_edge(found: Any) -> float:
    """Left edge of an element, pixels of the window; NaN while it has no box."""
    box = found.bounding_box()
    return box["x"] if box else np.nan


def answer(page: Any) -> Any:
    card = page.locator(".answer")
    card.locator("h2").wait_for()
    return card
