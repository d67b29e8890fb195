"""Pictures of the model explorer for docs/viewer.md, taken with Chromium.

`python -m benchmarks.explorer_pictures RUN TEXT_MODEL` writes docs/images/viewer_explorer_run.png
and viewer_explorer_text.png.
"""

import argparse
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from spatioformer.viewer.explorer.model_routes import model_router
from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.serve import bind, start

IMAGES = Path(__file__).parents[1] / "docs" / "images"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SENTENCE = "El perro negro mira la luna y él busca la"


@contextmanager
def served(routers: list[Any]) -> Iterator[str]:
    place = bind("127.0.0.1", 0)
    stop = start(routers, place)
    yield place.address
    stop()


def write(page: Page, name: str, parts: str, height: int | None = None) -> None:
    """Write the part of the page around elements, in 256 colours."""
    boxes = [part.bounding_box() for part in page.locator(parts).all()]
    top = min(box["y"] for box in boxes) - 12
    low = max(box["y"] + box["height"] for box in boxes) + 12
    clip = {"x": 0, "y": max(0, top), "width": 1400, "height": height or low - max(0, top)}
    picture = page.screenshot(full_page=True, clip=clip)
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256).save(IMAGES / name, optimize=True)
    print(name, f"{(IMAGES / name).stat().st_size:,} bytes")


def run_picture(page: Page, folder: str) -> None:
    with served([router(ViewedRun(folder))]) as address:
        page.goto(f"{address}explorer.html#lang=en&theme=light")
        page.wait_for_selector("#place .features")
        page.wait_for_selector("#chip .heads")
        page.wait_for_load_state("networkidle")
        write(page, "viewer_explorer_run.png", "header, #place, #chip")


def text_picture(page: Page, folder: str) -> None:
    with served([model_router(folder)]) as address:
        page.goto(f"{address}explorer.html#lang=en&theme=light")
        page.fill("#sentence", SENTENCE)
        page.press("#sentence", "Enter")
        page.wait_for_selector("h3 >> text=Tokens (10)")
        table = page.locator("canvas.heat").nth(1)
        for key in ["ArrowDown"] * 8 + ["ArrowRight"] * 3:
            table.press(key)
        page.wait_for_load_state("networkidle")
        write(page, "viewer_explorer_text.png", "header, #text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("text", help="folder of a text model in Spanish")
    arguments = parser.parse_args()
    with sync_playwright() as library:
        browser = library.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        run_picture(page, arguments.run)
        text_picture(page, arguments.text)
        browser.close()


if __name__ == "__main__":
    main()
