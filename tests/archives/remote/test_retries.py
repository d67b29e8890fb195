"""Backoff, jitter and what servers ask for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from spatioformer.archives.remote import Access, RemoteError, retries
from spatioformer.archives.remote.retries import Fault, delay, persist, seconds_of


@pytest.fixture
def sleeps(monkeypatch) -> list[float]:
    recorded: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", recorded.append)
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.5)
    return recorded


def test_delays_double_with_full_jitter_and_a_cap(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.5)
    retries.seed(1)
    delays = [[delay(attempt) for _ in range(400)] for attempt in range(10)]
    for attempt, drawn in enumerate(delays):
        limit = min(30.0, 0.5 * 2**attempt)
        assert 0 <= min(drawn) < 0.05 * limit
        assert 0.95 * limit < max(drawn) <= limit
        assert sum(drawn) / len(drawn) == pytest.approx(limit / 2, rel=0.1)
    retries.seed(1)
    assert [delay(0) for _ in range(400)] == delays[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        (" 0 ", 0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        (None, None),
        ("9" * 30, 999999999),
    ],
)
def test_seconds_of_retry_after(text, seconds):
    assert seconds_of(text) == seconds


def test_a_date_of_retry_after():
    moment = datetime.now(UTC) + timedelta(seconds=50)
    assert 48 < seconds_of(format_datetime(moment, usegmt=True)) <= 50
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_a_server_is_given_the_time_it_asks_for(sleeps, tmp_path):
    waits = iter([7.0, 10_000.0, 0.0])

    def task() -> str:
        for wait in waits:
            raise Fault("busy", wait=wait)
        return "done"

    assert persist(task, Access((), tmp_path), "x") == "done"
    assert 7 <= sleeps[0] <= 7.5
    assert retries.LONGEST_WAIT <= sleeps[1] <= retries.LONGEST_WAIT + 0.5
    assert 0 <= sleeps[2] <= 0.5


@pytest.mark.parametrize(("attempts", "most", "tried"), [(5, None, 5), (1, None, 1), (5, 2, 2)])
def test_attempts_end(sleeps, tmp_path, attempts, most, tried):
    calls = []

    def task() -> None:
        calls.append(1)
        raise Fault("the server sleeps", attempts=most)

    times = "1 attempt" if tried == 1 else f"{tried} attempts"
    with pytest.raises(RemoteError, match=rf"s: cannot read x: the server sleeps \({times}\);"):
        persist(task, Access((), tmp_path, attempts=attempts, owner="s"), "x")
    assert (len(calls), len(sleeps)) == (tried, tried - 1)
