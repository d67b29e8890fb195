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
