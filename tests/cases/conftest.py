"""Fixtures of the cases with files from others."""

import socket
from pathlib import Path

import pytest

from tests.helpers.untrusted import SECRET


@pytest.fixture(autouse=True, scope="module")
def _no_drawing(blank_pictures) -> None:
    """These tests look at no picture."""


@pytest.fixture
def server(monkeypatch):
    """Address on which nothing may call; the test fails if something does."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):  # no connection waits
            listener.accept()


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "given"
    path.mkdir()
    return path


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file beside the folder of the files to read."""
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET)
    return path
