"""Load a model from its folder: weights, configuration (JSON) and model card (Markdown).

Weights of networks are stored as safetensors, those of scikit-learn's models as skops. No file is
pickled, so loading a model runs no code from the folder.
"""

from pathlib import Path

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.common.version import __version__
from spatioformer.models.base import Model
from spatioformer.models.network import NetworkModel
from spatioformer.models.stack import StackModel
from spatioformer.models.tabular import TabularModel

KINDS: dict[str, type[Model]] = {
    kind.kind: kind for kind in (NetworkModel, TabularModel, StackModel)
}


def load(folder: str | Path) -> Model:
    """Load a model; `load(folder).predict(chips, lon, lat)` predicts with it.

    Raises:
        ModelError: the folder is not a model folder, it is incomplete, or this version cannot read
            its files.
    """
    folder = Path(folder)
    _need(folder, "config.json")
    try:
        config = read_json(folder / "config.json")
        kind = KINDS[config.get("kind", NetworkModel.kind)]  # absent in the first models of 0.1
        _need(folder, kind.weights)
        members = {name: load(folder / "members" / name) for name in config.get("members", ())}
        model = kind.read(config, members)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not describe a model that this version "
            f"({__version__}) can read ({type(error).__name__}: {error}); train the model again"
        ) from error
    model.read_weights(folder / kind.weights)
    return model


def _need(folder: Path, name: str) -> None:
    """Check that a file of a model folder exists.

    Raises:
        ModelError: it does not exist.
    """
    if not (folder / name).is_file():
        raise ModelError(
            f"{folder} is not a model folder: {name} is missing; give a folder that "
            "`spatioformer train` wrote"
        )
