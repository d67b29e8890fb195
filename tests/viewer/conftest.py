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


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return viewed_run.write(tmp_path_factory.mktemp("viewed") / "run")


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
