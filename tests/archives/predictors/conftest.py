"""A served folder, and retries without long delays."""

import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import retries


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Hardly any delay between attempts."""
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    remote.reset_counters()
