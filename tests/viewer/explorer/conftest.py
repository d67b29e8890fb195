"""A run for the explorer."""

from pathlib import Path

import pytest

from spatioformer.viewer.explorer.run import RunExplorer
from spatioformer.viewer.run import ViewedRun
from tests.helpers import explored_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    return explored_run.write(tmp_path_factory.mktemp("explorer") / "run")


@pytest.fixture(scope="session")
def explorer(run_folder: Path) -> RunExplorer:
    return RunExplorer(ViewedRun(run_folder))
