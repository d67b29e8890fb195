"""Write the page of all keys of a configuration, from the sections and their docstrings.

A key's sentence is its line under `Attributes:` in the docstring of its section. A key without a
sentence, and a sentence without a key, are errors.
"""

import inspect
import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import generated
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

from spatioformer.config.fields import Section
from spatioformer.config.schema import RunConfig

TITLE = "Configuration: every key"
INTRODUCTION = """\
A configuration is a YAML file; `spatioformer init` writes one. A whole one with comments is in
[The run](../../run.md#configuration). A key that is not on this page is an error. *Required* keys
have no default.
"""
BOUNDS = {"ge": "{} or more", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
IN_WORDS = {
    "covariates": "`auto`, list of text, or keys with values",
    "exclude": "list of whole number or text",
    "models": "list of [models](../../models.md)",
    "curve_models": "list of [models](../../models.md)",
    "model": "`auto` or a [model](../../models.md)",
    "teacher": "a [model](../../models.md)",
}
"""Values of keys with a validator of their own, or with very many words."""
FILLED_IN = {(RunConfig, "name"): "the file's name", (RunConfig, "out"): "`runs/NAME`"}
"""Defaults that depend on other keys."""
TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def sentences(section: type[Section]) -> dict[str, str]:
    """Key -> its sentence in the docstring of a section, or of the section that it extends."""
    parents = [b for b in section.__bases__ if issubclass(b, Section) and b is not Section]
    found = {
        key: text
        for base in parents
        if base is not Section
        for key, text in sentences(base).items()
    }
    text = inspect.cleandoc(section.__doc__ or "")
    _, mark, listed = text.partition("Attributes:\n")
    for entry in re.split(r"\n {4}(?=\S)", "\n" + listed.rstrip()) if mark else []:
        names, colon, sentence = entry.strip().partition(": ")
        if colon:
            found |= dict.fromkeys(re.split(r", ", names), " ".join(sentence.split()))
    return found


def sections_in(annotation: Any) -> list[type[Section]]:
    """The sections that a type of values holds."""
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def type_of(annotation: Any) -> str:
    """A type of values in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(parts[0])
    if origin in (Union, UnionType):
        known = [type_of(part) for part in parts if part is not type(None)]
        return " or ".join(dict.fromkeys(known))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin is tuple:
        inner = [part for part in parts if part is not Ellipsis]
        return f"list of {type_of(inner[0])}" if Ellipsis in parts else f"list of {len(inner)}"
    if origin is dict:
        return "keys with values"
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return f"[section](#{anchor(annotation)})"
    return TYPES[annotation]


def limits(field: FieldInfo) -> str:
    """The range of a number, or of the numbers in a list."""
    nested = _bounds(field.annotation)
    bounds = dict((*nested, *_bounds_of(field.metadata)))
    return ", ".join(words.format(f"{bounds[k]:,}") for k, words in BOUNDS.items() if k in bounds)


def _bounds(annotation: Any) -> list[tuple[str, float]]:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return [*_bounds(inner), *_bounds_of(metadata)]
    if get_origin(annotation) in (Union, UnionType):
        return [bound for part in get_args(annotation) for bound in _bounds(part)]
    return []


def _bounds_of(metadata: Any) -> list[tuple[str, float]]:
    plain = [part for item in metadata for part in getattr(item, "metadata", None) or [item]]
    return [
        (name, getattr(item, name))
        for item in plain
        for name in BOUNDS
        if isinstance(getattr(item, name, None), int | float) and abs(getattr(item, name)) < 1e9
    ]


def default_of(field: FieldInfo) -> str:
    """The default as YAML has it."""
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, Section) or (
        isinstance(value, tuple) and value and isinstance(value[0], Section)
    ):
        return "see there"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value != {} else "none"


def anchor(section: type[Section]) -> str:
    """The anchor of a section on the page."""
    return section.__name__.lower()


def table(section: type[Section]) -> list[str]:
    """The rows of a section.

    Raises:
        ValueError: a key has no sentence, or a sentence no key.
    """
    meanings = sentences(section)
    missing = set(section.model_fields) ^ set(meanings)
    if missing:
        raise ValueError(f"{section.__name__}: keys and sentences differ: {sorted(missing)}")
    rows = ["| key | meaning | values | default |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        inside = sections_in(field.annotation)
        if inside:
            links = " or ".join(f"[keys below](#{anchor(s)})" for s in inside)
            values = f"list of {links}" if "tuple" in str(field.annotation) else links
        else:
            values = _values(name, field)
        meaning = re.sub(r"(?<=; )None: ", "default: ", meanings[name]).replace(
            "None: ", "Default: "
        )
        default = FILLED_IN.get((section, name)) or default_of(field)
        cells = [f"`{name}`", meaning, values, default]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return rows


def _values(name: str, field: FieldInfo) -> str:
    if name in IN_WORDS:
        return IN_WORDS[name]
    words = type_of(field.annotation)
    return f"{words}, {limits(field)}" if limits(field) else words


def every_section() -> dict[type[Section], str]:
    """Each section and the dotted path of the key where it first stands, top down."""
    found: dict[type[Section], str] = {RunConfig: ""}
    waiting = [RunConfig]
    while waiting:
        section = waiting.pop(0)
        for name, field in section.model_fields.items():
            for inner in sections_in(field.annotation):
                if inner not in found:
                    found[inner] = f"{found[section]}.{name}".strip(".")
                    waiting.append(inner)
    return found


def page() -> str:
    """The page in Markdown."""
    text = [f"# {TITLE}", "", INTRODUCTION]
    for section, path in every_section().items():
        first = (inspect.getdoc(section) or "").split("\n\n")[0].replace("\n", " ")
        title = f"`{path}`" if path else "The file"
        text += [f"({anchor(section)})=", f"## {title}", "", first, "", *table(section), ""]
    return "\n".join(text)


def write_page(app: Sphinx) -> None:
    """Write the page."""
    generated.write(app, "configuration.md", page())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
