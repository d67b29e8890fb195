"""Tasks in worker processes: their order, a task that precedes others, and one beside a block."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from spatioformer.common import workers
from spatioformer.common.threads import VARIABLES
from spatioformer.common.workers import beside, results
from spatioformer.run.preload import OF_JOBS

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def server():
    """The server of a run, which later tests share."""
    workers.start_server(OF_JOBS)


def process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def started(number: int) -> tuple[int, int, int]:
    return time.monotonic_ns(), number, os.getpid()


def die(parent: int) -> int:
    """Kill a worker process, but not the process of the tests."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return parent


def test_tasks_start_in_order_and_an_urgent_one_precedes_those_that_wait():
    urgent = iter([None, partial(started, 9)])
    tasks = [partial(started, number) for number in range(5)]
    done = list(results(tasks, 1, lambda: next(urgent, None)))
    # By their start: two results that are there together are yielded in either order.
    assert [number for _, number, _ in sorted(done)] == [0, 1, 9, 2, 3, 4]
    assert len({pid for *_, pid in done} - {os.getpid()}) == 1


def test_an_urgent_task_alone():
    urgent = iter([partial(process, 9)])
    assert [number for number, _ in results([], 2, lambda: next(urgent, None))] == [9]
    assert list(results([], 2)) == []


SCRIPT = """
from functools import partial
from importlib import import_module

import numpy
from threadpoolctl import threadpool_info

from spatioformer.common.workers import beside, results, start_server


def counts(library):
    import_module(library)
    return {found["num_threads"] for found in threadpool_info()}


if __name__ == "__main__":
    start_server(["numpy"])
    print(*results([partial(counts, "numpy")] * 2, 2))
    with beside(partial(counts, "scipy.linalg")) as result:
        print(result())
"""


def test_a_worker_has_one_thread_in_libraries_loaded_before_and_later(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = os.environ | dict.fromkeys(VARIABLES, "2")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["{1} {1}", "{1}"], done.stderr


def test_a_task_beside_a_block():
    with beside(partial(process, 1)) as result:
        number, pid = result()
    assert number == 1
    assert pid != os.getpid()


def test_without_a_server_or_after_its_death_the_task_is_called_here(monkeypatch):
    with beside(partial(die, os.getpid())) as result:
        assert result() == os.getpid()
    monkeypatch.setattr(workers, "_started", False)
    with beside(partial(process, 1)) as result:
        assert result() == (1, os.getpid())


def test_a_block_that_fails_ends_its_process():
    with pytest.raises(KeyboardInterrupt), beside(partial(process, 1)):
        raise KeyboardInterrupt
