"""A model as a folder: weights, configuration (JSON), model card (Markdown).

Weights of networks lie in safetensors, those of scikit-learn's models in skops. Nothing in a bundle
is pickled, so loading one runs no code of its maker.
"""

from pathlib import Path

from spatioformer import __version__
from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.models.base import OutsideExtent, TrainedModel
from spatioformer.models.network import Bundle
from spatioformer.models.stack import StackBundle
from spatioformer.models.tabular import TabularBundle

__all__ = ["Bundle", "OutsideExtent", "StackBundle", "TabularBundle", "TrainedModel", "load"]

KINDS: dict[str, type[TrainedModel]] = {
    one.kind: one for one in (Bundle, TabularBundle, StackBundle)
}


def load(folder: str | Path) -> TrainedModel:
    """Open a bundle folder; `load(folder).predict(chips, lon, lat)` is the door to a model.

    Raises:
        ModelError: the folder is no bundle, incomplete, of another architecture, or holds what a
            bundle does not.
    """
    folder = Path(folder)
    _need(folder, "config.json")
    try:
        config = read_json(folder / "config.json")
        kind = KINDS[config.get("kind", Bundle.kind)]  # absent in bundles of before other kinds
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
