"""Counts of what this process has read over the network."""

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Counters:
    """What has been read since the start of the process, or the last reset.

    Attributes:
        bytes: bytes of bodies, those of failed attempts included.
        requests: requests sent, those of failed attempts included.
        retries: attempts after a failed one.
    """

    bytes: int = 0
    requests: int = 0
    retries: int = 0


_lock = threading.Lock()
_counters = Counters()


def counters() -> Counters:
    return _counters


def reset_counters() -> None:
    global _counters
    with _lock:
        _counters = Counters()


def count(*, bytes: int = 0, requests: int = 0, retries: int = 0) -> None:
    """Add to the counts."""
    global _counters
    with _lock:
        now = _counters
        _counters = replace(
            now,
            bytes=now.bytes + bytes,
            requests=now.requests + requests,
            retries=now.retries + retries,
        )
