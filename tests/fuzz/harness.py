"""What every fuzzer does: cases from numbered seeds until its time is over, and what must hold.

`make test` gives each fuzzer a few seconds and always the same cases; `make soak` the full number
of cases. A failure names its seed: `SPATIOFORMER_FUZZ_SEED=N` begins there.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from spatioformer.common.errors import SpatioformerError

SECONDS = float(os.environ.get("SPATIOFORMER_FUZZ", 1))
LEAST = 50  # calls of a slow machine, which takes longer
FULL = "SPATIOFORMER_FUZZ_FULL" in os.environ
FIRST = int(os.environ.get("SPATIOFORMER_FUZZ_SEED", 0))
LONGEST = 600  # characters of a message
HANGS = 5  # seconds


class Hung(BaseException):
    """A case takes longer than HANGS; no handler of the product catches it."""


def fuzz(
    case: Callable[[np.random.Generator], object],
    *,
    full: int,
    listing: bool = False,
) -> int:
    """Call `case` with generators of rising seeds until SECONDS are over and LEAST are done.

    Returns the number of calls.

    Args:
        full: number of cases if SPATIOFORMER_FUZZ_FULL is set, whatever time they take.
        listing: whether a message may be a list of problems, one a line.
    """
    end = time.monotonic() + SECONDS
    seed = FIRST
    while (seed - FIRST < full) if FULL else (time.monotonic() < end or seed - FIRST <= LEAST):
        try:
            with limited():
                case(np.random.default_rng(seed))
        except SpatioformerError as error:
            try:
                check_message(str(error), listing)
            except AssertionError as failed:
                failed.add_note(f"seed {seed}")
                raise
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        seed += 1
    return seed - FIRST


def check_message(message: str, listing: bool) -> None:
    """One sentence on one line that is short enough to read; of a list each line."""
    lines = message.split("\n")
    if listing and len(lines) > 1:
        assert " problems in " in lines[0], message
        assert all(line.startswith("  ") for line in lines[1:]), message
    else:
        assert len(lines) == 1, message
    assert all(len(line) <= LONGEST for line in lines), message
    assert message.splitlines() == lines, repr(message)


@contextmanager
def limited() -> Iterator[None]:
    """Raise Hung after HANGS seconds."""

    def hung(*_: object) -> None:
        raise Hung(f"still at it after {HANGS} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    start = time.monotonic()
    try:
        yield
        if time.monotonic() - start > HANGS:  # a library's callback may have swallowed it
            hung()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pick(rng: np.random.Generator, choices):
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Bytes with some of them changed, inserted, cut off or repeated."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data) + 1))
        match int(rng.integers(5)):
            case 0:
                data[at : at + 1] = bytes([int(rng.integers(256))])
            case 1:
                data[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 2:
                del data[at : at + int(rng.integers(1, 20))]
            case 3:
                del data[at:]
            case 4:
                data[at:at] = data[: int(rng.integers(1, 40))]
    return bytes(data)
