"""A browser for tests of pages, and how tests wait for what a page shows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spatioformer.learn.pdf import find_chromium

OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

SECONDS = 15
"""How long a test waits for what a page should show."""


@contextmanager
def chromium_or_skip() -> Iterator[Any]:
    """Chromium; where it or playwright is absent, the tests that need it are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is absent: `make install-browser`, or name it: SPATIOFORMER_CHROMIUM")
    playwright.expect.set_options(timeout=1000 * SECONDS)
    with playwright.sync_playwright() as library:
        opened = library.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


def expect(shown: Any) -> Any:
    """Playwright's assertions about a locator or a page; each waits until it holds.

    A test reads nothing else of a page that something else in the page may still change: what it
    reads once is right only where the page was quicker.
    """
    from playwright.sync_api import expect as waiting  # where it is absent, tests are skipped

    return waiting(shown)


def eventually(page: Any, holds: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait until a function returns something true and fails no assertion.

    It is for what `expect` cannot say. The page's own policy forbids to wait inside of it.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except AssertionError:
            pass
        page.wait_for_timeout(50)  # the library follows the page meanwhile
    assert holds(), "it did not become true"


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
