"""What a stage's result depends on: the source code and the libraries that the stage really uses.

The code is found by reading imports, without importing anything. From the stage's function the
search follows the functions and constants of the same module that it names, then every module of
this package that they import, then the imports of those modules. An import from a package leads to
the module that defines the name, whether the package's `__init__` imports that name or offers it
lazily. The `__init__` itself counts only where it defines the name.
"""

import ast
import inspect
import re
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from spatioformer.common.files import hash_file, hash_value
from spatioformer.config.fields import is_address, is_path

# Code that says how to run, not what to compute: a change there makes no result out of date.
NOT_CODE = {
    f"spatioformer.{name}"
    for name in (
        *("common", "common.cache", "common.errors", "common.progress"),
        *("config", "config.file", "config.mapping", "config.messages", "config.schema"),
        *("run.assembled", "run.context", "run.fingerprint", "run.hashes"),
        *("run.ahead", "run.preload", "run.provenance", "run.records", "run.runner"),
        *("common.lock", "common.parts", "common.related", "common.workers"),
        *("cli", "mapping.cluster"),
    )
}
PACKAGE = Path(__file__).parents[1]
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
"""Fields of a syntax tree in which statements lie."""

Import = tuple[str, str | None]
"""A module, and the name imported from it (None: the module itself)."""


@dataclass(frozen=True)
class Dependencies:
    """What the result of a function depends on, besides its arguments.

    Attributes:
        code: name of a module, or of a definition beside the function -> hash of its source.
        libraries: name of an installed distribution -> its version as "major.minor".
    """

    code: dict[str, str]
    libraries: dict[str, str]


def code_hash(function: Callable) -> str:
    """Hash of the code and the libraries that a function's result depends on."""
    used = dependencies(function)
    return hash_value([used.code, used.libraries])


@cache
def dependencies(function: Callable) -> Dependencies:
    """Code and libraries that a function uses, directly or not; it stands on a module's top level.

    A library that the code imports and that is not installed is left out.
    """
    code, waiting = _definitions(function)
    modules: set[str] = set()
    libraries: set[str] = set()
    while waiting:
        module, name = waiting.pop()
        if not _is_ours(module):
            libraries.add(module.split(".")[0])
            continue
        defining = resolve(module, name)
        if defining not in modules | NOT_CODE:
            modules.add(defining)
            waiting += _imports(source_file(defining))
    code |= {module.partition(".")[2] or module: _module_hash(module) for module in modules}
    libraries -= sys.stdlib_module_names
    versions = {d: v for name in libraries for d, v in _distributions(name).items()}
    return Dependencies(dict(sorted(code.items())), dict(sorted(versions.items())))


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """One short line that says which parts of a fingerprint changed; '' where none did.

    Args:
        before, now: the parts of a fingerprint, as the runner keeps them: "inputs", "config",
            "code", "libraries" and "needs", each a dictionary.
    """
    sentences = []
    for part, prefix in (("inputs", ""), ("config", "config: "), ("code", "code: ")):
        if names := _differing(before.get(part, {}), now[part]):
            sentences.append(f"{prefix}{_some(names)} changed")
    old, new = before.get("libraries", {}), now["libraries"]
    if names := _differing(old, new):
        updates = [f"{n} {old.get(n, 'none')} -> {new.get(n, 'none')}" for n in names]
        sentences.append(f"libraries: {_some(updates)}")
    if not sentences and (names := _differing(before.get("needs", {}), now["needs"])):
        sentences.append(f"{_some(names)} changed")
    return "; ".join(sentences)


def flat(value: Any, key: str) -> dict[str, Any]:
    """A part of a configuration as `{dotted key: value}`; lists of sections are numbered from 0."""
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(value, dict) and value:
        pairs = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = enumerate(value)
    else:
        return {key: value}
    return {k: v for name, item in pairs for k, v in flat(item, f"{key}.{name}").items()}


def portable(value: Any) -> Any:
    """A part of the configuration with file names for paths: a run that is moved stays a run."""
    if isinstance(value, dict):
        return {
            k: Path(v).name if is_path(k, v) and not is_address(v) else portable(v)
            for k, v in value.items()
        }
    return [portable(v) for v in value] if isinstance(value, list) else value


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    # By hash, since a record from JSON has lists where a configuration may have tuples.
    absent = object()
    return [
        name
        for name in dict.fromkeys([*now, *before])
        if hash_value([before.get(name, str(absent))]) != hash_value([now.get(name, str(absent))])
    ]


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _definitions(function: Callable) -> tuple[dict[str, str], list[Import]]:
    """Hashes of a function and of what it names in its module, and the imports of all of them."""
    file = Path(inspect.getsourcefile(function) or "")
    text = file.read_text(encoding="utf-8")
    lines, table = text.splitlines(), _top_level(ast.parse(text))
    hashes: dict[str, str] = {}
    imports: list[Import] = []
    waiting, known = [function.__name__], set()
    while waiting:
        name = waiting.pop()
        if name in known or name not in table:
            continue
        known.add(name)
        node = table[name]
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports += _imported(node, name)
            continue
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno).lineno
        source = "\n".join(lines[first - 1 : node.end_lineno])
        hashes[f"{file.stem}.{name}"] = hash_value(source)[:16]
        imports += _all_imports(node)
        waiting += _global_names(symtable.symtable(source, str(file), "exec"))
    return hashes, imports


