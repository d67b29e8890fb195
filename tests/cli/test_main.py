"""The command line: exit codes, what it prints where, and real processes."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spatioformer import __version__
from spatioformer.cli import app, imagery, main
from spatioformer.common.progress import Console
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, half_written, spatioformer, write_config

pytestmark = pytest.mark.integration

COMMANDS = ["run", *STAGES, "demo"]
ALL = [
    *("init", "check", "run", "plots", "imagery", "chips", "train", "evaluate", "map"),
    *("predict", "report", "view", "survey", "zonal", "drivers", "demo", "example", "years"),
    *("project", "explain-location", "export", "learn"),
    *("text", "vision"),
]
"""Every command, in the order of the help text."""


def commands(node: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group: (), (run,), ..., (text,), (text, train), ..."""
    node = node or typer.main.get_command(app)
    yield words
    inside = getattr(node, "commands", {}) or getattr(node, "subcommands", {})
    for name, inner in inside.items():
        yield from commands(inner, (*words, name))
    if words == ("imagery",):  # a stage that is followed by a configuration or by a command
        yield from ((*words, name) for name in typer.main.get_group(imagery.app).commands)


def process(*arguments) -> subprocess.CompletedProcess:
    """The program as a user starts it."""
    command = [sys.executable, "-m", "spatioformer", *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True)


# --- commands and help ----------------------------------------------------------------------------


def test_help_names_every_command():
    ended = spatioformer("--help")
    assert ended.code == 0
    assert re.findall(r"^│ ([\w-]+) ", ended.out.split("Commands")[1], re.MULTILINE) == ALL


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_has_an_example_that_is_understood(command):
    """The example's options exist and its arguments are complete; nothing is run."""
    text = " ".join(spatioformer(*command, "-h").out.split())
    example = shlex.split(text.split("Example: ")[1])
    assert example[: 1 + len(command)] == ["spatioformer", *command]
    # A tree of its own: parsed without its parents, a command would keep a help option without -h.
    node, rest = typer.main.get_group(app), example[1:]
    while rest and rest[0] in getattr(node, "commands", ()):
        node = node.commands[rest.pop(0)]
    assert not hasattr(node, "commands"), "the example of a group is one of its commands"
    node.make_context(node.name, rest)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    ended = spatioformer(name, "-h")
    assert ended.code == 0
    assert "--set" in ended.out
    assert "--quiet" in ended.out


def test_version():
    assert spatioformer("--version") == Ended(0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mapp"], "No such command 'mapp'"),
        (["run"], "Missing argument"),
        (["run", "a.yaml", "--sett", "x"], "No such option: --sett"),
        (["run", "a.yaml", "--until"], "requires an argument"),
        (["map", "model", "--samples", "many"], "--samples"),
        (["explain-location", "-60.5", "-3", "--sett", "x"], "unexpected extra argument"),
        (["explain-location", "--sett", "-60.5", "-3"], "Invalid value for 'LON'"),
        (["map", "model", "--sd-step", "0"], "--sd-step"),
    ],
)
def test_what_it_does_not_understand(arguments, words):
    ended = spatioformer(*arguments)
    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


# --- output and log -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return finished(tmp_path_factory.mktemp("finished"))


def test_results_go_to_stdout_and_progress_to_stderr(config):
    ended = spatioformer("run", config)
    assert ended.code == 0
    assert [line.split()[0] for line in ended.err.splitlines()] == list(STAGES)
    for words in ("random", "tiles", "r2", "RMSE", "location-knn", "spatioformer"):
        assert words in ended.out
    assert "curve-" not in ended.out
    folder = config.parent / "run"
    paths = ended.out.splitlines()[-2:]
    assert paths == [f"map    {folder / 'map.tif'}", f"report {folder / 'report.html'}"]
    assert "\x1b" not in ended.out + ended.err, "no escape codes where there is no terminal"


@pytest.mark.parametrize(
    ("last", "shown"),
    [("chips", []), ("evaluate", ["scores"]), ("map", ["scores", "map.tif"])],
)
def test_a_shorter_run_shows_no_older_results(config, last, shown):
    out = spatioformer("run", config, "--until", last).out
    assert ("location-knn" in out) == ("scores" in shown)
    assert ("map.tif" in out) == ("map.tif" in shown)
    assert "report.html" not in out


