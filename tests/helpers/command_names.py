"""What a command line of a page names: commands, options, targets, modules, files, packages.

`mistake` finds the first name that does not exist, without running anything.
"""

import ast
import itertools
import re
import tomllib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from tests.helpers.docs import extension
from tests.helpers.pages import ROOT, words_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(name for names in EXTRAS.values() for name in names),
    *(ROOT / "requirements-data.txt").read_text(encoding="utf-8").splitlines(),
]
PACKAGES = {re.split(r"[<>=\[]", name)[0] for name in REQUIREMENTS}
OTHERS = {".", "...", "spatioformer", "pre-commit"}
"""Words after `pip install` that are no packages this project depends on."""


def mistake(line: str) -> str | None:
    """The first word of a command line that names nothing; None if all names exist."""
    program, *words = words_of(line.split(" | ")[0].split(" && ")[0])
    program = program.removeprefix(".venv/bin/")
    words = [word for word in words if not re.fullmatch(r"-3\.\d+", word)]  # of the launcher `py`
    if program in ("python", "python3", "py"):
        return of_python(words)
    checks = {
        "spatioformer": of_spatioformer,
        "make": of_make,
        "pip": of_pip,
        "conda": lambda words: missing_file(words, "-f"),
        "docker": of_docker,
        "dask": of_dask,
        ".": lambda words: None if words == [".venv/bin/activate"] else words[0],
        r"..venvScriptsActivate.ps1": lambda words: None,  # as a POSIX shell reads it
    }
    return checks[program](words) if program in checks else program


@cache
def of_the_command_line() -> dict[str, Any]:
    """Full name and command of each command of `spatioformer`."""
    return dict(extension("commands").commands())


def of_spatioformer(words: list[str]) -> str | None:
    known = of_the_command_line()
    count = max(
        (n for n in (1, 2, 3) if " ".join(["spatioformer", *words[:n]]) in known), default=0
    )
    if not count:
        return None if words in (["--version"], ["--help"]) else words[0]
    command, words = known[" ".join(["spatioformer", *words[:count]])], words[count:]
    options = {"--help"}.union(*({*p.opts, *p.secondary_opts} for p in command.params))
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return next((option for option in given if option not in options), None)


def of_make(words: list[str]) -> str | None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        kind = rf"\$\({word.split('=')[0]}\)" if "=" in word else rf"^{re.escape(word)}:"
        if not re.search(kind, text, re.MULTILINE):
            return word
    return None


def of_python(words: list[str]) -> str | None:
    module, rest = words[1], words[2:]
    if words[0] != "-m":
        return words[0]
    if module.startswith("benchmarks."):
        return of_benchmark(module, rest)
    if module == "pip":
        return of_pip(rest)
    if module == "pytest":
        return next((w for w in rest if "/" in w and not (ROOT / w).exists()), None)
    return None if module == "venv" else module


def of_benchmark(module: str, words: list[str]) -> str | None:
    """The module, its options and choices, read from its source: an import would take seconds."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    if not path.is_file():
        return module
    options, choices = {"--help"}, set()
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = getattr(call.func, "attr", "") if isinstance(call, ast.Call) else ""
        if name in ("add_argument", "add_parser"):
            names = [a.value for a in call.args if isinstance(a, ast.Constant)]
            options.update(names)
            listed = [key.value for key in call.keywords if key.arg == "choices"]
            if name == "add_parser":
                choices.update(names)
            elif not names[0].startswith("-") and listed:
                choices.update(part.value for part in getattr(listed[0], "elts", ()))
    wrong = [word for word in words if word.startswith("-") and word not in options]
    if choices and words and words[0] not in choices | options:
        wrong.append(words[0])
    return wrong[0] if wrong else None


def of_pip(words: list[str]) -> str | None:
    packages = [w for w in words[1:] if not w.startswith(("-", "http")) and "/" not in w]
    for word in packages:
        name, _, extras = word.removesuffix("]").partition("[")
        if not {*filter(None, extras.split(","))} <= {*EXTRAS}:
            return word
        if name not in OTHERS | PACKAGES and not (ROOT / name).is_file():
            return word
    return missing_file(words, "-c", "-r")


def of_docker(words: list[str]) -> str | None:
    if words[0] == "build":
        return None if (ROOT / "Dockerfile").is_file() else words[0]
    return of_spatioformer(words[words.index("spatioformer") + 1 :])


def of_dask(words: list[str]) -> str | None:
    known = {entry.name for entry in entry_points(group="dask_cli")}
    return None if words[0] in known else words[0]


def missing_file(words: list[str], *options: str) -> str | None:
    """The value of one of the options, if there is no such file in the project."""
    pairs = itertools.pairwise(words)
    return next((v for o, v in pairs if o in options and not (ROOT / v).is_file()), None)
