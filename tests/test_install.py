"""The routes of docs/install.md: files, extras and Pythons that they name exist, and agree.

`.ci/routes.py` runs them.
"""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.helpers.pages import blocks

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = ("README.md", "docs/install.md", "Dockerfile")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
RUNNABLE = {"text", "fast", "dask", "boost", "zarr", "stac", "view"}
"""The extras of `make install`."""


def pip_lines() -> list[tuple[str, str]]:
    """File and arguments of each `pip install` of this repository in a block or a step."""
    lines = []
    for name in ("README.md", "docs/install.md"):
        for block in blocks(TEXTS[name]):
            lines += [(name, line) for line in block.commands if "pip install" in line]
    steps = [line for line in TEXTS["Dockerfile"].splitlines() if line.startswith("RUN")]
    lines += [("Dockerfile", line) for line in steps if "pip install" in line]
    (conda,) = (part["pip"] for part in CONDA["dependencies"] if isinstance(part, dict))
    lines.append(("environment.yml", f"pip install {' '.join(conda)}"))
    return [(name, line.split("pip install ")[1]) for name, line in lines]


@pytest.mark.parametrize(("name", "line"), pip_lines())
def test_pip_installs_the_tested_versions(name, line):
    """Each line has the constraints, or the exact versions of the rasters."""
    words = shlex.split(line, comments=True)
    files = {words[n + 1] for n, word in enumerate(words) if word in ("-c", "-r")}
    assert files in ({"constraints.txt"}, {"requirements-data.txt"})
    assert all((ROOT / file).is_file() for file in files)
    if "requirements-data.txt" in files:
        assert "--no-deps" in words
    extras = [re.fullmatch(r"\.\[(.*)\]", word) for word in words]
    for match in filter(None, extras):
        assert set(match[1].split(",")) == RUNNABLE


def test_every_route_is_found():
    names = [name for name, _ in pip_lines()]
    assert {name: names.count(name) for name in dict.fromkeys(names)} == {
        "README.md": 1, "docs/install.md": 5, "Dockerfile": 2, "environment.yml": 1
    }  # fmt: skip
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f".[{','.join(['text', 'fast', 'dask', 'boost', 'zarr', 'stac', 'view'])}]" in makefile
    assert set(PROJECT["optional-dependencies"]) == RUNNABLE | {"onnx", "docs", "dev"}


def test_every_python_that_is_named_is_supported():
    supported = SpecifierSet(PROJECT["requires-python"])
    prefix = "Programming Language :: Python :: 3."
    minors = [int(c.removeprefix(prefix)) for c in PROJECT["classifiers"] if prefix in c]
    assert minors == [11, 12, 13, 14]
    assert [minor for minor in range(30) if f"3.{minor}.1" in supported] == minors
    (conda,) = (str(part) for part in CONDA["dependencies"] if str(part).startswith("python="))
    named = re.findall(r"^FROM python:3\.(\d+)-slim", TEXTS["Dockerfile"], flags=re.M)
    named += re.findall(r"py -3\.(\d+)", TEXTS["docs/install.md"]) + [
        conda.removeprefix("python=3.")
    ]
    assert {int(minor) for minor in named} == {12}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.search(r"python: \[(.*)\]", workflow)[1] == ", ".join(f'"3.{m}"' for m in minors)


def test_the_image_gets_what_it_copies_and_is_not_root():
    lines = TEXTS["Dockerfile"].splitlines()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [w for line in lines if line.startswith("COPY ") for w in line.split()[1:-1]]
    sources = [word for word in copied if not word.startswith(("/", "--"))]
    assert [f"!{source}" for source in sources] == [line for line in ignored if line[0] == "!"]
    assert all((ROOT / source).exists() for source in sources)
    last = TEXTS["Dockerfile"].split("\nFROM ")[-1]
    assert re.search(r"^USER (\w+)$", last, flags=re.M)[1] in re.search(r"useradd .*", last)[0]
    assert 'ENTRYPOINT ["spatioformer"]' in last


def make(*arguments: str) -> subprocess.CompletedProcess:
    # Called by a make of its own, it would name the folders that it enters and leaves.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_run_needs_a_configuration_and_takes_any_path():
    ended = make("run")
    assert ended.returncode == 2
    assert ended.stderr.startswith("name the configuration: make run CONFIG=my_run.yaml\n")
    assert ended.stdout == "", "nothing is installed first"
    steps = make("-n", "run", "CONFIG=my run.yaml").stdout.splitlines()
    assert steps[-1] == '.venv/bin/spatioformer run "my run.yaml"'


@pytest.mark.parametrize("name", ["README.md", "docs/start.md"])
def test_the_environment_is_activated_before_the_command_is_called(name):
    """The first call of the installed command on the page comes after the activation."""
    text = (ROOT / name).read_text(encoding="utf-8")
    block = next(
        block.text
        for block in blocks(text)
        if any(line.startswith("spatioformer ") for line in block.commands)
    )
    assert block.index(". .venv/bin/activate") < re.search("^spatioformer ", block, re.M).start()
