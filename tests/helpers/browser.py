"""A browser for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def chromium() -> str | None:
    """Path of Chromium: SPATIOFORMER_CHROMIUM, or what the system has."""
    named = os.environ.get("SPATIOFORMER_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium_or_skip() -> Iterator[Any]:
    """Chromium; where it or playwright is absent, the tests that need it are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("Chromium is absent: `make install-browser`, or name it: SPATIOFORMER_CHROMIUM")
    with playwright.sync_playwright() as library:
        opened = library.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()
