"""The loop that all trainings share, on a task small enough to compute by hand."""

import math
from dataclasses import dataclass, field

import pytest
import torch

from spatioformer.common.errors import ModelError
from spatioformer.common.progress import Console
from spatioformer.training.loop import Task, choose_device, curve_csv, train


class Counting(Task):
    """A weight that grows by one a round; its losses are given."""

    figure, seed, device = "loss", 5, torch.device("cpu")
    data, remedy = "numbers", "give others"

    def __init__(self, losses, unit="epoch", size=1, patience=None):
        self.losses, self.unit, self.size, self.patience = losses, unit, size, patience
        self.length = len(losses) * size
        self.network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.network.weight)
        self.modules = self.best = {"network": self.network}
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=1.0)
        self.draws = []

    def identity(self):
        return f"{self.losses}"

    def round(self, rows, advance):
        self.network.train()
        with torch.no_grad():
            self.network.weight += 1
        self.draws.append(float(torch.rand(())))
        for _ in range(self.size):
            advance(1, "note")
        done = (len(rows) + 1) * self.size
        return {self.unit: done, "loss": self.losses[len(rows)]}


@dataclass
class Listening(Console):
    """Counts the steps of the progress bar."""

    quiet: bool = True
    total: int = 0
    done: int = 0
    lines: list[str] = field(default_factory=list)

    def say(self, message):
        self.lines.append(message)

    def task(self, label, total):
        self.total = total
        return self

    def __enter__(self):
        return self.advance

    def __exit__(self, *_):
        return False

    def advance(self, steps, note=""):
        self.done += steps


def test_the_best_weights_stay_and_the_first_of_equal_rounds_is_the_best():
    task = Counting([3.0, 1.0, 2.0, 1.0])
    history = train(task)
    assert (history.best_epoch, history.best["loss"]) == (2, 1.0)
    assert task.network.weight.item() == 2
    assert not task.network.training


@pytest.mark.parametrize(("patience", "rounds"), [(None, 6), (1, 3), (2, 6), (3, 6)])
def test_training_stops_when_patience_ends(patience, rounds):
    task, console = Counting([3.0, 2.0, 2.5, 1.0, 1.5, 1.2], patience=patience), Listening()
    assert len(train(task, console=console).rows) == rounds
    assert console.done == console.total == 6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("unit", "when"), [("epoch", "in epoch 2"), ("step", "by step 6")])
def test_divergence_is_one_sentence(bad, unit, when):
    task = Counting([1.0, bad], unit, size=1 if unit == "epoch" else 3)
    with pytest.raises(ModelError) as caught:
        train(task)
    assert str(caught.value) == (
        f"training diverged {when}: the loss is no longer finite; give others"
    )


def interrupted(task: Task, checkpoint, after: int) -> None:
    def interrupt(done):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, checkpoint=checkpoint, on_round=interrupt)


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_a_resumed_training_repeats_no_round_and_draws_the_same(tmp_path, unit):
    losses = [3.0, 1.0, 2.0, 4.0]
    whole, resumed, console = Counting(losses, unit, 3), Counting(losses, unit, 3), Listening()
    rows = train(whole).rows
    interrupted(Counting(losses, unit, 3), tmp_path / "c", after=6)
    torch.manual_seed(99)
    assert train(resumed, checkpoint=tmp_path / "c", console=console).rows == rows
    assert resumed.draws == whole.draws[2:]
    assert resumed.network.weight.item() == whole.network.weight.item() == 2
    assert console.lines == [f"  continuing after {unit} 6 of 12"]
    assert console.done == console.total == 12


def test_another_trainings_checkpoint_is_refused_unless_resume_is_off(tmp_path):
    interrupted(Counting([3.0, 1.0, 2.0]), tmp_path / "c", after=2)
    other = Counting([5.0, 6.0, 7.0])
    with pytest.raises(ModelError) as caught:
        train(other, checkpoint=tmp_path / "c")
    assert str(caught.value) == (
        f"checkpoint {tmp_path / 'c'} belongs to another training or is damaged (its numbers or "
        "settings differ); delete it, or train with --no-resume"
    )
    assert len(train(other, checkpoint=tmp_path / "c", resume=False).rows) == 3


def test_the_callers_random_state_stays():
    task, before = Counting([1.0]), torch.get_rng_state()
    train(task)
    assert task.draws != []
    assert torch.equal(torch.get_rng_state(), before)


def test_the_curve_as_text():
    assert curve_csv([{"epoch": 1, "loss": 0.5}]) == "epoch,loss\n1,0.5\n"


def test_absent_cuda_is_one_sentence():
    if torch.cuda.is_available():
        assert choose_device("auto").type == "cuda"
    else:
        assert choose_device("auto").type == "cpu"
        with pytest.raises(ModelError, match=r"set `train.device: cpu`"):
            choose_device("cuda")
