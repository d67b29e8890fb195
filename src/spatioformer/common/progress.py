"""Progress and messages: bars in a terminal, plain lines in a log, or nothing."""

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

T = TypeVar("T")

INTERVAL = 10.0
"""Seconds between two plain lines of progress."""

RESUMED = 1.0
"""Seconds after the start; steps reported until then count as finished before."""


class Advance(Protocol):
    """Function that reports finished steps, with a note to show beside them."""

    def __call__(self, steps: int, note: str = "") -> None: ...


class Console:
    """Prints progress and messages on stderr; results go to stdout.

    Args:
        quiet: print nothing.
        interactive: draw bars; None: if stderr is a terminal.

    Attributes:
        log: function that also gets each line, quiet or not; None: there is no log. Instead of
            bars it gets the plain lines of progress.
    """

    log: Callable[[str], None] | None = None

    def __init__(self, quiet: bool = False, interactive: bool | None = None):
        self.quiet = quiet
        self.interactive = sys.stderr.isatty() if interactive is None else interactive

    def logged(self, log: Callable[[str], None]) -> Self:
        """A copy of this console that also writes to a log."""
        twin = copy.copy(self)
        twin.log = log
        return twin

    def say(self, message: str) -> None:
        """Print one line, unless quiet, and log it."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)
        if self.log is not None:
            self.log(message)

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Iterate with a progress bar; in a log, with a line at most every ten seconds."""
        if total is None:
            if not isinstance(items, Sized):
                raise TypeError(f"{type(items).__name__} has no length; give `total`")
            total = len(items)
        with self.task(label, total) as advance:
            for item in items:
                yield item
                advance(1)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Context manager that yields `advance(steps, note="")`."""
        if self.interactive and not self.quiet:
            yield from self._bar(label, total)
        elif self.quiet and self.log is None:
            yield _ignore
        else:
            yield _PlainLines(label, total, self.say)

    def _bar(self, label: str, total: int) -> Iterator[Advance]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=32),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        logged = _ignore if self.log is None else _PlainLines(label, total, self.log)
        with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, note="")

            def advance(steps: int, note: str = "") -> None:
                bar.update(task, advance=steps, note=note)
                logged(steps, note)

            yield advance


class _PlainLines:
    """An `Advance` that says how far the work is and how long the rest takes, every INTERVAL.

    The time left is the number of steps left times the mean time of a step so far. Steps that an
    interrupted run did are reported at the start; they took no time, so they do not count in it.
    """

    def __init__(self, label: str, total: int, say: Callable[[str], None]):
        self.label, self.total, self.say = label, total, say
        self.done = self.before = 0
        self.started = self.last = time.monotonic()

    def __call__(self, steps: int, note: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.started < RESUMED:
            self.before = self.done
        if now - self.last > INTERVAL:
            self.last = now
            line = f"  {self.label}: {self.done:,} of {self.total:,} {note}".rstrip()
            self.say(line + self._left(now - self.started))

    def _left(self, seconds: float) -> str:
        steps, left = self.done - self.before, self.total - self.done
        return f" (about {duration(seconds / steps * left)} left)" if steps > 0 < left else ""


def duration(seconds: float) -> str:
    """A time span in words of two units at most: "40 s", "2 min", "1 h 20 min", "3 days"."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours >= 48:
        return f"{round(hours / 24)} days"
    return f"{minutes // 60} h {minutes % 60} min".removesuffix(" 0 min")


def _ignore(steps: int, note: str = "") -> None:
    """Show nothing: the `Advance` of a quiet console."""


SILENT = Console(quiet=True)
