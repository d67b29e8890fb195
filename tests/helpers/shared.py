"""Folders that all processes of one session of tests share.

`pytest_configure` in tests/conftest.py makes the folder and names it in the environment, which the
workers of pytest-xdist inherit.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from spatioformer.common.lock import Finished, Held, lock

FOLDER = "SPATIOFORMER_TEST_SHARED"
PATIENCE = 300  # seconds that a worker waits for another one


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills once a session; nobody changes it afterwards.

    Args:
        make: fills the folder of the given path. The other workers wait meanwhile. If it fails,
            the next one that needs the folder tries again, in another folder.
    """
    base = Path(os.environ[FOLDER])
    made = base / f"{name}.made"
    deadline = time.monotonic() + PATIENCE
    while not made.exists():
        try:
            with lock(base / f"{name}.lock"):
                if not made.exists():
                    folder = base / f"{name}-{os.getpid()}"
                    make(folder)
                    made.with_suffix(".part").write_text(str(folder))
                    made.with_suffix(".part").rename(made)
        except (Held, Finished):
            assert time.monotonic() < deadline, f"another worker makes {name} for too long"
            time.sleep(0.1)
    return Path(made.read_text())
