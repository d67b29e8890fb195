"""Fixtures of the tests of runs."""

import functools
from collections.abc import Iterator

import pytest

from spatioformer.run import fingerprint


@pytest.fixture(autouse=True, scope="module")
def _no_drawing(blank_pictures) -> None:
    """These tests look at no picture."""


@pytest.fixture(autouse=True, scope="module")
def _found_once() -> Iterator[None]:
    """Look for a module's file and a library's version once: neither moves while tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("source_file", "version"):
            patch.setattr(fingerprint, name, functools.cache(getattr(fingerprint, name)))
        yield
