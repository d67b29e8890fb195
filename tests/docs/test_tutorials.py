"""The tutorials: their programs and commands are run in order, as a reader would.

A block ```yaml is saved under the name that the text before it states, in the form `NAME.yaml`, if
it holds a whole file.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.pages import TUTORIALS, Block, blocks, run_command, run_python

SOAKED = ("reading_the_report", "where_to_sample")
"""Tutorials that only `make soak` follows. survey.md and first_map.md have the same commands, and
`make test` runs these pages."""

SMALLER = {"RandomKFold(5)": "RandomKFold(2)", "SpatialBlockKFold(5)": "SpatialBlockKFold(2)"}
"""Text of the program of from_python -> text that fits fewer models."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.soak] * (page.stem in SOAKED), id=page.stem)
        for page in TUTORIALS
    ],
)
def test_a_tutorial_can_be_followed(page, tmp_path, monkeypatch, capsys, blank_pictures):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page.read_text(encoding="utf-8")):
        for line in block.commands:
            run_command(line)
        if block.language == "python":
            run_python(smaller(block), names, page.name)
        if block.language == "yaml" and "## With a public archive" not in block.before:
            name = re.findall(r"`(\w+\.yaml)`", block.before)[-1]
            Path(name).write_text(block.text, encoding="utf-8")


def smaller(block: Block) -> Block:
    text = block.text
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    return replace(block, text=text)


def test_what_is_made_smaller_is_there():
    (page,) = (page for page in TUTORIALS if page.stem == "from_python")
    assert all(long in page.read_text(encoding="utf-8") for long in SMALLER)


def test_every_tutorial_is_listed():
    index = TUTORIALS[0].with_name("index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(\w+)$", index, re.M)
    assert set(listed) == {page.stem for page in TUTORIALS}
