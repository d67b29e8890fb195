"""A served folder with one file, and retries without long delays."""

import pytest

from spatioformer.archives import remote
from spatioformer.archives.remote import retries
from tests.helpers.servers import FileServer


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path) -> None:
    """Hardly any delay between attempts, counts from 0, and no cache but the test's."""
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    remote.reset_counters()


@pytest.fixture
def content(served: FileServer) -> bytes:
    """The file a.bin of the served folder."""
    data = bytes(i * i % 251 for i in range(300_000))
    (served.folder / "a.bin").write_bytes(data)
    return data
