"""A run for the explorer."""

from pathlib import Path

import pytest

from spatioformer.viewer.explorer.run import RunExplorer
from spatioformer.viewer.run import ViewedRun
from tests.helpers import explored_run
from tests.helpers.shared import made_once


@pytest.fixture(scope="session")
def run_folder() -> Path:
    return made_once("explored", lambda folder: explored_run.write(folder / "run")) / "run"


@pytest.fixture(scope="session")
def explorer(run_folder: Path) -> RunExplorer:
    return RunExplorer(ViewedRun(run_folder))
