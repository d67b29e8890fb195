"""Progress and messages: bars in a terminal, plain lines in a log, or nothing."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Advance(Protocol):
    """Function that reports finished steps, with a note to show beside them."""

    def __call__(self, steps: int, note: str = "") -> None: ...


class Console:
    """Prints progress and messages on stderr; results go to stdout.

    Args:
        quiet: print nothing.
        interactive: draw bars; None: if stderr is a terminal.
    """

    def __init__(self, quiet: bool = False, interactive: bool | None = None):
        self.quiet = quiet
        self.interactive = sys.stderr.isatty() if interactive is None else interactive

    def say(self, message: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

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
        if self.quiet:
            yield _ignore
        elif self.interactive:
            yield from self._bar(label, total)
        else:
            yield from self._log(label, total)

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
        with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, note="")

            def advance(steps: int, note: str = "") -> None:
                bar.update(task, advance=steps, note=note)

            yield advance

    def _log(self, label: str, total: int) -> Iterator[Advance]:
        done, last_time = 0, time.monotonic()

        def advance(steps: int, note: str = "") -> None:
            nonlocal done, last_time
            done += steps
            if time.monotonic() - last_time > 10:
                last_time = time.monotonic()
                self.say(f"  {label}: {done:,} of {total:,} {note}".rstrip())

        yield advance


def _ignore(steps: int, note: str = "") -> None:
    """Show nothing: the `Advance` of a quiet console."""


SILENT = Console(quiet=True)
