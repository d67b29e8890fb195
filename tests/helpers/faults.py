"""Faults of a server and plans of them, for `tests.helpers.servers`."""

import fnmatch
import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer.

    Attributes:
        kind: name of the fault; the functions below make one of each.
        status: status of the answer instead of 200 or 206.
        headers: further headers.
        seconds: time before the body ends.
        target: address of a redirect.
    """

    kind: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    target: str = ""


def status(code: int, **headers: str) -> Fault:
    """An error status. Headers: `status(429, Retry_After="1")`."""
    return Fault("status", code, {name.replace("_", "-"): text for name, text in headers.items()})


def stall(seconds: float) -> Fault:
    """Half of the body, then silence for some seconds, then the end of the connection."""
    return Fault("stall", seconds=seconds)


def slow(seconds: float) -> Fault:
    """The whole body, a few bytes at a time, over some seconds."""
    return Fault("slow", seconds=seconds)


def truncated() -> Fault:
    """Half of the body, then the end of the connection."""
    return Fault("truncated")


def shorter() -> Fault:
    """Half of the body, with a Content-Length that agrees with the half."""
    return Fault("shorter")


def longer() -> Fault:
    """Bytes behind the body, with a Content-Length that agrees."""
    return Fault("longer")


def wrong_range() -> Fault:
    """The bytes behind those that were asked for, honestly stated."""
    return Fault("wrong-range")


def no_range() -> Fault:
    """The whole file instead of a range."""
    return Fault("no-range")


def compressed() -> Fault:
    """A body compressed with gzip."""
    return Fault("compressed")


def dropped() -> Fault:
    """The end of the connection instead of an answer."""
    return Fault("dropped")


def redirect(target: str, code: int = 302) -> Fault:
    """A redirect to another address; "{path}" in it is the path that was asked for."""
    return Fault("redirect", code, target=target)


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        number: how many requests came before it.
        path: path without parameters.
        nth: how many requests of the same path came before it.
        what: path, parameters and range, which are the same in the next attempt.
        again: how many requests of the same `what` came before it.
    """

    number: int
    path: str
    nth: int
    what: str
    again: int


Plan = Callable[[Asked], Fault | None]


def always(fault: Fault) -> Plan:
    return lambda asked: fault


def first(times: int, fault: Fault) -> Plan:
    """A fault for the first requests of each path."""
    return lambda asked: fault if asked.nth < times else None


def only(pattern: str, plan: Plan) -> Plan:
    """A plan for the paths that match a pattern of `fnmatch`."""
    return lambda asked: plan(asked) if fnmatch.fnmatch(asked.path, pattern) else None


def all_kinds() -> list[Fault]:
    """Every fault that passes, each quick."""
    return [
        *(status(code) for code in (500, 502, 503, 504, 408)),
        status(429, Retry_After="0"),
        *(truncated(), shorter(), longer(), wrong_range(), compressed(), dropped()),
    ]


def sometimes(share: float, seed: int = 0, kinds: list[Fault] | None = None, most: int = 2) -> Plan:
    """A share of the requests fails, with faults drawn by seed and by what is asked for.

    So the order in which threads ask changes nothing.

    Args:
        most: most faults in a row of one request, so that a few attempts always succeed.
    """
    faults = all_kinds() if kinds is None else kinds
    rows: dict[str, int] = {}

    def plan(asked: Asked) -> Fault | None:
        draw = random.Random(f"{seed} {asked.what} {asked.again}")
        if draw.random() >= share or rows.get(asked.what, 0) >= most:
            rows[asked.what] = 0
            return None
        rows[asked.what] = rows.get(asked.what, 0) + 1
        return draw.choice(faults)

    return plan
