"""Write the pages of reference from the docstrings, before Sphinx reads the pages."""

import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import generated
from sphinx.application import Sphinx

PACKAGES = [
    "spatioformer",
    "spatioformer.evaluation",
    "spatioformer.mapping",
    "spatioformer.models",
    "spatioformer.nn",
    "spatioformer.text",
    "spatioformer.vision",
    "spatioformer.analysis",
    "spatioformer.run",
    "spatioformer.config",
]
"""Packages with a page in the reference; reference/index.md lists them too."""


def public(module: ModuleType) -> list[str]:
    """Names that a module offers: those of `__all__`, or the classes and functions it defines."""
    offered = getattr(module, "__all__", None)
    if offered is not None:
        return [name for name in offered if not name.startswith("__")]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def modules(package: ModuleType) -> list[ModuleType]:
    """The public modules inside a package; a package with `__all__` stands for what is in it."""
    inside = []
    for part in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if part.name.rpartition(".")[2].startswith("_"):
            continue
        module = importlib.import_module(part.name)
        inside.append(module)
        if part.ispkg and not hasattr(module, "__all__"):
            inside += modules(module)
    return [module for module in inside if public(module)]


def escape(text: str) -> str:
    """Docstrings say |x| and 2 * 3, and `x`s; between backticks everything means itself."""
    pieces = re.split(r"(``.+?``|(?<!:)`[^`]+`|\*\*[^*]+\*\*)", text)
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pieces[i] = re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", piece)
        elif piece.startswith("`"):
            pieces[i] = f"``{piece.strip('`')}``" + "\\ " * bool(re.match(r"\w", pieces[i + 1]))
    return "".join(pieces)


def listing(rows: list[tuple[str, str, object]]) -> str:
    """A table of (full name, short name, object), each with the first line of its docstring."""
    text = [".. list-table::", "   :class: names", ""]
    for name, title, value in rows:
        own = not isinstance(value, type) and value.__doc__ == type(value).__doc__
        first = "" if own else (inspect.getdoc(value) or "").partition("\n\n")[0]
        text += [f"   * - :py:obj:`{title} <{name}>`", f"     - {escape(' '.join(first.split()))}"]
    return "\n".join(text) + "\n"


def parts(package: ModuleType) -> list[ModuleType]:
    """The modules that have a page: the package, and those inside unless `__all__` says it all."""
    return [package, *([] if hasattr(package, "__all__") else modules(package))]


def homes() -> dict[int, str]:
    """Identity -> full name of every class that a page of the packages below the first one has."""
    return {
        id(value): f"{module.__name__}.{name}"
        for package in PACKAGES[1:]
        for module in parts(importlib.import_module(package))
        for name in public(module)
        if inspect.isclass(value := getattr(module, name))
    }


def entry(name: str, value: object, inherited: bool) -> str:
    """The full description of one name."""
    if inspect.ismodule(value):
        return f".. automodule:: {name}\n   :members:\n"
    if inspect.isclass(value):
        options = "   :members:\n   :show-inheritance:\n"
        if hasattr(value, "model_fields"):  # pydantic's: every field is a key of the configuration
            options += "   :undoc-members:\n"
        if inherited:
            foreign = [
                c.__name__ for c in value.__mro__ if not c.__module__.startswith(PACKAGES[0])
            ]
            options += f"   :inherited-members: {', '.join(foreign)}\n"
        return f".. autoclass:: {name}\n{options}"
    return f".. {'autofunction' if callable(value) else 'autodata'}:: {name}\n"


def entries(module: ModuleType) -> str:
    """A table of one line a name, then each in full; Sphinx wants a class on one page only."""
    first = module.__name__ == PACKAGES[0]
    elsewhere = homes() if first else {}
    rows = []
    for name in public(module):
        value = getattr(module, name)
        full = value.__name__ if inspect.ismodule(value) else f"{module.__name__}.{name}"
        rows.append((elsewhere.get(id(value), full), name, value))
    text = [listing(rows)] if len(rows) > 1 else []
    text += [entry(full, value, first) for full, _, value in rows if id(value) not in elsewhere]
    return "\n".join(text)


def pages(package: ModuleType) -> dict[str, str]:
    """Name -> text of the pages of a package."""
    written = {}
    for module in parts(package):
        name = module.__name__
        text = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n   :no-members:\n\n"
        written[name] = text + entries(module)
    if inside := parts(package)[1:]:
        rows = [(m.__name__, m.__name__.removeprefix(f"{package.__name__}."), m) for m in inside]
        tree = "\n".join(f"   {title} <{name}>" for name, title, _ in rows)
        written[package.__name__] += f"{listing(rows)}\n.. toctree::\n   :hidden:\n\n{tree}\n"
    return written


def write_reference(app: Sphinx) -> None:
    """Write the pages of reference, and remove those of modules that are gone."""
    written = {
        generated.write(app, f"{name}.rst", text)
        for package in PACKAGES
        for name, text in pages(importlib.import_module(package)).items()
    }
    for path in set(next(iter(written)).parent.glob("*.rst")) - written:
        path.unlink()


def from_markdown(app: Sphinx, what: str, name: str, value: object, options, lines: list[str]):
    """Bring a docstring, written as our Markdown pages are, into Sphinx's syntax."""
    if what == "data" and lines and lines[0] == (type(value).__doc__ or "").partition("\n")[0]:
        lines.clear()  # the docstring of dict, not ours
    text, table, code = [], False, False
    for line in lines:
        start = line[: len(line) - len(line.lstrip())]
        if line.lstrip().startswith("|") and line.rstrip().endswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            if set("".join(cells)) <= set("-: "):
                continue  # the rule below a table's head
            if not table:
                text += ["", f"{start}.. list-table::", f"{start}   :header-rows: 1", ""]
            marks = ["* -", *["  -"] * (len(cells) - 1)]
            text += [f"{start}   {m} {escape(c)}" for m, c in zip(marks, cells, strict=True)]
            table = True
            continue
        if table and line.strip():
            text.append("")
        table = False
        code = line.lstrip().startswith(">>>") or (code and bool(line.strip()))
        line = re.sub(r"(: )(?=\w\.$)", r"\1\\", line)  # "vocabulary: V." is no numbered list
        text.append(line if code else escape(line))
    lines[:] = text


def skip(app: Sphinx, what: str, name: str, value: object, skipped: bool, options) -> bool | None:
    """Leave out what scikit-learn and pydantic put into every class."""
    inherited = r"set_\w+_request|get_metadata_routing|model_config|model_post_init"
    return True if re.fullmatch(inherited, name) else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", from_markdown, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
