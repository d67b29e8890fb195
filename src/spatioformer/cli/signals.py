"""Ctrl-C and SIGTERM: one line on stderr, and exit code 130 or 143, at whatever moment they arrive.

`early` is installed while the program's modules are imported, when there is nothing to tidy up.
During a command, `handled` raises the signal as KeyboardInterrupt, so that every `finally` runs.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None]

CODES = {int(signal.SIGINT): 130, int(signal.SIGTERM): 143}
WORDS = {130: "interrupted", 143: "terminated"}
AGAIN = 10.0
"""Seconds after which a signal is raised again: a library may have swallowed the exception."""


class Arrival:
    """The signal that arrived during a command.

    Attributes:
        number: its number; None: none arrived.
        ended: whether the command has ended.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.ended = False

    @property
    def code(self) -> int:
        """Exit code of a command that it, or a KeyboardInterrupt, ended."""
        return CODES[self.number or signal.SIGINT]

    def raised(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.number is None:
            self.number = number
            threading.Thread(target=self._repeat, daemon=True).start()
        raise KeyboardInterrupt(message(self.code))

    def _repeat(self) -> None:
        assert self.number is not None
        time.sleep(AGAIN)
        while not self.ended:
            _raise_in_main_thread(self.number)
            time.sleep(AGAIN)


def _raise_in_main_thread(number: int) -> None:
    """Send a signal to the main thread, so that it does not wait for the end of a sleep there."""
    if hasattr(signal, "pthread_kill"):
        main = threading.main_thread().ident
        assert main is not None, "it has begun"
        signal.pthread_kill(main, number)
    else:  # Windows
        signal.raise_signal(number)


def early() -> None:
    """End at once on a signal from now on, if this process is the program and no worker of it."""
    if _is_program():
        _install(_leave)


def message(code: int) -> str:
    """The line for exit code 130 or 143."""
    return (
        f"spatioformer: {WORDS[code]}; finished results are kept, and the same command continues "
        "from them"
    )


@contextlib.contextmanager
def handled() -> Iterator[Arrival]:
    """Raise SIGINT and SIGTERM as KeyboardInterrupt in the block, until it ends."""
    arrival = Arrival()
    before = _install(arrival.raised)
    try:
        yield arrival
    finally:
        arrival.ended = True
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handler: Handler) -> dict[int, Any]:
    """Handle the signals where nobody else does; returns the handlers before."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in CODES:
            current = signal.getsignal(number)
            if current in (signal.default_int_handler, signal.SIG_DFL, _leave):
                before[number] = current
                signal.signal(number, handler)
    return before


def _leave(number: int, frame: FrameType | None) -> None:
    code = CODES[number]
    with contextlib.suppress(OSError):
        os.write(2, f"{message(code)}\n".encode())
    os._exit(code)


def _is_program() -> bool:
    """Whether this process was started as the command line; a worker imports it too."""
    if "--multiprocessing-fork" in sys.orig_argv:
        return False
    program = sys.argv[0] if sys.argv else ""
    folder, name = os.path.split(program)
    return name.partition(".")[0] == "spatioformer" or (
        name == "__main__.py" and os.path.basename(folder) == "spatioformer"
    )