def _global_names(scope: symtable.SymbolTable) -> set[str]:
    """Names that a piece of source uses and that no function in it binds."""
    at_top = scope.get_type() == "module"
    names = {s.get_name() for s in scope.get_symbols() if at_top or s.is_global()}
    return names.union(*(_global_names(inner) for inner in scope.get_children()))


@cache
def _imports(file: Path) -> list[Import]:
    return _all_imports(ast.parse(file.read_text(encoding="utf-8")))


def _all_imports(tree: ast.AST) -> list[Import]:
    nodes = (node for node in _executed(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return [one for node in nodes for one in _imported(node)]


def _imported(node: ast.Import | ast.ImportFrom, bound: str | None = None) -> list[Import]:
    """What an import statement imports: everything, or only what it binds to the name `bound`."""
    aliases = [a for a in node.names if bound in (None, a.asname or a.name.split(".")[0])]
    if isinstance(node, ast.Import):
        return [(alias.name, None) for alias in aliases]
    return [(node.module or "", alias.name) for alias in aliases]


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a piece of source but those that only type checkers read."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        else:  # expressions hold no statements
            waiting += (part for name in BLOCKS for part in getattr(node, name, ()))


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _top_level(tree: ast.Module) -> dict[str, ast.stmt]:
    """Name -> the statement of a module that defines or imports it."""
    table: dict[str, ast.stmt] = {}
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.If | ast.Try | ast.With):
            kept = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)]
            hidden = node.body if isinstance(node, ast.If) and _is_type_checking(node.test) else []
            waiting = [n for n in kept if n not in hidden] + waiting
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            table[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            table |= {a.asname or a.name.split(".")[0]: node for a in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
            table |= dict.fromkeys(names, node)
    return table


def resolve(module: str, name: str | None) -> str:
    """The module of this package that defines what `from module import name` imports.

    A package's name that cannot be traced leads to the package's `__init__`.
    """
    file = _existing(module)
    if name is None or file.name != "__init__.py":
        return module
    table, offered = _package_names(file)
    node = table.get(name)
    if isinstance(node, ast.ImportFrom) and node.module == module:  # of itself: a submodule
        node = None
    if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
        original = next(a.name for a in node.names if name == (a.asname or a.name))
        return resolve(node.module, original)
    if node is not None:
        return module
    if name in offered:
        home = offered[name]
        return resolve(home if _is_ours(home) else f"{module}.{home}", name)
    return submodule if source_file(submodule := f"{module}.{name}") else module


@cache
def _package_names(file: Path) -> tuple[dict[str, ast.stmt], dict[str, str]]:
    """What a package's `__init__` defines or imports, and what it offers lazily: name -> module.

    A table of lazily offered names is a dictionary of constants, either `{name: module}` or
    `{module: names}`.
    """
    table = _top_level(ast.parse(file.read_text(encoding="utf-8")))
    offered: dict[str, str] = {}
    for node in table.values():
        try:
            pairs = list(ast.literal_eval(getattr(node, "value", node)).items())
        except (AttributeError, ValueError):  # no assignment of a dictionary of constants
            continue
        for key, value in pairs:
            if isinstance(value, str):
                offered[key] = value
            elif isinstance(value, list | tuple):
                offered |= dict.fromkeys(value, key)
    return table, offered


def source_file(module: str) -> Path | None:
    """Source of a module of this package, found without importing it; None: it is no module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _existing(module: str) -> Path:
    file = source_file(module)
    if file is None:
        raise ModuleNotFoundError(f"there is no module {module} in {PACKAGE}")
    return file


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE.name


def _module_hash(module: str) -> str:
    """Hash of a module's source and of the templates of the package that it belongs to."""
    file = _existing(module)
    package = file if file.name == "__init__.py" else _existing(module.rpartition(".")[0])
    templates = sorted(package.parent.glob("*.j2"))
    return hash_value([hash_file(path) for path in (file, *templates)])[:16]


def _distributions(name: str) -> dict[str, str]:
    """The installed distributions that hold a top-level module, each with "major.minor"."""
    versions = {}
    for distribution in _installed().get(name, ()):
        try:
            versions[distribution] = _minor(version(distribution))
        except PackageNotFoundError:  # what remains of a distribution that was removed
            continue
    return versions


@cache
def _installed() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _minor(number: str) -> str:
    """`2.13.0+cpu` -> `2.13`."""
    match = re.match(r"\d+(\.\d+)?", number)
    return match[0] if match else number
