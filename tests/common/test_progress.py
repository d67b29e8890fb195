"""Progress in plain lines: when a line comes, the time left in it, and where the lines go."""

import pytest

from spatioformer.common.progress import Console, duration


class Clock:
    """A clock that the test sets, seconds."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("spatioformer.common.progress.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"), (14, "14 s"), (59.4, "59 s"), (59.6, "1 min"), (100, "2 min"),
        (3569, "59 min"), (3571, "1 h"), (4800, "1 h 20 min"), (7200, "2 h"),
        (47 * 3600, "47 h"), (48 * 3600, "2 days"), (80 * 3600, "3 days"),
    ],
)  # fmt: skip
def test_time_spans_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_time_left_is_the_mean_time_of_a_step_for_each_step_left(clock, capsys):
    with Console(interactive=False).task("evaluate", 92) as advance:
        for done in range(1, 93):
            clock.now = 2.0 * done
            advance(1, "random-forest, tiles")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  evaluate: 6 of 92 random-forest, tiles (about 3 min left)"  # 172 s
    assert lines[4] == "  evaluate: 30 of 92 random-forest, tiles (about 2 min left)"  # 124 s
    assert lines[-1] == "  evaluate: 90 of 92 random-forest, tiles (about 4 s left)"


def test_a_line_comes_every_ten_seconds(clock, capsys):
    for _ in Console(interactive=False).track(range(25), "map"):
        clock.now += 1
    assert capsys.readouterr().err == (
        "  map: 11 of 25 (about 14 s left)\n  map: 22 of 25 (about 3 s left)\n"
    )


def test_steps_of_an_interrupted_run_took_no_time(clock, capsys):
    with Console(interactive=False).task("evaluate", 92) as advance:
        advance(60)  # found finished at the start
        clock.now = 20.0
        advance(1)
        clock.now = 40.0
        advance(31)
    assert capsys.readouterr().err.splitlines() == [
        "  evaluate: 61 of 92 (about 10 min left)",  # 31 steps of 20 s
        "  evaluate: 92 of 92",
    ]


def test_without_a_step_there_is_no_rate(clock, capsys):
    with Console(interactive=False).task("train", 5) as advance:
        clock.now = 11.0
        advance(0, "compiling")
    assert capsys.readouterr().err == "  train: 0 of 5 compiling\n"


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("quiet", [False, True])
def test_the_log_has_the_same_plain_lines_whatever_is_printed(clock, capsys, quiet, interactive):
    lines: list[str] = []
    plain = Console(quiet, interactive)
    console = plain.logged(lines.append)
    console.say("chips     ...")
    with console.task("chips", 3) as advance:
        clock.now = 12.0
        advance(1)
    assert lines == ["chips     ...", "  chips: 1 of 3 (about 24 s left)"]
    assert plain.log is None, "the console that was given does not change"
    printed = capsys.readouterr().err
    if quiet:
        assert printed == ""
    elif not interactive:
        assert printed.splitlines() == lines
    else:
        assert "about" not in printed
