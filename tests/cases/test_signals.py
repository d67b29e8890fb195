"""Ctrl-C and SIGTERM at any moment: one line, exit code 130 or 143, no worker left."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from spatioformer.cli import guard, signals
from tests.helpers import landscape
from tests.helpers.tiny_run import finished, half_written
from tests.run.test_interrupt import members, until

pytestmark = pytest.mark.integration

LINES = {
    code: f"spatioformer: {word}; finished results are kept, and the same command continues from "
    "them\n"
    for code, word in ((130, "interrupted"), (143, "terminated"))
}
SIGNALS = {130: signal.SIGINT, 143: signal.SIGTERM}


def started(*arguments, prelude: str = "", **options) -> subprocess.Popen:
    """The console script, with `prelude` run before it."""
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.argv = ['/usr/bin/spatioformer', *sys.argv[1:]]\n{prelude}\n"
        "from spatioformer.cli import main; main()"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        **options,
    )  # fmt: skip


SLOW = """
import importlib.abc, time
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            print('here', flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("code", LINES)
@pytest.mark.parametrize(
    "name", ["typer", "spatioformer.cli.map", "spatioformer.run.runner", "yaml"]
)
def test_during_the_imports(tmp_path, name, code):
    config = landscape.write(tmp_path)
    with started("plots", config, "-q", prelude=SLOW.format(name=name)) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(SIGNALS[code])
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", LINES[code])


@pytest.fixture
def usual_handlers():
    """Python's own handlers; a process in the background may have been told to ignore Ctrl-C."""
    before = {number: signal.getsignal(number) for number in SIGNALS.values()}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "work",
    [
        "raise KeyboardInterrupt",
        "os.kill(os.getpid(), number)\ntime.sleep(5)",
        # A library swallows it, or makes another error of it.
        "try:\n  os.kill(os.getpid(), number); time.sleep(5)\nexcept BaseException: pass",
        "try:\n  os.kill(os.getpid(), number); time.sleep(5)\nexcept BaseException: 1 / 0",
        "try:\n  os.kill(os.getpid(), number); time.sleep(5)\nexcept BaseException: pass\n"
        "time.sleep(5)",
    ],
    ids=["raised", "sent", "swallowed", "converted", "swallowed, then goes on"],
)
@pytest.mark.parametrize("code", LINES)
@pytest.mark.usefixtures("usual_handlers")
def test_none_is_swallowed(monkeypatch, capsys, work, code):
    monkeypatch.setattr(signals, "AGAIN", 0.2)
    if work.startswith("raise"):
        code = 130
    scope = {"os": os, "time": time, "number": SIGNALS[code]}
    start = time.monotonic()
    with signals.handled() as arrival, pytest.raises(guard.typer.Exit) as ended:
        guard._guard(lambda: exec(work, scope), arrival)
    assert time.monotonic() - start < 4, "the signal comes again during the sleep"
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == LINES[code]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(shutil.which("pgrep") is None, reason="pgrep counts the processes")
@pytest.mark.soak  # tests/run/test_interrupt.py interrupts and kills such an evaluation
@pytest.mark.parametrize("group", [True, False])
def test_a_terminated_evaluation_ends_its_workers(tmp_path, group):
    config = finished(tmp_path)
    arguments = ("evaluate", config, "--force", "-q", "--set", "evaluate.workers=2")
    with started(*arguments) as process:
        until(
            lambda: members(process.pid) == 5, "two workers, their server and the resource tracker"
        )
        time.sleep(0.3)
        (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        until(lambda: members(process.pid) == 0, "the group ends")
    assert (process.returncode, out, err) == (143, "", LINES[143])
    assert not half_written(tmp_path)
    assert not (tmp_path / "run" / ".stages" / "lock").exists()
