"""run.log of a run folder: what each run in it said, with date and time, and how it ended."""

import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spatioformer.common.errors import SpatioformerError
from spatioformer.common.version import __version__

NAME = "run.log"
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


class RunLog:
    """Appends to run.log, a line at a time, so that a killed run leaves what it said.

    Only the process that leads a run writes it. The file is no result: no fingerprint depends on
    it. A log that cannot be written does not stop the run.

    Args:
        folder: the run folder.
        warn: gets one sentence when a line cannot be written, the first time only.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]):
        self.path = folder / NAME
        self._warn: Callable[[str], None] | None = warn
        self._blocks = 0
        self._begun = False
        self._cut = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write how the block ended: after its seconds, or with its error. Blocks may be nested.

        A block that never began leaves no trace: another run works in the folder.
        """
        self._blocks += 1
        started = time.perf_counter()
        try:
            yield
        except BaseException as error:
            if self._blocks == 1 and self._begun:
                self.write(_ending(error))
            raise
        else:
            if self._blocks == 1 and self._begun:
                self.write(f"finished ({time.perf_counter() - started:.1f} s)")
        finally:
            self._blocks -= 1
            self._begun = self._begun and self._blocks > 0

    def begin(self) -> None:
        """Write the version and the command line, unless this block has done so."""
        if not self._begun:
            self._begun = True
            self.write(_beginning())

    def write(self, text: str) -> None:
        """Write the lines of a text, each after date and time."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{now} {line}".rstrip() + "\n" for line in text.splitlines())
        self._append(lines.encode("utf-8", "backslashreplace"))

    def _append(self, content: bytes) -> None:
        content = b"\n" * self._cut + content
        try:
            # One call of the system, at the end of the file: lines of threads do not mix.
            number = os.open(self.path, FLAGS, 0o666)
            try:
                self._cut = os.write(number, content) < len(content)
            finally:
                os.close(number)
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            reason = "only a part of a line was written" if self._cut else ""
        if reason and self._warn is not None:
            self._warn(f"{self.path} cannot be written ({reason.lower()}); the run continues")
            self._warn = None


def _beginning() -> str:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"spatioformer {__version__} ({python}, time zone {time.strftime('%z')}): {command()}"


def _ending(error: BaseException) -> str:
    if isinstance(error, SpatioformerError):
        return f"spatioformer: {error}"
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"
    return "".join(traceback.format_exception(error))


def command() -> str:
    """The command line of this process, as one would type it."""
    program, *arguments = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join([name or "python", *arguments])
