"""Error messages for a configuration: one sentence with the key, the value and the remedy."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]
"""Keys and list indices from the outermost section down to a value, as pydantic gives them."""

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
    "string_type": "it must be text; put it in quotes",
    "tuple_type": "it must be a list, such as [a, b]",
    "too_long": "it has too many entries",
    "model_type": "it must be a section: keys and values, indented below it",
    "dict_type": "it must be a section: keys and values, indented below it",
}


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe the first problem of a failed validation of `model`, and count the others."""
    problems = error.errors(include_url=False)
    first = problems[0]
    if first["type"] == "extra_forbidden":
        text = _unknown_key(first["loc"], _keys_beside(first["loc"], model))
    elif first["loc"] and first["loc"][-1] == "[key]":
        text = _unknown_key(first["loc"][:-1], re.findall(r"'(\w+)'", first["ctx"]["expected"]))
    elif first["type"] == "missing":
        text = f"`{_dotted(first['loc'])}` is missing; add it"
    else:
        text = _wrong_value(first)
    more = len(problems) - 1
    return f"{text} (and {more} more to correct after it)" if more else text


def _wrong_value(problem: Mapping[str, Any]) -> str:
    value = problem["input"]
    message: str = _PHRASES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    message = message.replace("Input should be", "it must be")
    if not problem["loc"]:
        return message
    shown = " is empty" if value is None else f" is {_short(value)}"
    if isinstance(value, dict) and problem["type"] == "value_error":
        shown = ""  # the message names the keys that do not fit together
    return f"`{_dotted(problem['loc'])}`{shown}: {message}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unknown_key(loc: Location, keys: list[str]) -> str:
    close = difflib.get_close_matches(str(loc[-1]), keys, n=1)
    hint = f"did you mean `{close[0]}`" if close else f"known keys are {', '.join(keys)}"
    return f"unknown key `{_dotted(loc)}`; {hint}"


def _keys_beside(loc: Location, model: type[BaseModel]) -> list[str]:
    """Keys of the section in which `loc` lies."""
    section = model
    for part in loc[:-1]:
        if isinstance(part, str):  # a number is an index in a list of sections
            section = _section_in(section.model_fields[part].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> Any:
    """The section inside an annotation such as `tuple[RasterSection, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        section = _section_in(inner)
        if section is not None:
            return section
    return None


def _dotted(loc: Location) -> str:
    return ".".join(str(part) for part in loc)
