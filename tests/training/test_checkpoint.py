"""Checkpoints: what belongs to one training, and what to do about another's."""

import pytest
import torch
import typer.main

from spatioformer.cli import app
from spatioformer.common.errors import ModelError
from spatioformer.training.checkpoint import identity, restoring

A, B = torch.arange(6.0).view(2, 3), torch.zeros(2)


@pytest.mark.parametrize(
    "other",
    [
        identity([{"width": 9}], [A, B]),
        identity([{"width": 8}], [A + 1e-6, B]),
        identity([{"width": 8}], [A.double(), B]),
        identity([{"width": 8}], [A.view(3, 2), B]),
        identity([{"width": 8}], [B, A]),
        identity([{"width": 8}], [A, B, None]),
        identity([{"width": 8}], [A, None]),
        identity([{"width": 8}], [A]),
    ],
)
def test_other_settings_or_data_have_another_identity(other):
    assert other != identity([{"width": 8}], [A, B])


def test_equal_data_have_one_identity_wherever_they_lie():
    transposed = A.T.contiguous().T
    assert not transposed.is_contiguous()
    for same in (
        [A.clone(), B],
        [A.numpy(), B.numpy()],
        [transposed, B],
        [A.numpy().T.copy().T, B],
    ):
        assert identity([{"width": 8}], same) == identity([{"width": 8}], [A, B])


@pytest.mark.parametrize("command", [["run"], ["train"], ["text", "train"], ["vision", "train"]])
def test_the_remedy_is_an_option_of_the_command(tmp_path, command):
    (tmp_path / "checkpoint").write_bytes(b"no checkpoint")
    with pytest.raises(ModelError) as caught, restoring(tmp_path / "checkpoint"):
        raise AssertionError("nothing to restore")
    remedy = str(caught.value).split()[-1]
    node = typer.main.get_command(app)
    for name in command:
        node = node.commands[name]
    options = [name for option in node.params for name in option.opts + option.secondary_opts]
    assert remedy in options
