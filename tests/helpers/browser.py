"""A browser for tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spatioformer.learn.pdf import find_chromium

OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@contextmanager
def chromium_or_skip() -> Iterator[Any]:
    """Chromium; where it or playwright is absent, the tests that need it are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is absent: `make install-browser`, or name it: SPATIOFORMER_CHROMIUM")
    with playwright.sync_playwright() as library:
        opened = library.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


@contextmanager
def uncomplaining(page: Any) -> Iterator[Any]:
    """A page from the disk; a console message, an exception or a request outside fails the test."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: _local(request.url, problems))
    yield page
    assert problems == []


def _local(url: str, problems: list[str]) -> None:
    if not url.startswith(("file:", "data:")):
        problems.append(f"asked for {url}")
