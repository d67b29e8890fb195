"""docs/vision.md: its commands and its example run, its pictures exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spatioformer.cli.vision import app

PAGE = Path(__file__).parents[2] / "docs" / "vision.md"
SMALLER = "--epochs 1 --width 8 --heads 2 --layers 1 --patch 4".split()  # noqa: SIM905


@pytest.mark.slow
def test_commands_and_example_run(tmp_path, monkeypatch):
    """One after the other, in one folder, the training on a tiny network."""
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"^spatioformer vision (\w+ digits .*)$", text, flags=re.MULTILINE)
    assert [line.split()[0] for line in commands] == ["train", "attend", "trace"]
    for line in commands:
        more = SMALLER if line.startswith("train") else []
        result = CliRunner().invoke(app, [*shlex.split(line), *more])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "attention.png").exists()
    assert (tmp_path / "positions.png").exists()
    assert (tmp_path / "trace.png").exists()
    session: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), session)
    assert session["probabilities"].shape == (1797, 10)
    assert session["shares"].shape == (3, 2, 2)


def test_pictures_exist_and_are_small():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 2
    for picture in pictures:
        assert 5_000 < (PAGE.parent / picture).stat().st_size < 200_000
