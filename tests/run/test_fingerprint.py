"""What a stage's result depends on: the modules really used, and the libraries' minor versions."""

import ast
import importlib
import importlib.metadata
import json
import sys
import types
from pathlib import Path

import pytest

import spatioformer as package
from spatioformer.common.files import hash_value
from spatioformer.run import fingerprint
from spatioformer.run.fingerprint import changes, dependencies, flat, resolve, source_file
from spatioformer.run.runner import Run
from spatioformer.run.stages import STAGES
from tests.helpers.tiny_run import finished, spatioformer

pytestmark = pytest.mark.integration

ALL = set(STAGES)
AFTER_CHIPS = ALL - {"plots", "imagery", "chips"}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """Configuration of a finished run, which the tests read and do not change."""
    return finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def fresh():
    """Dependencies are searched anew in this test, and those it pretends are forgotten after it."""
    dependencies.cache_clear()
    yield
    dependencies.cache_clear()


@pytest.fixture
def edit(monkeypatch, fresh, tmp_path):
    """Makes the search see another source for a module."""
    copies: dict[str, Path] = {}
    unedited = fingerprint.source_file
    monkeypatch.setattr(
        fingerprint, "source_file", lambda module: copies.get(module) or unedited(module)
    )

    def edited(module: str, text: str) -> None:
        dependencies.cache_clear()
        original = source_file(module)
        copies[module] = tmp_path / f"{module}-{hash_value(text)[:8]}" / original.name
        copies[module].parent.mkdir()
        copies[module].write_text(original.read_text() + text)

    return edited


@pytest.fixture
def pretend(monkeypatch, fresh):
    """Makes a library have another version."""
    installed = fingerprint.version

    def pretended(library: str, number: str) -> None:
        dependencies.cache_clear()
        monkeypatch.setattr(
            fingerprint,
            "version",
            lambda name: number if name == library else installed(name),
        )

    return pretended


def stale(config: Path, *changed: str) -> set[str]:
    run = Run(config, changed)
    return {name for name in STAGES if not run.is_current(name)}


@pytest.mark.parametrize("module", ["gpt", "vit", "seq2seq", "text_encoder"])
def test_a_network_that_no_stage_uses_makes_nothing_old(config, edit, module):
    edit(f"spatioformer.nn.{module}", "\n# edited\n")
    assert stale(config) == set()


def test_a_network_that_is_used_makes_the_training_old(config, edit):
    edit("spatioformer.nn.transformer", "\n# edited\n")
    assert stale(config) == AFTER_CHIPS


def test_a_package_that_only_passes_names_on_makes_nothing_old(config, edit):
    edit("spatioformer.nn", "\n# edited\n")
    edit("spatioformer.evaluation", "\n# edited\n")
    assert stale(config) == set()


@pytest.mark.parametrize("library", ["scikit-learn", "torch"])
def test_a_library_counts_by_its_minor_version(config, pretend, library):
    major, minor, *_ = importlib.metadata.version(library).split(".")
    pretend(library, f"{major}.{minor}.987+cu99")
    assert stale(config) == set(), "a patch"
    pretend(library, f"{major}.{int(minor) + 1}.0")
    assert stale(config) == AFTER_CHIPS


def test_a_stage_depends_on_the_libraries_it_imports():
    def libraries(stage: str) -> set[str]:
        return set(dependencies(STAGES[stage].run).libraries)

    assert {"numpy", "pandas", "pyproj"} <= libraries("plots")
    assert {"torch", "scikit-learn", "rasterio"}.isdisjoint(libraries("plots"))
    assert "rasterio" in libraries("imagery")
    assert {"torch", "scikit-learn"}.isdisjoint(libraries("imagery") | libraries("chips"))
    assert {"torch", "scikit-learn"} <= libraries("train") & libraries("evaluate")
    assert {"jinja2", "matplotlib"} <= {name.lower() for name in libraries("report")}
    assert "matplotlib" not in libraries("evaluate")


def test_imports_for_type_checkers_alone_do_not_count(config, edit):
    lines = (
        "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    import torch\n    from spatioformer.nn.gpt import GPT\n"
    )
    before = dependencies(STAGES["plots"].run)
    edit("spatioformer.geo.plots.table", lines)
    after = dependencies(STAGES["plots"].run)
    assert after.libraries == before.libraries
    assert set(after.code) == set(before.code)
    edit("spatioformer.geo.plots.table", lines.replace("if TYPE_CHECKING", "if print()"))
    after = dependencies(STAGES["plots"].run)
    assert {"nn.gpt", "nn.transformer"} <= set(after.code)
    assert "torch" in after.libraries


# --- where a name comes from ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("spatioformer.nn", "GPT", "spatioformer.nn.gpt"),  # imported by the package
        ("spatioformer.nn", "gpt", "spatioformer.nn.gpt"),  # a submodule
        ("spatioformer.evaluation", "KNNDM", "spatioformer.evaluation.knndm"),  # offered lazily
        ("spatioformer", "load", "spatioformer.models.store"),
        ("spatioformer", "map_raster", "spatioformer.mapping"),
        ("spatioformer", "__version__", "spatioformer.common.version"),
        ("spatioformer.mapping", "map_raster", "spatioformer.mapping"),
        ("spatioformer.mapping", "Output", "spatioformer.mapping.options"),
        ("spatioformer.mapping", "raster", "spatioformer.mapping.raster"),
        ("spatioformer.run", "Run", "spatioformer.run.runner"),
        ("spatioformer.nn", None, "spatioformer.nn"),
        ("spatioformer.nn.vit", "ViT", "spatioformer.nn.vit"),
        ("spatioformer.nn", "nothing", "spatioformer.nn"),
    ],
)
def test_a_name_leads_to_the_module_that_defines_it(module, name, expected):
    assert resolve(module, name) == expected


