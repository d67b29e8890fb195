"""Ctrl-C at any moment: what was finished stays, nothing half-written does, and the next run ends
with the bytes of an uninterrupted one."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatioformer.common import workers
from spatioformer.run import jobs
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from spatioformer.training import loop as train
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, half_written, spatioformer

pytestmark = pytest.mark.integration

INTERRUPTED = (
    "spatioformer: interrupted; finished results are kept, and the same command continues "
    "from them\n"
)
RESULTS = {
    "plots.parquet": "plots",
    "imagery.tif": "imagery",
    "chips/chips.npy": "chips",
    "model/model.safetensors": "train",
    "training.csv": "train",
    "scores.csv": "evaluate",
    "evaluation/predictions.parquet": "evaluate",
    "map.tif": "map",
}
"""Files of a run, and the stage that makes each."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    """Results of an uninterrupted run."""
    folder = finished(tmp_path_factory.mktemp("whole")).parent / "run"
    return {name: (folder / name).read_bytes() for name in RESULTS}


def current(config: Path) -> list[str]:
    run = Run(config)
    return [name for name in STAGES if run.is_current(name)]


def interrupt_at_rename(monkeypatch, name: str, count: int = 1) -> None:
    """Ctrl-C when the `count`-th file or folder `name` is whole but not yet in its place."""
    rename, left = os.replace, [count]

    def replace(source, target):
        if Path(target).name == name:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)


MOMENTS = [
    # (the file that does not get its name any more, the stage at work, the last stage to run)
    pytest.param("plots.rejected.csv", "plots", "plots", marks=pytest.mark.soak),
    ("rejected.csv", "plots", "plots"),
    pytest.param("plots.parquet", "plots", "chips", marks=pytest.mark.soak),
    ("imagery.tif", "imagery", "imagery"),
    ("chips", "chips", "map"),
    pytest.param("chips.rejected.csv", "chips", "chips", marks=pytest.mark.soak),
    ("training.csv", "train", "train"),
    pytest.param("config.json", "train", "train", marks=pytest.mark.soak),
    ("predictions.parquet", "evaluate", "map"),
    pytest.param("map.tif", "map", "map", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("name", "stage", "last"), MOMENTS)
def test_a_run_goes_on_where_it_was_interrupted(tmp_path, monkeypatch, expected, name, stage, last):
    config = landscape.write(tmp_path)
    with monkeypatch.context() as patched:
        interrupt_at_rename(patched, name)
        ended = spatioformer("run", config, "--until", last, "--quiet")
    assert ended == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    before = list(STAGES)[: list(STAGES).index(stage)]
    assert current(config) == before
    again = spatioformer("run", config, "--until", last)
    assert again.code == 0
    kept = [line.split()[0] for line in again.err.splitlines() if "unchanged, kept" in line]
    assert kept == before
    done = list(STAGES)[: list(STAGES).index(last) + 1]
    assert current(config) == done
    for result, content in expected.items():
        if RESULTS[result] in done:
            assert (tmp_path / "run" / result).read_bytes() == content, result


def test_interrupted_while_the_rows_of_two_stages_are_joined(tmp_path, monkeypatch):
    config = landscape.write(tmp_path)
    table = landscape.plots()
    table.loc[:1, "lon"] = 140.05  # the first column of pixels has no neighbour to the west
    table.to_csv(tmp_path / "plots.csv", index=False)
    with monkeypatch.context() as patched:
        interrupt_at_rename(patched, "rejected.csv", 2)
        ended = spatioformer("run", config, "--until", "map", "--quiet")
    assert ended == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    assert current(config) == ["plots", "imagery"]
    assert (tmp_path / "run" / "rejected.csv").read_text().count("\n") == 1
    assert spatioformer("chips", config, "-q").code == 0
    assert (tmp_path / "run" / "rejected.csv").read_text().count("\n") == 3


def test_imagery_interrupted_between_its_blocks(tmp_path, monkeypatch, expected):
    config = landscape.write(tmp_path)
    calls = []
    read = sys.modules["spatioformer.geo.raster.stack"]._Pixels.read

    def third_is_the_last(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.geo.raster.stack.BLOCK", 32)
        patched.setattr("spatioformer.geo.raster.stack._Pixels.read", third_is_the_last)
        assert spatioformer("imagery", config, "-q") == Ended(130, "", INTERRUPTED)
    assert len(calls) == 3
    assert not half_written(tmp_path)
    assert not (tmp_path / "run" / "imagery.tif").exists()
    assert spatioformer("imagery", config, "-q").code == 0
    assert (tmp_path / "run" / "imagery.tif").read_bytes() == expected["imagery.tif"]


def test_chips_interrupted_between_their_arrays(tmp_path, monkeypatch):
    """The chips of an earlier run stay whole while new ones are cut."""
    config = finished(tmp_path)
    before = (tmp_path / "run" / "chips" / "chips.npy").read_bytes()

    def interrupted(path, array):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.geo.chips.save_array", interrupted)
        ended = spatioformer("chips", config, "--set", "model.patch=5", "-q")
    assert ended == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    assert (tmp_path / "run" / "chips" / "chips.npy").read_bytes() == before
    assert "chips" not in current(config)


@pytest.fixture
def interrupted_training(tmp_path, monkeypatch) -> Path:
    """Configuration of a run whose training ended after the first of two epochs."""
    save = train._State.save

    def save_and_stop(state, path):
        save(state, path)
        raise KeyboardInterrupt

    config = landscape.write(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(train._State, "save", save_and_stop)
        assert spatioformer("train", config, "-q") == Ended(130, "", INTERRUPTED)
    return config


@pytest.mark.parametrize("option", ["--resume", "--no-resume"])
def test_training_goes_on_after_its_last_epoch(interrupted_training, expected, option):
    folder = interrupted_training.parent
    assert len(list((folder / "run" / ".stages").glob("train-*.checkpoint"))) == 1
    ended = spatioformer("train", interrupted_training, option)
    assert ended.code == 0
    assert ("continuing after epoch 1 of 2" in ended.err) == (option == "--resume")
    for name in ("model/model.safetensors", "training.csv"):
        assert (folder / "run" / name).read_bytes() == expected[name]
    assert not list((folder / "run" / ".stages").glob("*.checkpoint"))


def test_a_checkpoint_of_other_settings_is_left_alone_and_then_removed(interrupted_training):
    ended = spatioformer("train", interrupted_training, "--set", "train.epochs=3")
    assert ended.code == 0
    assert "continuing" not in ended.err
    assert not list((interrupted_training.parent / "run" / ".stages").glob("*.checkpoint"))


def test_an_evaluation_keeps_its_finished_jobs(tmp_path, monkeypatch, expected):
    config = finished(tmp_path)
    run_job, done = jobs.run_job, []

    def counted(job, *rest):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append((job.model, job.split, job.fold))
        return run_job(job, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "run_job", counted)
        ended = spatioformer("evaluate", config, "--force", "-q")
    assert ended == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    first, done[:] = list(done), [None] * 5  # never four again
    monkeypatch.setattr(jobs, "run_job", counted)
    assert spatioformer("evaluate", config, "-q") == Ended(0, "", "")
    again = done[5:]
    assert len(first) + len(again) == 2 * 2 * 2 + 2  # models x splits x folds, and the curve
    assert not set(first) & set(again)
    for name in ("scores.csv", "evaluation/predictions.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == expected[name]


def test_a_map_interrupted_between_its_tiles(tmp_path, monkeypatch, expected):
    config = finished(tmp_path)

    def interrupted(tiles, *_):
        assert tiles.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.geo.raster.cog.to_cog", interrupted)
        assert spatioformer("map", config, "--force", "-q") == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    assert (tmp_path / "run" / "map.tif").read_bytes() == expected["map.tif"], "the old one stays"
    assert "map" not in current(config)
    assert spatioformer("map", config, "-q") == Ended(0, "", "")
    assert (tmp_path / "run" / "map.tif").read_bytes() == expected["map.tif"]


def test_a_report_interrupted_at_its_end(tmp_path, monkeypatch):
    config = finished(tmp_path)
    before = (tmp_path / "run" / "report.html").read_bytes()
    with monkeypatch.context() as patched:
        interrupt_at_rename(patched, "report.html")
        assert spatioformer("report", config, "--force", "-q") == Ended(130, "", INTERRUPTED)
    assert not half_written(tmp_path)
    assert (tmp_path / "run" / "report.html").read_bytes() == before
    assert current(config) == list(STAGES)[:-1]


# --- processes ------------------------------------------------------------------------------------


def two_workers_interrupted(config: Path, monkeypatch, happening) -> Ended:
    """An evaluation in two processes, with `happening` as soon as both are started."""
    wait = workers.wait

    def waiting(*arguments, **options):
        assert len(multiprocessing.active_children()) == 2
        happening()
        return wait(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(workers, "wait", waiting)
        arguments = ("--force", "-q", "--set", "evaluate.workers=2")
        ended = spatioformer("evaluate", config, *arguments)
    # The pool's own thread may be the one that takes note of a worker's end, a moment later.
    until(lambda: not multiprocessing.active_children(), "no worker outlives its run", seconds=5)
    assert not half_written(config.parent)
    return ended


def test_workers_end_with_their_run(tmp_path, monkeypatch):
    def happening():
        raise KeyboardInterrupt

    ended = two_workers_interrupted(finished(tmp_path), monkeypatch, happening)
    assert ended == Ended(130, "", INTERRUPTED)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_worker_that_is_killed_is_one_sentence(tmp_path, monkeypatch):
    def happening():
        for child in multiprocessing.active_children():
            child.kill()

    ended = two_workers_interrupted(finished(tmp_path), monkeypatch, happening)
    assert ended.code == 2
    assert ended.err == (
        "spatioformer: one of 2 evaluation processes was killed, most often for lack of memory; "
        "lower `evaluate.workers` (--set evaluate.workers=1) and run again\n"
    )


PATIENCE = 120  # seconds; a busy machine starts Python slowly


def _hears_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def started(*arguments) -> Iterator[subprocess.Popen]:
    """A real process, in a group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "spatioformer", *(str(a) for a in arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hears_interrupts,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # where the test failed


def until(condition, what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def members(group: int) -> int:
    """Number of processes in a process group."""
    return subprocess.run(["pgrep", "-g", str(group)], stdout=subprocess.PIPE).stdout.count(b"\n")


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C reaches the whole group: one sentence, and nobody stays."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith(INTERRUPTED)
    assert "Traceback" not in err
    until(lambda: members(process.pid) == 0, "the group ends")


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("pgrep") is None, reason="pgrep counts the processes")
def test_a_real_training(tmp_path):
    config = finished(tmp_path)
    many = ("--set", "train.epochs=100000", "--set", "train.patience=100000")

    def whole() -> list[Path]:  # `train-1f2e.part.checkpoint` is one being written
        stages = tmp_path / "run" / ".stages"
        return [path for path in stages.glob("*.checkpoint") if ".part" not in path.name]

    with started("train", config, *many) as process:
        until(whole, "the first epoch")
        interrupt(process)
    assert len(whole()) == 1
    assert not half_written(tmp_path)


@pytest.mark.skipif(shutil.which("pgrep") is None, reason="pgrep counts the processes")
@pytest.mark.parametrize(
    "others",
    [pytest.param(2, id="server", marks=pytest.mark.soak), pytest.param(4, id="workers")],
)
def test_a_real_evaluation_with_workers(tmp_path, others):
    """At the worst moments: the server of the workers starts, or the workers start.

    Before them starts Python's resource tracker.
    """
    config = finished(tmp_path)
    with started("evaluate", config, "--force", "--set", "evaluate.workers=2") as process:
        until(lambda: members(process.pid) == 1 + others, "they start")
        time.sleep(0.1)
        interrupt(process)
    assert current(config) == [name for name in STAGES if name != "evaluate"]
    assert not half_written(tmp_path)


@pytest.mark.skipif(shutil.which("pgrep") is None, reason="pgrep counts the processes")
def test_workers_end_when_their_run_is_killed(tmp_path):
    config = finished(tmp_path)
    with started("evaluate", config, "--force", "--set", "evaluate.workers=2") as process:
        until(lambda: members(process.pid) == 5, "tracker, server and two workers")
        process.kill()  # it cannot end them any more
        process.wait()
        until(lambda: members(process.pid) == 0, "the group ends", seconds=60)
