"""A small run that is served: its folder, what is served of it, and a client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from spatioformer.viewer.app import create_app
from spatioformer.viewer.routes import router
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.security import Gate
from tests.helpers import viewed_run
from tests.helpers.shared import made_once


@pytest.fixture(scope="session")
def folder() -> Path:
    return made_once("viewed", lambda folder: viewed_run.write(folder / "run")) / "run"


@pytest.fixture(scope="session")
def run(folder) -> Iterator[ViewedRun]:
    viewed = ViewedRun(folder)
    yield viewed
    viewed.rasters.close()


@pytest.fixture(scope="session")
def client(run) -> TestClient:
    return client_of(create_app([router(run)], Gate()))


def client_of(app) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8421", follow_redirects=False)
