"""The example notebooks run, and end with the values that they promise."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import pytest

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples"

CHECKS = {
    "plots_and_rasters": """
from math import isnan
assert len(plots) == 200 and imagery.bands == ["greenness", "rain"]
process = scores[scores["model"] == "Gaussian process"]
assert process["r2"].min() > 0.4, scores
assert richness.shape == (64, 64) and richness.rio.crs.to_epsg() == 4326
assert isnan(richness[0, 0]) and abs(float(richness.mean()) - plots["richness"].mean()) < 3
""",
    "plain_table": """
rmse = dict(zip(scores["model"], scores["rmse"]))
assert rmse["with places"] < 0.9 * rmse["without places"], rmse
assert search.best_score_ > 0.6, search.best_score_
""",
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> Iterator[Any]:
    """One kernel for all notebooks, which imports the libraries once."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient and nbformat run the notebooks")
    empty = pytest.importorskip("nbformat").v4.new_notebook()
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("notebooks"))}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        client = nbclient.NotebookClient(empty, timeout=300, resources=resources)
        with client.setup_kernel():
            yield client


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_the_cells_of_a_notebook_run(name):
    """In this process, which has imported the libraries."""
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert len(cells) >= 5
    names: dict[str, Any] = {}
    for index, cell in enumerate([*cells, CHECKS[name]]):
        exec(compile(cell, f"{name}.ipynb, code cell {index}", "exec"), names)
    matplotlib.pyplot.close("all")


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_a_kernel_runs_a_notebook(name, kernel):
    import nbformat

    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS[name]))
    kernel.nb = notebook
    kernel.execute_cell(nbformat.v4.new_code_cell("%reset -f"), 0, store_history=False)
    for index, cell in enumerate(notebook.cells):
        kernel.execute_cell(cell, index)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    assert path.stem in CHECKS
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
