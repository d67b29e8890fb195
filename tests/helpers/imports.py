"""The test modules, which each worker imports in another order.

In a fresh clone the first import of a module compiles it, and pytest rewrites the assertions of a
test module as well. Workers that imported the same modules at the same time would all do so.
"""

import contextlib
import importlib
from pathlib import Path

import pytest


def import_in_turn(config: pytest.Config) -> None:
    """Import the test modules that a worker will collect, from its own share of them on.

    What the other workers have imported by then is read from the disk. A module that cannot be
    imported is left to the collection, which says why.
    """
    files = _files(config)
    number = int(config.workerinput["workerid"].removeprefix("gw"))
    first = len(files) * number // config.workerinput["workercount"]
    for file in files[first:] + files[:first]:
        name = ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def _files(config: pytest.Config) -> list[Path]:
    files: list[Path] = []
    for argument in config.args:
        path = config.invocation_params.dir / argument.partition("::")[0]
        files += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    return files
