"""Imports flow down only: the floors of docs/architecture.md, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spatioformer

PACKAGE = Path(spatioformer.__file__).parent

# From the ground up; a module may import what stands below its own floor, and nothing else.
FLOORS = (
    {"errors"},
    {"files", "progress", "guard", "config"},
    {"nn", "geo", "evaluation", "config_errors"},
    {"bundle", "baselines", "train", "config_file", "folds", "report"},
    {"models", "mapping", "text", "vision"},
    {"evaluate"},
    {"stages"},
    {"run", "summary"},
    {"demo", "cli_text", "cli_vision"},
    {"cli"},
    {"__main__"},
)
FLOOR = {module: i for i, modules in enumerate(FLOORS) for module in modules}

# What the ground floors must not know, so that a scikit-learn user needs no torch and a network
# no raster.
FOREIGN = {
    "nn": {"rasterio", "geopandas", "pandas", "sklearn", "matplotlib"},
    "geo": {"torch", "sklearn", "matplotlib"},
    "evaluation": {"torch", "rasterio", "geopandas"},
}


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> Iterator[str]:
    """Dotted names that a piece of source imports, those for type checkers left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    found = []
    for name in imports(source):
        first, *rest = name.split(".")
        if first in FOREIGN.get(module, ()):
            found.append(f"{module} imports {first}")
        if first != "spatioformer" or rest[0] not in FLOOR or rest[0] == module:
            continue
        if FLOOR[rest[0]] >= FLOOR[module]:
            found.append(f"{module} imports {rest[0]}, which stands no lower")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_flow_down(path):
    if path == PACKAGE / "__init__.py":
        return
    assert module_of(path) in FLOOR, "give the new module a floor"
    assert violations(module_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nn", "import rasterio"),
        ("evaluation", "def f():\n    from torch import nn"),
        ("geo", "from spatioformer.nn import GPT"),
        ("train", "from spatioformer.models import make"),
        ("evaluate", "import spatioformer.run"),
    ],
)
def test_the_line_can_be_crossed(module, source):
    assert violations(module, source) != []
