"""run.log: the lines of the terminal with date and time, how a run began and how it ended."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spatioformer import __version__
from spatioformer.common.errors import PlotError
from spatioformer.common.lock import lock
from spatioformer.run.log import RunLog, command
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, spatioformer, write_config

pytestmark = pytest.mark.integration

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def logged(folder: Path) -> list[str]:
    """Lines of the log without date and time; each has both."""
    lines = (folder / "run.log").read_text(encoding="utf-8").splitlines()
    assert all(re.match(rf"{STAMP}( |$)", line) for line in lines), lines
    return [line[20:] for line in lines]


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a finished run without a log, whose configuration is beside it."""
    finished(tmp_path)
    (tmp_path / "run" / "run.log").unlink()
    return tmp_path / "run"


def test_the_log_has_the_lines_of_the_terminal(run, monkeypatch):
    config = run.parent / "tiny.yaml"
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/spatioformer", "run", "my tiny.yaml"])
    ended = spatioformer("run", config, "--redo", "report")
    first, *lines = logged(run)
    assert re.fullmatch(
        rf"spatioformer {re.escape(__version__)} \(Python [\d.]+, \w+ \w+, time zone [+-]\d{{4}}\):"
        " spatioformer run 'my tiny.yaml'",
        first,
    )
    assert lines[:9] == ended.err.splitlines()
    assert lines[6] == "report    forced ..."
    assert re.fullmatch(r"  explained by .* \(\d+\.\d s\)", lines[7])
    assert re.fullmatch(r"report    .* \(\d+\.\d s\)", lines[8])
    assert lines[9:-1] == [line.rstrip() for line in ended.out.splitlines()]
    assert re.fullmatch(r"finished \(\d+\.\d s\)", lines[-1])


def test_each_run_is_appended(run):
    config = run.parent / "tiny.yaml"
    for stage in ("plots", "report"):
        assert spatioformer(stage, config, "-q") == Ended(0, "", "")
    lines = logged(run)
    begun = [number for number, line in enumerate(lines) if line.startswith("spatioformer ")]
    assert begun == [0, 3]
    assert lines[1] == "plots     unchanged, kept"
    assert lines[4:-1] == [f"{name:<9} unchanged, kept" for name in STAGES]


def test_the_error_is_the_last_line(tmp_path):
    config = write_config(landscape.write(tmp_path).parent, ("plots.columns.lon", "east"))
    ended = spatioformer("chips", config)
    assert ended.code == 2
    assert logged(tmp_path / "run")[1:] == ended.err.splitlines()


def test_a_defect_leaves_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("spatioformer.geo.plots.table.read_plots", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Run(landscape.write(tmp_path)).stage("plots")
    lines = logged(tmp_path / "run")
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_an_interruption_is_said(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("spatioformer.run.runner.check_run", interrupted)
    assert spatioformer("report", run.parent / "tiny.yaml", "--force", "-q").code == 130
    assert logged(run)[-1] == "interrupted"


def test_a_terminated_run_says_so(tmp_path):
    config = landscape.write(tmp_path)
    code = (
        "import os, signal\n"
        "import spatioformer.geo.plots.table as plots\n"
        "from spatioformer.cli import main\n"
        "plots.read_plots = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"main(['plots', {str(config)!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 143
    assert logged(tmp_path / "run")[1:] == ended.stderr.splitlines()


def test_a_killed_run_leaves_what_it_said(tmp_path):
    config = landscape.write(tmp_path)
    code = (
        "import os, signal\n"
        "import spatioformer.geo.plots.table as plots\n"
        "from spatioformer.cli import main\n"
        "plots.read_plots = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"main(['plots', {str(config)!r}])"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert logged(tmp_path / "run")[1:] == ["plots     ..."]


def test_who_waits_for_another_run_writes_nothing(run):
    with lock(run / ".stages" / "lock"):
        assert spatioformer("run", run.parent / "tiny.yaml", "-q").code == 2
    assert not (run / "run.log").exists()


def test_processes_that_do_not_lead_write_nothing(run, monkeypatch):
    monkeypatch.setattr("spatioformer.training.distributed.leads", lambda: False)
    follower = Run(run.parent / "tiny.yaml")
    follower.console.say("a line")
    assert follower.console.quiet
    assert not (run / "run.log").exists()


def test_a_log_that_cannot_be_written_does_not_stop_the_run(run):
    (run / "run.log").mkdir()
    ended = spatioformer("plots", run.parent / "tiny.yaml")
    assert ended == Ended(
        0,
        "",
        f"{run / 'run.log'} cannot be written (is a directory); the run continues\n"
        "plots     unchanged, kept\n",
    )
    assert spatioformer("plots", run.parent / "tiny.yaml", "-q") == Ended(0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_does_not_stop_the_run(run):
    (run / "run.log").symlink_to("/dev/full")
    ended = spatioformer("plots", run.parent / "tiny.yaml")
    assert ended.code == 0
    assert "(no space left on device); the run continues" in ended.err


def test_a_line_that_was_cut_does_not_join_the_next(tmp_path, monkeypatch):
    write, warned = os.write, []
    log = RunLog(tmp_path, warned.append)
    monkeypatch.setattr(os, "write", lambda number, content: write(number, content[:25]))
    log.write("a line that is cut")
    monkeypatch.undo()
    log.write("a whole line")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert lines[0][20:] == "a lin"
    assert lines[1][20:] == "a whole line"
    assert len(warned) == 1


def test_the_log_makes_no_stage_old_and_belongs_to_no_output(run):
    spatioformer("plots", run.parent / "tiny.yaml", "-q")
    opened = Run(run.parent / "tiny.yaml")
    assert all(opened.is_current(name) for name in STAGES)
    assert "run.log" not in "".join(p.read_text() for p in (run / ".stages").glob("*.json"))


def test_nested_blocks_are_one_run(tmp_path):
    log = RunLog(tmp_path, print)
    with log.recording():
        with log.recording():
            log.begin()
        with pytest.raises(PlotError), log.recording():
            raise PlotError("no plots")
    lines = logged(tmp_path)
    assert len(lines) == 2
    assert lines[1].startswith("finished (")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/opt/bin/spatioformer", "run", "a b.yaml"], "spatioformer run 'a b.yaml'"),
        (["/lib/spatioformer/__main__.py", "demo"], "spatioformer demo"),
        (["study.py"], "study.py"),
        ([""], "python"),
    ],
)
def test_the_command_line_as_one_types_it(monkeypatch, argv, expected):
    monkeypatch.setattr(sys, "argv", argv)
    assert command() == expected
