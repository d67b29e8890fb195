"""Locks between processes: a locked file names its holder, and is free when the process ends.

The lock is the operating system's (`flock`, on Windows `msvcrt.locking`), so a killed process
leaves none behind. The file holds the holder's process id, host and start time as JSON.
"""

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from spatioformer.common.files import as_output_error

UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems without locks: work there goes on unlocked."""
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
PAUSE = 0.2  # seconds between two looks at a lock that another process holds
FAR = 1 << 30  # Windows locks bytes against readers too; nobody reads this one


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        pid: its process id; None where it is not known.
        host: name of its machine.
        since: local time at which it took the lock, "2026-11-28 21:07".
    """

    pid: int | None = None
    host: str = "an unknown machine"
    since: str = "an unknown time"

    def __str__(self) -> str:
        return f"process {self.pid or 'unknown'} on {self.host}, since {self.since}"


class Held(Exception):
    """Another process holds the lock."""

    def __init__(self, holder: Holder):
        super().__init__(str(holder))
        self.holder = holder


class Finished(Exception):
    """Another process released the lock, and removed its file, while this one opened it."""


@contextlib.contextmanager
def lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock `path` during the block; its file is removed at the end.

    Args:
        shared: several processes may hold it, but none that wants it alone. The file stays.

    Raises:
        Held: another process holds it.
        Finished: another process held it until now.
        OSError: the file cannot be written.
    """
    with open(path, "a+", encoding="utf-8") as stream:
        _take(stream, shared)
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(stream.fileno())):
            raise Finished
        stream.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}, stream)
        stream.flush()
        try:
            yield
        finally:
            if not shared:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    path.unlink(missing_ok=True)


@contextlib.contextmanager
def waited_lock(path: Path, tell: Callable[[Holder], None]) -> Iterator[None]:
    """Hold the lock `path` during the block; wait while another process holds it.

    Args:
        path: its folder is made if it is absent.
        tell: called once if there is something to wait for.

    Raises:
        OutputError: the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        waits = False
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock(path))
                break
            except Held as held:
                if not waits:
                    tell(held.holder)
                waits = True
                time.sleep(PAUSE)
            except Finished:
                continue
            except OSError as error:
                raise as_output_error(error, path) from error
        yield


def _take(stream: TextIO, shared: bool) -> None:
    try:
        _lock(stream, shared)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return
        if error.errno not in TAKEN:
            raise
        raise Held(_holder(stream)) from None


def _lock(stream: TextIO, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        if not shared:  # it has no shared locks
            stream.seek(FAR)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _holder(stream: TextIO) -> Holder:
    for _ in range(10):  # a holder writes its name just after it has taken the lock
        stream.seek(0)
        with contextlib.suppress(ValueError, TypeError):
            return Holder(**json.loads(stream.read()))
        time.sleep(0.02)
    return Holder()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M")
