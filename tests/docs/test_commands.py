"""Every command that a page shows exists, with its options, targets, modules and files.

tests/docs/test_pages.py and test_tutorials.py also run those in blocks.
"""

import re

import pytest

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

from tests.helpers.command_names import mistake
from tests.helpers.docs import extension
from tests.helpers.pages import PAGES, TUTORIALS, blocks

INLINE = re.compile(
    r"`((?:SPATIOFORMER_DATA=\S+ )?(?:spatioformer [a-z]|make [a-z]|python -m |pip install )[^`]+)`"
)


def shown(page: str) -> list[str]:
    """The command lines of a page, in blocks and in its text."""
    lines = [line for block in blocks(page) for line in block.commands]
    return lines + [re.sub(r"\s+", " ", line) for line in INLINE.findall(page)]


@pytest.mark.parametrize("page", [*PAGES, *TUTORIALS], ids=lambda page: page.name)
def test_what_commands_name_exists(page):
    for line in shown(page.read_text(encoding="utf-8")):
        assert mistake(line) is None, line


def test_what_examples_of_the_help_name_exists():
    """The generated reference shows them."""
    lines = shown(extension("commands").page())
    assert len(lines) > 30
    for line in lines:
        assert mistake(line) is None, line


@pytest.mark.parametrize("page", [*PAGES, *TUTORIALS], ids=lambda page: page.name)
def test_every_block_has_a_language_and_no_command_hides(page):
    """A command line in a block of text would be run by no test."""
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language, f"line {block.line}: state a language, such as bash or text"
        if block.language == "text":
            assert not re.search(r"^\s*(\$ )?(spatioformer|make|pip|python) ", block.text, re.M)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("spatioformer mapp model", "mapp"),
        ("spatioformer imagery build a.yaml --model", "--model"),
        ("spatioformer map model a.tif --nothing=1   # a remark", "--nothing"),
        ("make tests", "tests"),
        ("make run CONFIGURATION=a.yaml", "CONFIGURATION=a.yaml"),
        ("python -m benchmarks.digit", "benchmarks.digit"),
        ("SPATIOFORMER_DATA=... python -m benchmarks.digits --seed 0", "--seed"),
        ("python -m benchmarks.mapping sped", "sped"),
        (".venv/bin/python -m pytest tests/nn tests/absent", "tests/absent"),
        ("pip install 'spatioformer[stack]'", "spatioformer[stack]"),
        ("pip install -c constraint.txt .", "constraint.txt"),
        ("docker run --rm spatioformer runs my_run.yaml", "runs"),
        ("conda env create -f env.yml", "env.yml"),
        ("dask schedule", "schedule"),
        ("spatioformr run", "spatioformr"),
    ],
)
def test_a_mistake_is_found(line, word):
    assert mistake(line) == word


@pytest.mark.parametrize(
    "line",
    [
        "spatioformer map model a.tif -o b.tif",
        "make run CONFIG=a.yaml",
        "python -m benchmarks.mapping speed 3072",
        "py -3.12 -m venv .venv",
    ],
)
def test_what_exists_is_no_mistake(line):
    assert mistake(line) is None
