"""Fixtures shared by all tests."""

import functools
import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

# Networks in tests are tiny: threads would only wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.helpers.imports import import_in_turn
from tests.helpers.shared import FOLDER

# Half a million objects of libraries live as long as the session. The garbage collector would
# search them again and again, for a tenth of the time of all tests.
gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers on two cores: many tests wait for processes, servers and browsers."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that the workers share, in the process that starts them."""
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="spatioformer-tests-")
        config.option.loadscopereorder = False  # `longest_first` has ordered the files


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER, ""), ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect no garbage while tests are collected: what is imported stays."""
    gc.disable()
    try:
        if hasattr(session.config, "workerinput"):
            import_in_turn(session.config)
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    gc.freeze()  # without a search for garbage: it takes half a second and finds next to nothing


def longest_first(items: list[pytest.Item]) -> None:
    """Order the files by the time that they probably take, since a worker takes a file at a time.

    A long file that starts last would run alone. pytest-xdist itself starts the files with the
    most tests, and those with the fewest take the longest.
    """
    cost: Counter[Path] = Counter()
    for item in items:
        long = item.get_closest_marker("slow") or item.get_closest_marker("integration")
        cost[item.path] += 1.0 if long else 0.05  # seconds
    items.sort(key=lambda item: -cost[item.path])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        longest_first(items)
    if "SPATIOFORMER_SOAK" not in os.environ:
        skip = pytest.mark.skip(reason="only in `make soak`")
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(skip)


@pytest.fixture(scope="module")
def blank_pictures() -> Iterator[None]:
    """Reports without drawing: for modules whose tests look at no picture."""
    from tests.helpers.pictures import blank

    with blank():
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real plots and rasters named by SPATIOFORMER_DATA; skips when it is absent."""
    folder = os.environ.get("SPATIOFORMER_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPATIOFORMER_DATA does not name a folder: real data are not tested")
    return Path(folder)


@pytest.fixture(scope="session")
def conformance_dir(data_dir: Path) -> Path:
    """Folder of reference outputs, beside the data folder; skips when it is absent."""
    folder = data_dir.parent / "conformance"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: parity with the reference outputs is not tested")
    return folder


@pytest.fixture(scope="session")
def cases_dir(data_dir: Path) -> Path:
    """Folder of failing cases, beside the data folder; skips when it is absent."""
    folder = data_dir.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the given cases are not tested")
    return folder


@pytest.fixture
def small_forests(monkeypatch) -> None:
    from tests.helpers.models import shrink

    shrink(monkeypatch)


@pytest.fixture(scope="module")
def small_forests_of_module() -> Iterator[None]:
    """`small_forests` for modules whose fixtures fit forests too."""
    from tests.helpers.models import shrink

    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


@pytest.fixture
def small_stacks(monkeypatch) -> None:
    from tests.helpers.models import shrink_stacks

    shrink_stacks(monkeypatch)


@pytest.fixture(autouse=True, scope="session")
def as_little_memory_as_a_command() -> Iterator[None]:
    """Let a map count at most 600 MB for this process, which holds what all tests before left."""
    from spatioformer.mapping import plan

    held = plan.resident
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "resident", lambda: min(held(), 600_000_000))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave files to the system's cache: only a power cut would show whether they are on the disk.

    Processes that tests start do wait. tests/cases/test_run_folder.py counts what is synced.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def commands_built_once() -> Iterator[None]:
    """Let typer build the tree of commands once; it would for each call of the command line."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True, scope="session")
def kernels_compiled_once() -> Iterator[None]:
    """Compile a kernel in one worker alone, in a fresh clone; the others find it in the cache."""
    from tests.helpers.compiled import compiled_once

    with compiled_once(Path(os.environ[FOLDER])):
        yield
