"""Write plain values as YAML with comments, for a person to read and edit."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from spatioformer.config.messages import escaped

WIDTH = 100
STEP = "  "


def commented(
    values: Mapping[str, Any], comments: Mapping[str, str], hints: Mapping[str, str]
) -> str:
    """YAML text of nested dicts, lists and scalars, which reads back as the same values.

    Args:
        comments: dotted key, such as "imagery.layers.0.crs" -> its comment, one line. It stands at
            the end of the key's line, or above it where the line would be too long.
        hints: dotted key of a section -> lines of comment at the section's end, such as settings
            that a user may add.
    """
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and lines:
            lines.append("")  # a section
        lines += _entry(key, value, "", str(key), comments, hints)
    return "\n".join(lines) + "\n"


def _entry(
    key: str,
    value: Any,
    indent: str,
    path: str,
    comments: Mapping[str, str],
    hints: Mapping[str, str],
) -> Iterator[str]:
    """Lines of `key: value`."""
    comment = _one_line(comments.get(path, ""))
    name = scalar(key)
    if isinstance(value, Mapping) and value:
        yield from _with_comment(f"{indent}{name}:", comment, indent)
        for inner, content in value.items():
            inner_path = f"{path}.{inner}"
            yield from _entry(inner, content, indent + STEP, inner_path, comments, hints)
    elif isinstance(value, list | tuple) and _is_block(value, indent, name):
        yield from _with_comment(f"{indent}{name}:", comment, indent)
        for i, item in enumerate(value):
            yield from _item(item, indent + STEP, f"{path}.{i}", comments, hints)
    else:
        shown = _flow(value) if isinstance(value, Mapping | list | tuple) else _plain(value)
        yield from _with_comment(f"{indent}{name}: {shown}", comment, indent)
    for line in hints.get(path, "").splitlines():
        yield f"{indent}{STEP}# {_one_line(line)}"


def _item(
    item: Any, indent: str, path: str, comments: Mapping[str, str], hints: Mapping[str, str]
) -> Iterator[str]:
    """Lines of a list's entry: on one line if it fits and has no comments inside, else a block."""
    inside = any(key.startswith(f"{path}.") for key in [*comments, *hints])
    line = f"{indent}- {_flow(item)}"
    if not isinstance(item, Mapping) or (not inside and len(line) <= WIDTH):
        yield from _with_comment(line, _one_line(comments.get(path, "")), indent)
        return
    if comment := _one_line(comments.get(path, "")):
        yield f"{indent}# {comment}"
    lines: list[str] = []
    for key, value in item.items():
        lines += _entry(key, value, indent + STEP, f"{path}.{key}", comments, hints)
    first = next(i for i, text in enumerate(lines) if not text.lstrip().startswith("#"))
    lines[first] = f"{indent}- {lines[first].lstrip()}"
    yield from lines


def _with_comment(line: str, comment: str, indent: str) -> list[str]:
    if not comment:
        return [line]
    whole = f"{line}  # {comment}"
    return [whole] if len(whole) <= WIDTH else [f"{indent}# {comment}", line]


def _one_line(text: str) -> str:
    """A comment without what would end its line; names of columns may hold anything."""
    return escaped(" ".join(text.split()), 400)


def _is_block(values: list[Any] | tuple[Any, ...], indent: str, name: str) -> bool:
    """Whether a list has a line an entry: its entries are sections, or too long for one line."""
    sections = any(isinstance(value, Mapping) for value in values)
    return sections or len(f"{indent}{name}: {_flow(values)}") > WIDTH


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    return scalar(value)


def _plain(value: Any) -> str:
    """A scalar as the value of a key on a line of its own."""
    if isinstance(value, str) and value.isprintable():
        text = yaml.safe_dump(value, allow_unicode=True, width=float("inf"))
        return str(text).removesuffix("\n").removesuffix("\n...")
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar as YAML writes it inside a list, which needs the most quotation marks."""
    plain = not isinstance(value, str) or value.isprintable()
    text = yaml.safe_dump(
        [value],
        default_flow_style=True,
        default_style=None if plain else '"',
        allow_unicode=plain,
        width=float("inf"),
    )
    return str(text).strip()[1:-1]
