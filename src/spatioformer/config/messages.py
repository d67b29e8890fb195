"""Error messages for a configuration: one sentence with the key, the value and the remedy."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]
"""Keys and list indices from the outermost section down to a value, as pydantic gives them."""

MOST_PROBLEMS = 20
"""Largest number of problems that a message lists."""

# Replacements for pydantic's messages that use terms of Python.
_PHRASES = {
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_type": "it must be a whole number",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "finite_number": "it must be a finite number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "int_parsing_size": "it must be a whole number",
    "string_unicode": "it must be text; put it in quotes",
    "invalid_key": "a key must be text; put it in quotes",
    "string_type": "it must be text; put it in quotes",
    "tuple_type": "it must be a list, such as [a, b]",
    "too_long": "it has too many entries",
    "model_type": "it must be a section: keys and values, indented below it",
    "dict_type": "it must be a section: keys and values, indented below it",
}


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first problem of a failed validation of `model`, and count the others."""
    problems = _problems(error, model)
    text = _sentence(problems[0])
    more = len(problems) - 1
    return f"{text} (and {more} more to correct after it)" if more else text


def message(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """The message of a failed validation of `model`, whose values come from `source`."""
    sentences = [_sentence(problem) for problem in _problems(error, model)]
    if len(sentences) == 1:
        return f"{source}: {sentences[0]}"
    return problems_message(source, sentences)


def _problems(error: ValidationError, model: type[BaseModel]) -> list[dict[str, Any]]:
    """The problems, each with its `section`: the one in whose keys the place ends."""
    problems = []
    for problem in error.errors(include_url=False):
        loc, section = _place(problem["loc"], model)
        problems.append({**problem, "loc": loc, "section": section})
    return problems


def _place(loc: Location, model: type[BaseModel]) -> tuple[Location, type[BaseModel]]:
    """Keys and indices as the user knows them, and the section that holds the last key.

    Where a list holds sections of several kinds, pydantic names the kind before its keys.
    """
    keys: list[int | str] = []
    inside: list[type[BaseModel]] = [model]
    section = model
    for part in loc:
        if isinstance(part, int):
            keys.append(part)
            continue
        named = [kind for kind in inside if kind.__name__ == part]
        if named and len(inside) > 1:
            inside = named
            continue
        keys.append(part)
        section = next((kind for kind in inside if part in kind.model_fields), None) or (
            inside[0] if inside else section
        )
        field = section.model_fields.get(part)
        inside = _sections_in(field.annotation) if field is not None else []
    return tuple(keys), section


def _sentence(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return _unknown_key(problem["loc"], list(problem["section"].model_fields))
    if problem["loc"] and problem["loc"][-1] == "[key]":
        expected = problem.get("ctx", {}).get("expected")
        if expected is None:
            return f"`{_dotted(problem['loc'][:-1])}`: {_PHRASES['invalid_key']}"
        return _unknown_key(problem["loc"][:-1], re.findall(r"'(\w+)'", expected))
    if problem["type"] == "missing":
        return f"`{_dotted(problem['loc'])}` is missing; add it"
    return _wrong_value(problem)


def problems_message(source: str, lines: list[str]) -> str:
    """A message that lists several problems of `source`, one a line, at most MOST_PROBLEMS."""
    rest = len(lines) - MOST_PROBLEMS
    shown_lines = [f"  {line}" for line in lines[:MOST_PROBLEMS]]
    if rest > 0:
        shown_lines.append(f"  and {rest:,} more")
    return "\n".join([f"{len(lines):,} problems in {source}:", *shown_lines])


def _wrong_value(problem: Mapping[str, Any]) -> str:
    value = problem["input"]
    message: str = _PHRASES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    message = message.replace("Input should be", "it must be")
    if not problem["loc"]:
        return message
    given = " is empty" if value is None else f" is {shown(value)}"
    if isinstance(value, dict) and problem["type"] == "value_error":
        given = ""  # the message names the keys that do not fit together
    return f"`{_dotted(problem['loc'])}`{given}: {message}"


def shown(value: Any, room: int = 80) -> str:
    """A value for a message: its `repr` on one line, cut before it is made, at most `room` long."""
    text = _bounded(value, room)
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _bounded(value: Any, room: int) -> str:
    """The start of `repr(value)`: exact if it has no more than `room` characters."""
    if room <= 0:
        return "..."
    if isinstance(value, str | bytes):
        return repr(value[: room + 1])
    if isinstance(value, int) and value.bit_length() > 4 * room:
        return "a number of too many digits"
    marks = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else "()"
    if not isinstance(value, dict | list | tuple):
        return repr(value)
    parts, length = [], 2
    for entry in value:
        part = _bounded(entry, room - length)
        if isinstance(value, dict):
            part += f": {_bounded(value[entry], room - length - len(part))}"
        parts.append(part)
        length += len(part) + 2
        if length > room + 2:
            break
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{marks[0]}{', '.join(parts)}{comma}{marks[1]}"


def escaped(value: object, room: int = 300) -> str:
    """A name or a path for a message, unquoted: control characters are spelled out, the end cut."""
    text = str(value)[: room + 1]
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= room else f"{text[: room - 3]}..."


def strange_text(value: Any, loc: Location = ()) -> str:
    """A sentence on the first text that no file or name can hold; '' if there is none."""
    if isinstance(value, str):
        bad = _UNUSABLE.search(value)
        if bad is None:
            return ""
        return (
            f"`{_dotted(loc)}` is {shown(value)}: it holds the control character "
            f"{bad[0]!a}; remove it"
        )
    if isinstance(value, dict):
        parts = [(key, (*loc, key)) for key in value if isinstance(key, str)]
        parts += [(entry, (*loc, str(key))) for key, entry in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(entry, (*loc, i)) for i, entry in enumerate(value)]
    else:
        return ""
    return next((text for part, at in parts if (text := strange_text(part, at))), "")


# Control characters but tab and line feeds; halves of UTF-16 pairs, which UTF-8 cannot hold.
_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _unknown_key(loc: Location, keys: list[str]) -> str:
    close = difflib.get_close_matches(str(loc[-1])[:80], keys, n=1)
    hint = f"did you mean `{close[0]}`" if close else f"known keys are {', '.join(keys)}"
    return f"unknown key `{_dotted(loc)}`; {hint}"


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections inside an annotation such as `tuple[RasterSection, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [
        section for inner in getattr(annotation, "__args__", ()) for section in _sections_in(inner)
    ]


def _dotted(loc: Location) -> str:
    return ".".join(escaped(part, 80) for part in loc)
