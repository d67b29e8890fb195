"""docs/text.md: its Python runs, and its commands exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("tokenizers")

from spatioformer.cli.text import app

PAGE = Path(__file__).parents[2] / "docs" / "text.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "least"), [(100, 80), pytest.param(250, 97, marks=pytest.mark.soak)]
)
def test_the_encoder_decoder_spells_numbers_it_never_saw(capsys, steps, least):
    """The page's program after some of its steps; `make soak` trains all 250."""
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (code,) = (block for block in blocks if "Seq2Seq" in block)
    assert code.count("range(250)") == 1
    exec(compile(code.replace("range(250)", f"range({steps})"), str(PAGE), "exec"), {})
    share = re.fullmatch(r"(\d+)% of 300 unseen numbers .*\n", capsys.readouterr().out)
    assert int(share[1]) >= least


def test_every_command_and_option_of_the_page_exists():
    commands = re.findall(r"^spatioformer text (.+)$", TEXT, re.MULTILINE)
    assert {line.split()[0] for line in commands} == {
        *("train", "next", "generate", "attend", "trace", "neighbours", "analogy", "senses")
    }
    for line in commands:
        name = line.split()[0]
        said = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", line):
            assert option in said, line


def test_pictures_of_the_page_exist():
    pictures = re.findall(r"\]\((images/[^)]+)\)", TEXT)
    assert pictures
    assert all((PAGE.parent / picture).is_file() for picture in pictures)
