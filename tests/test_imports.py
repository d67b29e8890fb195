"""Who may import whom: the floors of docs/architecture.md, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spatioformer

PACKAGE = Path(spatioformer.__file__).parent

FLOORS = [
    {"__main__"},
    {"cli"},
    {"cli_text", "cli_vision", "cli_years"},
    {"cli_options"},
    {"text", "vision", "demo", "drivers", "survey", "summary", "years", "zonal"},
    {"run"},
    {"stages"},
    {"report", "evaluate", "map_model"},
    {"jobs", "folds"},
    {"models"},
    {"inputs"},
    {"mapping"},
    {"train", "bundle"},
    {"stacking", "distillation", "baselines", "uncertainty", "access"},
    {"prediction"},
    {"scaling", "tiles", "weights", "model_card", "samples", "distributed"},
    {"config_file"},
    {"nn", "geo", "evaluation", "trends", "config", "config_errors", "guard"},
    {"checkpoint"},
    {"files", "progress", "kernels"},
    {"errors", "__init__"},
]
"""Modules and subpackages from the top down: each imports only what is on lower floors."""

THIRD_PARTY = {
    "nn": {"torch", "jaxtyping", "safetensors"},
    "kernels": {"llvmlite", "numba", "numpy"},
    "geo": {
        "affine", "geopandas", "numpy", "pandas", "pyarrow", "pyogrio", "pyproj", "rasterio",
        "shapely",
    },
    "evaluation": {"joblib", "numpy", "scipy", "sklearn", "threadpoolctl"},
    "train": {"numpy", "torch"},
    "distributed": {"torch"},
    "samples": {"torch"},
    "prediction": {"numpy", "torch"},
    "scaling": {"numpy", "torch"},
    "tiles": {"numpy"},
    "weights": {"safetensors", "torch"},
    "model_card": set(),
    "trends": {"numpy", "scipy"},
    "bundle": {"numpy", "safetensors", "sklearn", "skops", "threadpoolctl", "torch"},
    "baselines": {"lightgbm", "numpy", "scipy", "sklearn"},
    "distillation": {"numpy", "torch"},
    "uncertainty": {"numpy"},
    "run": set(),
    "config": {"pydantic"},
    "config_errors": {"pydantic"},
    "config_file": {"pydantic", "yaml"},
    "checkpoint": {"torch"},
    "files": {"numpy"},
    "progress": {"rich"},
    "errors": set(),
    "guard": {"typer"},
    "cli": {"typer"},
    "cli_text": {"typer"},
    "cli_vision": {"typer"},
    "cli_years": {"typer"},
    "cli_options": {"typer"},
    "__init__": set(),
}  # fmt: skip
"""What those that should stay narrow may import from elsewhere."""


def sources() -> dict[str, str]:
    """Every module's name inside the package, and its source."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules imported when the code runs: all but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from imports(node)


def violations(modules: dict[str, str]) -> list[str]:
    floor = {unit: height for height, units in enumerate(FLOORS) for unit in units}
    units = {name.split(".")[0] for name in modules} | floor.keys()
    found = []
    for name, source in modules.items():
        unit = name.split(".")[0]
        if unit not in floor:
            found.append(f"{name} is on no floor")
            continue
        for imported in imports(ast.parse(source)):
            top, *rest = imported.split(".")
            if top == "spatioformer":
                # `from spatioformer import __version__` is of the package itself.
                other = rest[0] if rest and rest[0] in units else "__init__"
                if other != unit and floor.get(other, -1) <= floor[unit]:
                    found.append(f"{name} imports {other}")
            elif top not in sys.stdlib_module_names and top not in THIRD_PARTY.get(unit, {top}):
                found.append(f"{name} imports {top}")
    return found


def test_imports_flow_down():
    assert violations(sources()) == []


def test_every_floor_is_inhabited():
    named = [unit for units in FLOORS for unit in units]
    assert len(named) == len(set(named))
    assert set(named) == {name.split(".")[0] for name in sources()}


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("nn.vit", "from spatioformer.geo.grid import Grid", "nn.vit imports geo"),
        ("nn.vit", "import numpy as np", "nn.vit imports numpy"),
        ("geo.chips", "def f():\n    import torch", "geo.chips imports torch"),
        ("geo.chips", "from spatioformer import bundle", "geo.chips imports bundle"),
        ("evaluation.units", "import geopandas", "evaluation.units imports geopandas"),
        ("evaluation.units", "from spatioformer.files import writing", None),
        ("evaluation.units", "from spatioformer.geo import grid", "evaluation.units imports geo"),
        ("train", "import spatioformer.models", "train imports models"),
        ("bundle", "import spatioformer.train", "bundle imports train"),
        ("stages", "from spatioformer.run import Run", "stages imports run"),
        ("stages", "if TYPE_CHECKING:\n    from spatioformer.run import Run", None),
        ("train", "from spatioformer import __version__", None),
        ("surprise", "", "surprise is on no floor"),
    ],
)
def test_the_check_can_fail(module, line, found):
    modules = {module: line}
    assert violations(modules) == ([found] if found else [])


def test_evaluation_knows_nothing_of_files():
    """They are on a lower floor, yet numpy in, numpy out."""
    known = {
        imported.split(".")[1]
        for name, source in sources().items()
        if name.startswith("evaluation.")
        for imported in imports(ast.parse(source))
        if imported.startswith("spatioformer.")
    }
    assert known == {"evaluation", "errors"}


HEAVY = {"torch", "rasterio", "matplotlib", "pandas", "sklearn", "numpy", "scipy", "jinja2"}


@pytest.mark.parametrize(
    "code",
    [
        "import spatioformer; assert spatioformer.__version__",
        "from spatioformer.cli import main; main(['--help'])",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    report = f"import sys, atexit; atexit.register(lambda: print({HEAVY} & set(sys.modules)))"
    command = [sys.executable, "-c", f"{report}\n{code}"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "set()"


def test_the_public_doors_open():
    assert spatioformer.load.__module__ == "spatioformer.bundle"
    assert spatioformer.map_raster.__module__ == "spatioformer.mapping"
    assert {"load", "map_raster", "__version__"} <= set(dir(spatioformer))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        spatioformer.lod  # noqa: B018
