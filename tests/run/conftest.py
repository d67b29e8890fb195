"""Fixtures of the tests of runs."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _no_drawing(blank_pictures) -> None:
    """These tests look at no picture."""
