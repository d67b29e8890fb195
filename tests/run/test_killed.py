"""Commands that are killed (SIGKILL) at random moments: continuing ends with the same bytes.

`make soak` alone runs this: SPATIOFORMER_SOAK is set. Six tries for each of seven commands. Every
other try kills the process alone, as a system without memory does; the others its workers too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from tests.helpers import landscape
from tests.helpers.maps import noise, small
from tests.helpers.text import CORPUS
from tests.helpers.tiny_run import half_written, spatioformer, write_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("SPATIOFORMER_SOAK" not in os.environ, reason="only in `make soak`"),
]

TRIES = 6
CHANGING = ("provenance.json", "run.log", ".stages", "report.html", "training.log", ".lock")
"""Files with times or durations."""


@dataclass
class Command:
    """A command to kill.

    Attributes:
        arguments: of the command line.
        out: the file or folder that it writes.
        fresh: puts its folder into the state before the command.
    """

    arguments: list[str]
    out: Path
    fresh: Callable[[], object]


def run_of(folder: Path, workers: int) -> Command:
    config = write_config(folder, ("evaluate.workers", workers), ("train.epochs", 6))
    return Command(["run", str(config), "--quiet"], folder / "run", lambda: removed(folder / "run"))


def prepare_run(folder: Path) -> Command:
    landscape.write(folder)
    return run_of(folder, 1)


def prepare_run_with_workers(folder: Path) -> Command:
    landscape.write(folder)
    return run_of(folder, 2)


def prepare_train(folder: Path) -> Command:
    landscape.write(folder)
    config = write_config(folder, ("train.epochs", 150))

    def fresh() -> None:
        removed(folder / "run")
        assert spatioformer("run", config, "--until", "chips", "--quiet").code == 0

    return Command(["train", str(config), "--quiet"], folder / "run", fresh)


def prepare_years(folder: Path) -> Command:
    model = small().save(folder / "model")
    words = [
        f"{year}={noise(folder / f'{year}.tif', (250, 250))}" for year in (2001, 2002, 2003, 2004)
    ]
    out = folder / "years"
    arguments = ["years", str(model), *words, "-o", str(out), "-q", "--samples", "4"]
    return Command(arguments, out, lambda: removed(out))


def prepare_zonal(folder: Path) -> Command:
    values = np.random.default_rng(0).uniform(5, 60, (600, 600)).astype(np.float32)
    scene = landscape.write_raster(folder / "map.tif", values)
    west, south = np.meshgrid(140 + np.arange(40) * 1.4, -78 + np.arange(40) * 1.4)
    shapes = [box(x, y, x + 1.3, y + 1.3) for x, y in zip(west.ravel(), south.ravel(), strict=True)]
    zones = folder / "zones.gpkg"
    gpd.GeoDataFrame(geometry=shapes, crs="EPSG:4326").to_file(zones)
    out = folder / "out.gpkg"
    arguments = ["zonal", str(scene), str(zones), "-o", str(out), "--no-interval", "-q"]
    return Command(arguments, out, lambda: removed(out))


def prepare_text(folder: Path) -> Command:
    corpus = folder / "corpus.txt"
    corpus.write_text(CORPUS, encoding="utf-8")
    sizes = {"vocabulary": 300, "context": 16, "width": 16, "heads": 2, "layers": 1}
    options = [f"--{k}={v}" for k, v in (sizes | {"steps": 600, "batch": 8}).items()]
    out = folder / "text"
    arguments = ["text", "train", str(corpus), "-o", str(out), "--quiet", *options]
    return Command(arguments, out, lambda: removed(out))


def prepare_vision(folder: Path) -> Command:
    rng = np.random.default_rng(0)
    for kind in ("ant", "bee"):
        (folder / "insects" / kind).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "insects" / kind / f"{i}.png")
    options = "--patch 4 --width 8 --heads 2 --layers 1 --epochs 80 --patience 80 --batch 8"
    out = folder / "vision"
    source = str(folder / "insects")
    arguments = ["vision", "train", source, "-o", str(out), "-q", *options.split()]
    return Command(arguments, out, lambda: removed(out))


COMMANDS = {
    "run": prepare_run,
    "run with two workers": prepare_run_with_workers,
    "train": prepare_train,
    "years": prepare_years,
    "zonal": prepare_zonal,
    "text train": prepare_text,
    "vision train": prepare_vision,
}


def removed(path: Path) -> None:
    """Remove what a command wrote, and what it keeps beside it to continue."""
    import shutil

    for beside in path.parent.glob(f"{path.name}*"):
        if beside.is_dir():
            shutil.rmtree(beside)
        else:
            beside.unlink()


def started(command: Command) -> subprocess.Popen:
    """The command as a process with a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "spatioformer", *command.arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(command: Command) -> None:
    """Run the command to its end."""
    process = started(command)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def content(out: Path) -> dict[str, bytes]:
    """Bytes of all results by name."""
    if out.is_file():
        return {out.name: out.read_bytes()}
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not set(path.relative_to(out).parts) & set(CHANGING)
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_continuing_gives_the_same_bytes(tmp_path, name):
    command = COMMANDS[name](tmp_path)
    command.fresh()
    begin = time.monotonic()
    ended(command)
    seconds = time.monotonic() - begin
    expected = content(command.out)
    assert expected
    command.fresh()
    killed = 0
    moments = np.random.default_rng(len(name)).uniform(0.2, 0.95, TRIES) * seconds
    for number, moment in enumerate(moments):
        process = started(command)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            if number % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()
            killed += process.returncode == -signal.SIGKILL
        else:  # the kill came too late
            assert process.returncode == 0
            assert content(command.out) == expected
            command.fresh()
        finally:
            with_workers = number % 2 == 0
            if with_workers:
                gone(process.pid)
    assert killed >= TRIES / 2
    ended(command)
    assert {k for k, v in content(command.out).items() if expected.get(k) != v} == set()
    assert content(command.out).keys() == expected.keys()
    assert not half_written(tmp_path)


def gone(group: int) -> None:
    """Wait until the workers of a killed process have noticed; at most 20 s."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("workers outlive their process by 20 s")
