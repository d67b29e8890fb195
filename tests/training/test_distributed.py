"""Training shared by processes: torchrun and gloo give the curve of one process."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import spatioformer
from spatioformer.run.runner import Run
from spatioformer.training import richness
from tests.helpers import landscape, tiny_run
from tests.helpers.tiny_run import Ended, half_written, write_config

pytestmark = pytest.mark.integration

STILL = (  # what is drawn anew in each process would differ
    ("model.dropout", 0.0),
    ("model.location_dropout", 0.0),
    ("model.location_jitter", 0.0),
    ("train.epochs", 2),
    ("train.batch", 50),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


COMMAND = """
import sys
from spatioformer import cli
from spatioformer.training import richness
richness.PIECE = {piece}
sys.argv = ["spatioformer", "train", {config!r}, "--quiet"]
cli.main()
"""


def train(folder, processes: int, piece: int) -> np.ndarray:
    """Training and validation RMSE by epoch of `spatioformer train` in so many processes.

    Args:
        piece: pixels of chips that go through the network at once.
    """
    landscape.write(folder)
    config = write_config(folder, *STILL)
    if processes == 1:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(richness, "PIECE", piece)
            assert tiny_run.spatioformer("train", config, "--quiet") == Ended(0, "", "")
    else:
        _train_together(config, processes, piece)
    table = np.genfromtxt(folder / "run" / "training.csv", delimiter=",", names=True)
    return np.stack([table["train_rmse"], table["validation_rmse"]])


def _train_together(config, processes: int, piece: int) -> None:
    """The same command in several processes, as torchrun starts them."""
    port = free_port()
    running = []
    for rank in range(processes):
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank)}
        where |= {"WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", COMMAND.format(piece=piece, config=str(config))],
                env=os.environ | where,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * processes, said


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    # Batches of 50 chips of 3 x 3: whole in one process, in pieces of 10 chips in each of two.
    return folders, [train(folders[0], 1, piece=10_000), train(folders[1], 2, piece=90)]


def test_two_processes_give_the_loss_curve_of_one(curves):
    _, (one, two) = curves
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert one[0, 1] < one[0, 0], "nothing was learned, so nothing was compared"


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_process_speaks(tmp_path, monkeypatch, rank):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    assert Run(write_config(tmp_path)).console.quiet == (rank > 0)


def test_only_the_first_process_writes(curves):
    folders, _ = curves
    names = [
        sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        for folder in folders
    ]
    assert names[0] == names[1]
    assert not half_written(folders[1])
    models = [spatioformer.load(folder / "run" / "model") for folder in folders]
    chips = np.random.default_rng(0).normal(120, 50, (4, 3, 3, 3)).astype(np.float32)
    lon, lat = np.full((4, 3, 3), 143.0), np.full((4, 3, 3), -23.0)
    first, second = (model.predict(chips, lon, lat) for model in models)
    np.testing.assert_allclose(first, second, rtol=1e-4)
