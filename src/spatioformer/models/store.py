"""From a folder to a model: weights, configuration (JSON), model card (Markdown).

Weights of networks lie in safetensors, those of scikit-learn's models in skops. Nothing in a folder
is pickled, so loading a model runs no code of its maker.
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
    """Open the folder of a model; `load(folder).predict(chips, lon, lat)` predicts with it.

    Raises:
        ModelError: the folder is no model's, incomplete, of another architecture, or holds what a
            model's folder does not.
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
            f"{folder / 'config.json'} does not describe a model this version "
            f"({__version__}) knows ({type(error).__name__}: {error}); train it again"
        ) from error
    model.read_weights(folder / kind.weights)
    return model


def _need(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise ModelError(
            f"{folder} is no model bundle: {name} is missing; give a folder that "
            "`spatioformer train` wrote"
        )
