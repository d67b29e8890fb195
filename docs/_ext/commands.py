"""Write the page of all commands and their options, from the command line itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generated
from sphinx.application import Sphinx
from typer.main import get_command

from spatioformer.cli import app

INTRODUCTION = """\
# Commands: every option

`spatioformer COMMAND --help` prints the same in the terminal. [Commands](../../cli.md) explains
what RUN means, and how `-o` and `--force` work. All commands end with exit code 0 if they succeed,
2 after an error that you can correct, 1 after a defect, and 130 if they are interrupted.
"""

KINDS = {Path: "PATH", int: "N", float: "NUMBER", str: "TEXT"}


def commands() -> Iterator[tuple[str, Any]]:
    """Full name and command, in the order of `--help`; a group comes before what is in it."""
    yield from _inside("spatioformer", get_command(app))


def _inside(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if name != "spatioformer":
        yield name, command
    inside = getattr(command, "commands", None) or getattr(command, "subcommands", {})
    for part, inner in inside.items():
        if not inner.hidden:
            yield from _inside(f"{name} {part}", inner)


def options(command: Any) -> list[Any]:
    """Arguments and options of a command that its help shows."""
    return [
        part
        for part in command.params
        if not getattr(part, "hidden", False) and part.name not in ("help", "version")
    ]


def table(command: Any) -> list[str]:
    """A row for each argument and option."""
    rows = ["| argument or option | meaning | default |", "|---|---|---|"]
    for part in options(command):
        cells = [_names(part), _markdown(part.help or ""), _default(part)]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return rows if len(rows) > 2 else []


def _names(part: Any) -> str:
    word = part.metavar or KINDS.get(part.type_descriptor.annotation, "TEXT")
    if not part.opts[0].startswith("-"):
        return f"`{part.metavar or part.name.upper()}`{' ...' if part.nargs == -1 else ''}"
    names = ", ".join(f"`{name}`" for name in (*part.opts, *part.secondary_opts))
    return names if part.is_flag else f"{names} `{word}`"


def _default(part: Any) -> str:
    if part.required:
        return "*required*"
    if part.default is None or isinstance(part.default, bool):
        return ""
    return f"`{getattr(part.default, 'value', part.default)}`"


def _markdown(text: str) -> str:
    """Help text on one line; names of placeholders in <> stay visible."""
    return " ".join(re.sub(r"<([^>]+)>", r"`<\1>`", text).split())


def page() -> str:
    """The page in Markdown."""
    text = [INTRODUCTION]
    for name, command in commands():
        text += [f"## {name}", ""]
        text += [
            part for block in (command.help or "").split("\n\n") for part in (_markdown(block), "")
        ]
        text += [*table(command), ""]
        if command.epilog:
            example = command.epilog.removeprefix("Example: ")
            text += ["```console", *[f"$ {line}" for line in example.splitlines()], "```", ""]
    return "\n".join(text)


def write_page(app: Sphinx) -> None:
    """Write the page."""
    generated.write(app, "commands.md", page())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
