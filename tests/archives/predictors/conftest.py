"""A served folder, and retries without long delays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import retries
from tests.helpers.servers import FileServer


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Hardly any delay between attempts."""
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    remote.reset_counters()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[FileServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder) as server:
        yield server
