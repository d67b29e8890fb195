"""Marks of the networks' tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests against transformers as slow: each process takes seconds to import it."""
    for item in items:
        if isinstance(item, pytest.Function) and "hugging_face" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
