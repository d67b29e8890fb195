"""The house: which folder may import which, read from the source; docs/architecture.md draws it."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import spatioformer

PACKAGE = Path(spatioformer.__file__).parent
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

FLOORS = [
    {"__main__"},
    {"cli"},
    {"__init__"},
    {"viewer", "learn"},
    {"api", "setup"},
    {"run"},
    {"report", "analysis", "portable"},
    {"text", "vision", "mapping"},
    {"tracing"},
    {"models"},
    {"training"},
    {"archives"},
    {"nn", "geo", "evaluation"},
    {"config"},
    {"common"},
]
"""Folders from the top down: each imports only from folders further down, not from its own line."""

THIRD_PARTY = {
    "__init__": set(),
    "common": {
        *("PIL", "distributed", "matplotlib", "numba", "numpy", "rich", "threadpoolctl", "yaml"),
    },
    "config": {"pydantic", "yaml"},
    "nn": {"jaxtyping", "llvmlite", "numba", "numpy", "safetensors", "torch"},
    "geo": {
        "zarr",
        *("affine", "geopandas", "numpy", "openpyxl", "pandas", "pyarrow", "pyogrio"),
        *("pyproj", "rasterio", "scipy", "shapely"),
    },
    "evaluation": {"joblib", "numpy", "scipy", "sklearn"},
    "training": {"numpy", "torch"},
    "models": {
        *("lightgbm", "llvmlite", "numba", "numpy", "pandas", "safetensors", "scipy", "sklearn"),
        *("skops", "torch"),
    },
    "tracing": {"matplotlib", "numpy", "rich"},
    "portable": {"jaxtyping", "numpy", "onnx", "onnxruntime", "onnxscript", "torch"},
    "run": {"numpy", "pandas", "rasterio", "rich"},
    "setup": {"numpy", "pandas", "pydantic", "rasterio", "rich", "scipy", "yaml"},
    "learn": {
        "jaxtyping",
        "jinja2",
        "markdown_it",
        "matplotlib",
        "numpy",
        "pandas",
        "torch",
        "xarray",
        "yaml",
    },
    "cli": {"typer"},
}
"""What folders that should stay narrow may import from elsewhere."""


def sources(folder: Path) -> dict[str, str]:
    """Every module's dotted name inside a folder, and its source; a package has its own name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


@cache
def imports(source: str) -> list[str]:
    """Every import of a source, lazy ones and those under `if TYPE_CHECKING` included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def violations(modules: dict[str, str]) -> list[str]:
    floor = {folder: height for height, folders in enumerate(FLOORS) for folder in folders}
    found = []
    for name, source in modules.items():
        folder = name.split(".")[0]
        if folder not in floor:
            found.append(f"{name} is on no floor")
            continue
        for imported in imports(source):
            top, *rest = imported.split(".")
            if top == "spatioformer":
                # `from spatioformer import load` is of the package itself, the public door.
                other = rest[0] if rest and rest[0] in floor else "__init__"
                if other != folder and floor[other] <= floor[folder]:
                    found.append(f"{name} imports {other}")
            elif top not in sys.stdlib_module_names and top not in THIRD_PARTY.get(folder, {top}):
                found.append(f"{name} imports {top}")
    return found


def graph(modules: dict[str, str], prefix: str) -> dict[str, set[str]]:
    """Module -> the modules of the same tree that it imports."""
    edges: dict[str, set[str]] = {}
    for name, source in modules.items():
        edges[name] = set()
        for imported in imports(source):
            if not imported.startswith(f"{prefix}."):
                continue
            whole = imported.removeprefix(f"{prefix}.")
            target = whole if whole in modules else whole.rpartition(".")[0]
            if target in modules and target != name:
                edges[name].add(target)
    return edges


def circle(modules: dict[str, str], prefix: str) -> list[str]:
    """The modules of a circle of imports, or none."""
    try:
        list(graphlib.TopologicalSorter(graph(modules, prefix)).static_order())
    except graphlib.CycleError as error:
        return error.args[1]
    return []


@pytest.mark.slow
def test_imports_flow_down():
    assert violations(sources(PACKAGE)) == []


@pytest.mark.slow
def test_no_circles():
    assert circle(sources(PACKAGE), "spatioformer") == []
    assert circle(sources(BENCHMARKS), "benchmarks") == []


def test_every_floor_is_inhabited():
    named = [folder for folders in FLOORS for folder in folders]
    assert len(named) == len(set(named))
    assert set(named) == {name.split(".")[0] for name in sources(PACKAGE)}


def test_every_folder_says_what_it_is_for():
    for path in PACKAGE.rglob("__init__.py"):
        purpose = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert purpose, path
        assert purpose.splitlines()[0].endswith("."), path


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("nn.vit", "from spatioformer.geo.grid import Grid", "nn.vit imports geo"),
        ("nn.vit", "import pandas as pd", "nn.vit imports pandas"),
        ("geo.chips", "def f():\n    import torch", "geo.chips imports torch"),
        ("geo.chips", "from spatioformer import models", "geo.chips imports models"),
        ("evaluation.units", "import geopandas", "evaluation.units imports geopandas"),
        ("evaluation.units", "from spatioformer.common.files import writing", None),
        ("evaluation.units", "from spatioformer.geo import grid", "evaluation.units imports geo"),
        ("training.loop", "import spatioformer.models", "training.loop imports models"),
        ("models.base", "import spatioformer.run.jobs", "models.base imports run"),
        (
            "mapping.plan",
            "if TYPE_CHECKING:\n    from spatioformer.run import Run",
            "mapping.plan imports run",
        ),
        ("training.loop", "from spatioformer import load", "training.loop imports __init__"),
        ("surprise", "", "surprise is on no floor"),
    ],
)
def test_the_check_can_fail(module, line, found):
    assert violations({module: line}) == ([found] if found else [])


def test_the_search_for_circles_can_fail():
    modules = {
        "models.base": "if TYPE_CHECKING:\n    from spatioformer.models import card",
        "models.card": "def f():\n    from spatioformer.models.base import Model",
    }
    assert set(circle(modules, "spatioformer")) == {"models.base", "models.card"}


def test_evaluation_knows_nothing_of_files():
    """They are on a lower floor, yet numpy in, numpy out."""
    known = {
        imported.split(".")[1] if imported.count(".") < 3 else ".".join(imported.split(".")[1:3])
        for name, source in sources(PACKAGE).items()
        if name.startswith("evaluation.")
        for imported in imports(source)
        if imported.startswith("spatioformer.")
    }
    assert {name.split(".")[0] for name in known} == {"evaluation", "common"}
    assert {name for name in known if name.startswith("common")} <= {
        "common.errors",
        "common.earth",
        "common.streams",
        "common.threads",
    }


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
    assert spatioformer.load.__module__ == "spatioformer.models.store"
    assert spatioformer.map_raster.__module__ == "spatioformer.mapping"
    assert {"load", "map_raster", "__version__"} <= set(dir(spatioformer))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        spatioformer.lod  # noqa: B018