@pytest.mark.slow
def test_every_import_from_a_package_is_traced():
    """Checked against Python: a class or function knows the module that defines it."""
    root = Path(package.__file__).parent
    wrong, count = [], 0
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or ""
            if not isinstance(node, ast.ImportFrom) or module.split(".")[0] != "spatioformer":
                continue
            if source_file(module).name != "__init__.py":
                continue
            for alias in node.names:
                value = getattr(importlib.import_module(module), alias.name, None)
                if value is None or isinstance(value, types.ModuleType):
                    home = importlib.import_module(f"{module}.{alias.name}").__name__
                else:
                    home = getattr(value, "__module__", module)
                count += 1
                if home.startswith("spatioformer") and resolve(module, alias.name) != home:
                    wrong.append((path.name, module, alias.name, home))
    assert count > 50
    assert wrong == []


def test_names_that_a_function_binds_are_not_its_module_s(tmp_path, fresh, monkeypatch):
    (tmp_path / "stages_of_ours.py").write_text(
        "import json\nfrom spatioformer.geo import crs\nSIZE = 3\nOTHER = 4\n"
        "def plots():\n    return 1\n"
        "def stage(SIZE_=SIZE):\n    plots = 2\n    return [json for crs in (plots,)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("stages_of_ours")
    monkeypatch.delitem(sys.modules, "stages_of_ours")
    assert set(dependencies(module.stage).code) == {"stages_of_ours.SIZE", "stages_of_ours.stage"}


# --- why a stage runs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "stage", "reason"),
    [
        ("train.epochs=3", "train", "config: train.epochs changed"),
        ("train.epochs=3", "plots", None),
        ("train.epochs=3", "map", "train and 1 more changed"),
        ("seed=1", "map", "config: seed changed"),
        ("imagery.layers.0.scale=2", "imagery", "config: imagery.layers.0.scale changed"),
        ("plots.columns.programme=plot", "plots", "config: plots.columns.programme changed"),
        ("train={epochs: 3, batch: 7}", "train", "config: train.epochs and 2 more changed"),
    ],
)
def test_a_change_of_the_configuration_is_named(config, change, stage, reason):
    assert Run(config, [change]).reason(stage) == reason


def test_the_command_says_why(tmp_path, edit, pretend):
    config = finished(tmp_path)
    (tmp_path / "run" / "plots.parquet").unlink()
    with (tmp_path / "image.tif").open("ab") as stream:
        stream.write(b" ")
    edit("spatioformer.geo.chips", "\n# edited\n")
    pretend("pyproj", "99.1.2")
    lines = spatioformer("chips", config).err.splitlines()
    old = importlib.metadata.version("pyproj").rpartition(".")[0]
    update = f"libraries: pyproj {old} -> 99.1"
    assert f"plots     {update} ..." in lines
    assert f"imagery   image.tif changed; {update} ..." in lines
    assert f"chips     code: geo.chips changed; {update} ..." in lines
    (tmp_path / "run" / "plots.parquet").unlink()
    assert Run(config).reason("plots") == "plots.parquet is missing"
    assert "plots     forced ..." in spatioformer("plots", config, "--force").err.splitlines()


def test_a_run_of_an_older_version_is_computed_once_anew(tmp_path):
    """Records of version 0.1 have no parts."""
    config = finished(tmp_path)
    record = tmp_path / "run" / ".stages" / "plots.json"
    value = json.loads(record.read_text())
    record.write_text(json.dumps({k: v for k, v in value.items() if k != "parts"}))
    assert stale(config) == set()
    record.write_text(json.dumps({"fingerprint": "0", "outputs": {}, "seconds": 1}))
    said = spatioformer("plots", config).err.splitlines()
    assert said[0] == "plots     made by an older version of spatioformer ..."
    assert spatioformer("plots", config).err == "plots     unchanged, kept\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": 1}'])
def test_a_damaged_record_is_no_record(tmp_path, text):
    config = finished(tmp_path)
    (tmp_path / "run" / ".stages" / "plots.json").write_text(text)
    assert Run(config).reason("plots") == ""


def test_changes_of_several_kinds_stand_in_one_line():
    parts = {"inputs": {}, "config": {}, "code": {}, "libraries": {}, "needs": {}}
    before = parts | {"config": {"seed": 0, "a": (1, 2)}, "libraries": {"torch": "2.1"}}
    now = parts | {"config": {"seed": 1, "a": [1, 2], "b": None}, "libraries": {"numpy": "2.0"}}
    assert changes(before, now) == (
        "config: seed and 1 more changed; libraries: numpy none -> 2.0 and 1 more"
    )
    assert changes(now, now) == ""
    assert changes({}, parts | {"needs": {"chips": "a"}}) == "chips changed"


def test_a_configuration_is_compared_key_by_key():
    value = {"grid": None, "layers": [{"path": "a", "bands": [1, 2]}], "masks": [], "x": {}}
    assert flat(value, "imagery") == {
        "imagery.grid": None,
        "imagery.layers.0.path": "a",
        "imagery.layers.0.bands": [1, 2],
        "imagery.masks": [],
        "imagery.x": {},
    }
    assert flat(3, "seed") == {"seed": 3}
