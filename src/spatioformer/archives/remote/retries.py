"""Try again after a fault of the network or the server, with exponential backoff and full jitter.

Source of the jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import email.utils
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from spatioformer.archives.remote.access import Access, RemoteError, Unreachable
from spatioformer.archives.remote.counters import count

Result = TypeVar("Result")

FIRST_DELAY = 0.5
"""Upper limit of the first delay, seconds; it doubles with each attempt."""
LONGEST_DELAY = 30.0
ENOUGH = 1 << 20
"""Bytes of a long file that make an attempt worth another one."""
LONGEST_WAIT = 120.0
"""Seconds that a server may ask for at most (Retry-After)."""

_random = random.Random()
_log = logging.getLogger(__name__)


class Fault(Exception):
    """A failed attempt that is worth another one.

    Attributes:
        reason: what happened, as the end of a sentence.
        wait: seconds for which the server asks, or None.
        attempts: most attempts for this fault; None: as the source says.
        unreachable: whether the host did not answer at all.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        attempts: int | None = None,
        unreachable: bool = False,
    ):
        super().__init__(reason)
        self.reason, self.wait, self.attempts = reason, wait, attempts
        self.unreachable = unreachable


def seed(value: int) -> None:
    """Make the delays of this process reproducible."""
    _random.seed(value)


def delay(attempt: int, wait: float | None = None) -> float:
    """Seconds before the next attempt.

    Args:
        attempt: number of the attempt that failed, from 0.
        wait: seconds for which the server asks; it is a lower limit, up to `LONGEST_WAIT`.
    """
    backoff = _random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
    return backoff if wait is None else min(wait, LONGEST_WAIT) + min(backoff, FIRST_DELAY)


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After header, a number or a date; None where it is neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 10**9))
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def persist(
    task: Callable[[], Result],
    access: Access,
    href: str,
    progress: Callable[[], int] | None = None,
) -> Result:
    """Run a task until it succeeds, at most `access.attempts` times.

    Args:
        progress: number of bytes that are kept; after ENOUGH more, attempts count from 0 again.

    Raises:
        Unreachable: the host never answered.
        RemoteError: it failed each time; the message has the last reason.
    """
    attempt = most = 0
    while True:
        try:
            return task()
        except Fault as fault:
            if progress is not None and progress() >= most + ENOUGH:
                attempt, most = 0, progress()
            attempt += 1
            if attempt >= min(access.attempts, fault.attempts or access.attempts):
                raise _failed(fault, attempt, access, href) from fault
            seconds = delay(attempt - 1, fault.wait)
            _log.info("%s: %s; next attempt in %.1f s", href, fault.reason, seconds)
            count(retries=1)
            time.sleep(seconds)


def _failed(fault: Fault, attempts: int, access: Access, href: str) -> RemoteError:
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    if fault.unreachable:
        endpoint = "the address" if access.by_user else f"{access.owner}.endpoint"
        return Unreachable(
            f"{access.owner}: {fault.reason} ({times}, for {href}); check the network and "
            f"{endpoint}, or use --offline to read the cache alone",
            href,
        )
    return RemoteError(
        f"{access.owner}: cannot read {href}: {fault.reason} ({times}); run again later, what "
        "was read is kept",
        href,
    )
