"""Pages of the documentation: their blocks of code, and how a test runs them as a reader would."""

import itertools
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from markdown_it import MarkdownIt

from spatioformer.cli import main

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted(p for p in (ROOT / "docs/tutorials").glob("*.md") if p.stem != "index")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SHELL = ("bash", "console", "powershell")
QUICK = {
    "run": "--set evaluate.models=[location-knn] --set map.model=location-knn "
    "--set evaluate.curve_sizes=[] --set evaluate.workers=1",
    "text train": "--steps 4 --context 128 --width 16 --heads 2 --layers 2",
    "vision train": "--epochs 1 --width 8 --heads 2 --layers 1 --patch 4",
}
"""Options added to commands that would compute for long: the quickest model, a tiny network."""

WRITTEN = ("-o", "--out", "-p", "--picture", "--positions", "--export", "--slides", "--notebooks")
"""Options whose value is what the command writes."""


@dataclass(frozen=True)
class Block:
    """A block of code of a page: its language, text, first line, and the text before it."""

    language: str
    text: str
    line: int
    before: str

    @property
    def commands(self) -> list[str]:
        """The command lines of a block of the shell, each on one line, without prompts."""
        if self.language not in SHELL:
            return []
        lines = (line.strip() for line in self.text.replace("\\\n", " ").splitlines())
        return [line.removeprefix("$ ") for line in lines if line and not line.startswith("#")]


def blocks(page: str) -> list[Block]:
    """All blocks of a page, fenced or indented; an indented one has no language."""
    lines, end, found = page.splitlines(), 0, []
    for token in MarkdownIt("commonmark").parse(page):
        if token.type in ("fence", "code_block"):
            first, last = token.map
            before = "\n".join(lines[end:first])
            found.append(Block(token.info.strip(), token.content, first + 1, before))
            end = last
    return found


def words_of(line: str) -> list[str]:
    """The words of a command line without its remark and without variables set before it."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words


def run_command(line: str) -> None:
    """Call `spatioformer ...` in this process; it writes what it names.

    A remark `# exit code 2` says that the page shows a refusal.
    """
    program, *arguments = words_of(line)
    assert program in ("spatioformer", ".venv/bin/spatioformer"), line
    for name, more in QUICK.items():
        if arguments[: len(name.split())] == name.split():
            arguments = [*arguments, *more.split()]
    remark = re.search(r"# exit code (\d)", line)
    with mock.patch.dict(os.environ, {"COLUMNS": "100"}), pytest.raises(SystemExit) as ending:
        main(arguments)
    assert (ending.value.code or 0) == int(remark[1] if remark else 0), line
    if not remark:
        for option, value in itertools.pairwise(arguments):
            part = Path(f"{value}.tiles") if "--shards" in arguments else Path(value)
            assert option not in WRITTEN or part.exists(), f"{line}: no {value}"


def run_python(block: Block, names: dict[str, Any], page: str) -> None:
    """Run a block of Python with the names of those before it; errors show the page's line."""
    exec(compile("\n" * block.line + block.text, page, "exec"), names)
