"""Models written by version 0.1 open in this version and predict the same numbers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn

from spatioformer.common.files import read_json
from spatioformer.models.store import load

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "data" / "models-0.1"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "expected.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_every_kind_is_there():
    assert set(NAMES) == {
        *("spatioformer", "spatioformer-dense", "spatioformer-distilled", "spatioformer-published"),
        *("spatioformer-no-location", "spatioformer-stacked", "cnn-published", "factoformer"),
        *("random-forest", "extra-trees", "gradient-boosting", "lightgbm", "forest-kriging"),
        *("gaussian-process", "location-knn", "ensemble", "covariates"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_old_model_predicts_what_it_predicted(name, arrays, tmp_path):
    _skip_other_scikit_learn(name)
    side = "7" if name == "cnn-published" else ""
    inputs = [arrays[f"{key}{side}"] for key in ("chips", "lon", "lat")]
    model = load(FOLDER / name)
    predictions = model.predict(*inputs)
    np.testing.assert_allclose(predictions, arrays[name], rtol=1e-6)
    again = load(model.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict(*inputs), predictions)


@pytest.mark.parametrize("name", ["gaussian-process", "location-knn", "forest-kriging"])
def test_regressors_keep_their_names_in_files(name, tmp_path):
    """A model saved anew has the same bytes, whatever its module is called today."""
    _skip_other_scikit_learn(name)
    copy = load(FOLDER / name).save(tmp_path / "copy")
    assert (copy / "model.skops").read_bytes() == (FOLDER / name / "model.skops").read_bytes()


def test_the_proof_can_fail(arrays, tmp_path):
    folder = shutil.copytree(FOLDER / "spatioformer", tmp_path / "model")
    shutil.copy(FOLDER / "spatioformer-dense" / "config.json", folder / "config.json")
    with pytest.raises(Exception, match="does not fit its config"):
        load(folder)


def _skip_other_scikit_learn(name: str) -> None:
    parts = [FOLDER / name, *(FOLDER / name / "members").glob("*")]
    versions = {read_json(part / "config.json").get("scikit-learn") for part in parts} - {None}
    series = ".".join(sklearn.__version__.split(".")[:2])
    if any(not version.startswith(f"{series}.") for version in versions):
        pytest.skip(f"written with scikit-learn {versions}, which {sklearn.__version__} refuses")
