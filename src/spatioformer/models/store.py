"""Load a model from its folder: weights, configuration (JSON) and model card (Markdown).

Weights of networks are stored as safetensors, those of scikit-learn's models as skops. No file is
pickled, so loading a model runs no code from the folder.
"""

import re
from pathlib import Path

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.common.version import __version__
from spatioformer.models.base import Model
from spatioformer.models.config_types import check_arguments, check_types
from spatioformer.models.licence import licence_in
from spatioformer.models.network import NetworkModel
from spatioformer.models.stack import StackModel
from spatioformer.models.tabular import TabularModel

MOST_CONFIG_BYTES = 64_000_000
DEEPEST = 3  # stacks of stacks

KINDS: dict[str, type[Model]] = {
    kind.kind: kind for kind in (NetworkModel, TabularModel, StackModel)
}


def load(folder: str | Path) -> Model:
    """Load a model; `load(folder).predict(chips, lon, lat)` predicts with it.

    Raises:
        ModelError: the folder is not a model folder, it is incomplete, or this version cannot read
            its files.
    """
    model = _load(Path(folder), 0)
    licence = licence_in(Path(folder))
    return model if licence is None else model.with_facts(model.facts | {"licence": licence})


def _load(folder: Path, depth: int) -> Model:
    """Load a model that is a member of `depth` others."""
    _need(folder, "config.json")
    try:
        if (folder / "config.json").stat().st_size > MOST_CONFIG_BYTES:
            raise ValueError(f"it has more than {MOST_CONFIG_BYTES:.0e} bytes")
        config = read_json(folder / "config.json")
        kind = KINDS[config.get("kind", NetworkModel.kind)]  # absent in the first models of 0.1
        _need(folder, kind.weights)
        names = [_member(name) for name in config.get("members", ())]
        if names and depth >= DEEPEST:
            raise ValueError("its members have members in turn too many times")
        members = {name: _load(folder / "members" / name, depth + 1) for name in names}
        check_types(config)
        check_arguments([config.get("arguments"), config.get("scaling")])
        model = kind.read(config, members)
    except ModelError:
        raise
    except Exception as error:  # the content of config.json can be anything
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{folder / 'config.json'} does not describe a model that this version "
            f"({__version__}) can read ({type(error).__name__}: {reason}); train the model again"
        ) from error
    try:
        model.read_weights(folder / kind.weights)
    except ModelError:
        raise
    except Exception as error:  # a configuration of the right types may fit no weights
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{folder / kind.weights} and config.json do not fit each other "
            f"({type(error).__name__}: {reason}); copy or train the model again"
        ) from error
    return model


def _member(name: object) -> str:
    """A member's name, if it is the name of a folder and not a path."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w. +-]*", name):
        raise ValueError(f"{name!r} is not the name of a member")
    return name


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
