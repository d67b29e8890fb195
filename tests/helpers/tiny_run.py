"""Runs of the tiny landscape, and the command line called as a user calls it."""

import contextlib
import io
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from spatioformer.cli import main
from tests.helpers import landscape
from tests.helpers.pictures import drawn
from tests.helpers.shared import made_once

COLOURS = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
"""Variables by which a workplace asks for escape codes."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def spatioformer(*arguments: Any) -> Ended:
    """Call the command line in this process; a defect comes through as its exception."""
    out, err = io.StringIO(), io.StringIO()
    plain = {name: value for name, value in os.environ.items() if name not in COLOURS}
    with (
        mock.patch.dict(os.environ, plain | {"COLUMNS": "100"}, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
    return Ended(left.value.code or 0, out.getvalue(), err.getvalue())


def assert_refused(ended: Ended, sentence: str) -> None:
    """The user's mistake: exit code 2, nothing but the one sentence, and no traceback."""
    assert ended.err == f"spatioformer: {sentence}\n"
    assert ended.code == 2
    assert ended.out == ""


def half_written(folder: Path) -> list[str]:
    """Names of files and folders that only a run in progress may hold."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.part*"))


def refuses(folder: Path, stage: str, sentence: str, *changes: tuple[str, Any]) -> None:
    """The command `stage` refuses: `sentence` in full, `...` in it for a library's own words."""
    ended = spatioformer(stage, write_config(folder, *changes), "--quiet")
    expected = re.escape(f"spatioformer: {sentence}").replace(re.escape("..."), ".*")
    assert re.fullmatch(f"{expected}\n", ended.err), ended.err
    assert ended.code == 2
    assert ended.out == ""
    assert not half_written(folder)
    assert not (folder / "run" / ".stages" / f"{stage}.json").exists()


def write_config(folder: Path, *changes: tuple[str, Any]) -> Path:
    """tiny.yaml of the landscape, each (dotted key, value) laid over it."""
    settings = landscape.settings(folder)
    for dotted, value in changes:
        *parents, last = (int(k) if k.isdigit() else k for k in dotted.split("."))
        node: Any = settings
        for key in parents:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        node[last] = value
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _run(folder: Path) -> None:
    config = landscape.write(folder)
    with drawn():
        ended = spatioformer("run", config, "--quiet")
    assert ended == Ended(0, "", ""), ended.err


def finished(folder: Path) -> Path:
    """A finished run of the landscape in `folder`: its configuration. Made once, then copied."""
    shutil.copytree(made_once("tiny-run", _run), folder, dirs_exist_ok=True)
    return write_config(folder)
