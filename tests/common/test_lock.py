"""Locks: one holder at a time, and who waits is told for whom."""

import os
import threading

import pytest

from spatioformer.common.errors import OutputError
from spatioformer.common.lock import Held, lock, waited_lock


def test_one_holder_at_a_time(tmp_path):
    path = tmp_path / "x.lock"
    with lock(path), pytest.raises(Held, match=f"process {os.getpid()} on"), lock(path):
        pass
    assert not path.exists()


def test_waits_for_the_holder_and_tells_once(tmp_path):
    path, order, told = tmp_path / "new" / "x.lock", [], threading.Event()

    def wait() -> None:
        with waited_lock(path, lambda holder: (order.append(holder.pid), told.set())):
            order.append("second")

    with waited_lock(path, order.append):
        thread = threading.Thread(target=wait)
        thread.start()
        assert told.wait(20)
        order.append("first")
    thread.join(20)
    assert order == [os.getpid(), "first", "second"]
    assert not path.exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"), waited_lock(tmp_path / "file" / "x.lock", print):
        pass
