"""The tutorials: their programs and commands are run in order, as a reader would.

A block ```yaml is saved under the name that the text before it states, in the form `NAME.yaml`, if
it holds a whole file.
"""

import re
import shlex
from pathlib import Path

import pytest

from spatioformer.cli import main

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")
QUICK = {
    "evaluate.models": "[location-knn]",
    "map.model": "location-knn",
    "evaluate.curve_sizes": "[]",
    "evaluate.workers": "1",
}
"""Settings laid over those of every run: the quickest model, which goes the same way as others."""


def steps(page: str) -> list[tuple[str, str, str]]:
    """(kind, text, words before it) of each block."""
    found, end = [], 0
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S):
        found.append((block[1], block[2], page[end : block.start()]))
        end = block.end()
    return found


def run_commands(text: str) -> None:
    for line in text.splitlines():
        assert line.startswith("$ spatioformer "), line
        command, _, remark = line.removeprefix("$ spatioformer ").partition("    # exit code ")
        arguments = shlex.split(command)
        if arguments[0] == "run":
            arguments += [
                part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")
            ]
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        assert ending.value.code == int(remark or 0), line


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page, tmp_path, monkeypatch, capsys, blank_pictures):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, text, before in steps(page.read_text(encoding="utf-8")):
        if kind == "console":
            run_commands(text)
        elif kind == "python":
            exec(compile(text, page.name, "exec"), names)
        else:
            files = re.findall(r"`(\w+\.yaml)`", before)
            if kind == "yaml" and "## With a public archive" not in before:
                (tmp_path / files[-1]).write_text(text, encoding="utf-8")


def test_every_tutorial_is_listed():
    listed = re.findall(r"^(\w+)$", (FOLDER / "index.md").read_text(encoding="utf-8"), re.M)
    assert set(listed) == {page.stem for page in PAGES}
