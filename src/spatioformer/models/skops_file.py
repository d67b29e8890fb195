"""A fitted regressor as a file from which nobody's code is run.

skops writes a regressor's attributes as JSON and .npy, and on loading makes nothing but the types
it is told to trust: scikit-learn's, numpy's, and those of TRUSTED. Trees are indices into arrays
that compiled code follows without looking, so they are looked at here.
"""

import io
import json
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.neighbors import KNeighborsRegressor

from spatioformer.common.errors import ModelError
from spatioformer.models import baselines

TRUSTED = (
    *(
        f"{one.__module__}.{one.__name__}"
        for one in vars(baselines).values()
        if isinstance(one, type) and issubclass(one, BaseEstimator)
    ),
    "spatioformer.models.baselines.neighbours._inverse_distance",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.HaversineDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.tree._tree.Tree",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",  # its state is the text of its trees
    "lightgbm.sklearn.LGBMRegressor",
)
"""Types that skops does not know: the regressors that `baselines` names, and what those and
scikit-learn's consist of."""

HERE, IN_FILES = "spatioformer.models.baselines", "spatioformer.baselines"
"""Package of our regressors, and its name in files, which stays when the code moves."""


def open_regressor(path: Path, width: int) -> RegressorMixin:
    """The regressor in a file, for tables of `width` columns.

    Raises:
        ModelError: the file is damaged, or holds a type that no baseline consists of.
    """
    from skops import io as skops
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with warnings.catch_warnings():
            # TabularModel.read_weights has checked the version of scikit-learn.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            regressor = skops.loads(_with_our_names(path), trusted=list(TRUSTED))
        if not isinstance(regressor, RegressorMixin):
            raise ValueError(f"a {type(regressor).__name__} is no regressor")
        _mend(regressor, width)
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"{path} holds what no model of ours consists of, and is not opened "
            f"({str(error).splitlines()[0]}); train the model again, or get it from whom you trust"
        ) from error
    except Exception as error:  # a damaged file can fail in any way
        words = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"{path} is damaged or of another version ({words}); copy or train the model again"
        ) from error
    return regressor


def _with_our_names(path: Path) -> bytes:
    """The content of a skops file, our types under the names that they have in this version."""
    with ZipFile(path) as source:
        files = {name: source.read(name) for name in source.namelist()}
    files["schema.json"] = _renamed(files["schema.json"], IN_FILES, HERE)
    return _zipped(files)


def _renamed(schema: bytes, old: str, new: str) -> bytes:
    """skops' schema with the modules of one package named as those of another."""
    return schema.replace(f'"__module__": "{old}.'.encode(), f'"__module__": "{new}.'.encode())


def _mend(model: BaseEstimator, width: int) -> None:
    """Trees of a file are checked, and those of neighbours are grown anew.

    Raises:
        ValueError: a tree that leads out of itself, or asks for a column there is not.
    """
    for tree in getattr(model, "estimators_", ()):
        nodes, leaf = tree.tree_, tree.tree_.children_left == -1
        _check_tree(nodes.children_left, nodes.children_right, nodes.feature, leaf, width)
    for (predictor,) in getattr(model, "_predictors", ()):
        nodes = predictor.nodes
        leaf = nodes["is_leaf"] != 0
        if nodes["is_categorical"].any():
            raise ValueError("a tree of categories, which no model of ours has")
        _check_tree(nodes["left"], nodes["right"], nodes["feature_idx"], leaf, width)
    if isinstance(model, KNeighborsRegressor):
        model.fit(model._fit_X, model._y)
    for part in vars(model).values():
        if isinstance(part, BaseEstimator):
            _mend(part, width)


def _check_tree(
    left: np.ndarray, right: np.ndarray, feature: np.ndarray, leaf: np.ndarray, width: int
) -> None:
    """Children come after their parents, so that every way ends in a leaf of the tree."""
    own = np.flatnonzero(~leaf)
    for child in (np.asarray(left)[own], np.asarray(right)[own]):
        if not ((child > own) & (child < len(leaf))).all():
            raise ValueError("a tree leads out of itself")
    columns = np.asarray(feature)[own]
    if not len(leaf) or not ((columns >= 0) & (columns < width)).all():
        raise ValueError(f"a tree looks at columns beyond the {width} there are")


def canonical(regressor: RegressorMixin) -> bytes:
    """The regressor as skops writes it, the same bytes for the same regressor.

    skops names parts by their place in memory and dates them, and the nodes of a tree have gaps
    with whatever lay there; here parts are numbered as they come, undated, and gaps are empty.
    """
    from skops import io as skops

    with ZipFile(io.BytesIO(skops.dumps(regressor))) as source:
        numbers: dict[str, str] = {}
        schema = _numbered(json.loads(source.read("schema.json")), numbers)
        files = {"schema.json": _renamed(json.dumps(schema).encode(), HERE, IN_FILES)}
        for name in source.namelist():
            if name != "schema.json":
                files[numbers[name]] = _without_padding(source.read(name))
    return _zipped(files)


def _zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP file, the same bytes for the same content: sorted by name and dated 1980."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as target:
        for name in sorted(files):
            entry = ZipInfo(name)
            entry.compress_type = ZIP_DEFLATED
            target.writestr(entry, files[name])
    return out.getvalue()


def _without_padding(content: bytes) -> bytes:
    """An .npy file; of records, with zeros in the gaps between their fields."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if not array.dtype.names:
        return content
    clean = bytearray(array.nbytes)  # copies of an array need not have its gaps
    fields = np.frombuffer(clean, array.dtype).reshape(array.shape)
    for name in array.dtype.names:
        fields[name] = array[name]
    return content[: len(content) - len(clean)] + bytes(clean)


def _numbered(node: Any, numbers: dict[str, str]) -> Any:
    """A part of skops' schema, its parts numbered in order.

    Args:
        numbers: what was named by its place -> its number; files under their whole names.
    """
    if isinstance(node, list):
        return [_numbered(part, numbers) for part in node]
    if not isinstance(node, dict):
        return node
    made = dict(node)
    if "__id__" in node:
        # Plain values share a place in memory or do not as Python pleases: each has its own number.
        plain = node.get("is_json", False)
        key = f"{len(numbers)}, plain" if plain else str(node["__id__"])
        made["__id__"] = int(numbers.setdefault(key, str(len(numbers))))
    if "file" in node:
        suffix = Path(node["file"]).suffix
        made["file"] = numbers.setdefault(node["file"], f"{len(numbers)}{suffix}")
    return {
        key: value if key in ("__id__", "file") else _numbered(value, numbers)
        for key, value in made.items()
    }