def test_quiet_means_nothing(config):
    for name in COMMANDS[:-1]:
        assert spatioformer(name, config, "-q") == Ended(0, "", "")


def test_a_log_is_a_line_a_stage(tmp_path):
    ended = spatioformer("chips", landscape.write(tmp_path))
    assert ended.code == 0
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert lines[0::2] == ["plots     ...", "imagery   ...", "chips     ..."]
    assert lines[1].startswith("plots     150 plots, 0 rows rejected (")
    assert lines[3].startswith("imagery   64 x 64 pixels, 3 bands, 4,096 to predict (")
    assert lines[5].startswith("chips     150 chips of 3 pixels a side (")


def test_uneven_folds_are_said_once_and_in_words(tmp_path):
    """A warning of ours is a line of the log, not a Python warning with a path."""
    config = landscape.write(tmp_path)
    table = landscape.plots()
    table.loc[5:, ["lon", "lat"]] = table.loc[5:, ["lon", "lat"]] / 1e3 + [141, -21]
    table.to_csv(tmp_path / "plots.csv", index=False)
    models = ("--set", "evaluate.models=[location-knn]", "--set", "evaluate.curve_sizes=[]")
    ended = spatioformer("evaluate", config, *models)
    assert ended.code == 0
    warnings = [line for line in ended.err.splitlines() if "uneven" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("  tiles: folds of ")
    assert warnings[0].endswith(" plots are uneven; use fewer folds")


def test_progress_in_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console(interactive=True)
    with console.task("train", 3) as advance:
        advance(2, "RMSE 7.40")
    assert list(console.track("abc", "map")) == ["a", "b", "c"]
    assert list(Console(quiet=True).track("abc", "map")) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/3" in err
    assert "RMSE 7.40" in err


# --- exit codes -----------------------------------------------------------------------------------


def test_a_defect_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("spatioformer.geo.plots.table.read_plots", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["plots", str(landscape.write(tmp_path))])
    assert not half_written(tmp_path)
    assert not (tmp_path / "run" / ".stages" / "plots.json").exists()


def test_a_defect_in_a_process_is_exit_code_1(tmp_path):
    config = landscape.write(tmp_path)
    code = (
        "import sys, spatioformer.geo.plots.table as plots\n"
        "from spatioformer.cli import main\n"
        "plots.read_plots = lambda *_, **__: 1 / 0\n"
        f"main(['plots', {str(config)!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.soak
def test_a_mistake_in_a_process_is_one_sentence(tmp_path):
    config = write_config(tmp_path, ("train.epochs", 0))
    ended = process("run", config)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"spatioformer: {config}: `train.epochs` is 0: it must be greater than or equal to 1\n"
    )


def test_a_process_that_reads_damaged_files_says_no_more_than_the_sentence(tmp_path):
    """GDAL and the others have ways of their own to write on stderr."""
    config = landscape.write(tmp_path)
    image = tmp_path / "image.tif"
    image.write_bytes(image.read_bytes()[:6000])
    ended = process("imagery", config, "--quiet")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"spatioformer: {image} cannot be read (")
    assert ended.stderr.endswith("the file is damaged or cut short; fetch it again\n")


def test_a_quiet_process_says_nothing(tmp_path):
    ended = process("chips", landscape.write(tmp_path), "--quiet")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_demo_refuses_plots_that_are_not_there(tmp_path):
    ended = spatioformer("demo", "--plots", tmp_path / "none.csv", "--out", tmp_path / "run", "-q")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    missing = f"spatioformer: there is no file {tmp_path / 'none.csv'}; check the path\n"
    assert ended.err == missing or "make install" in ended.err


def test_the_page_of_commands_names_each_of_them():
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", text.split("## Old")[0], re.M)
        for name in re.findall(r"`([a-z -]+)`", row)
    } | set(re.findall(r"`(text \w+)`", text))
    assert named == {" ".join(words) for words in commands()} - {"", "text", "vision"}
