"""Save and load fitted regressors as skops files, which run no code when loaded.

skops writes the attributes of a regressor as JSON and .npy. It loads only trusted types: those of
scikit-learn and numpy, and TRUSTED. Compiled code follows the node indices of trees without a
check, so this module checks them.
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
        f"{member.__module__}.{member.__name__}"
        for member in vars(baselines).values()
        if isinstance(member, type) and issubclass(member, BaseEstimator)
    ),
    "spatioformer.models.baselines.neighbours._inverse_distance",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.HaversineDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.tree._tree.Tree",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",  # its state is text that describes the trees
    "lightgbm.sklearn.LGBMRegressor",
)
"""Types that skops does not trust by default: the regressors of `baselines`, and the types of the
attributes of those and of scikit-learn's regressors."""

MOST_SCHEMA_BYTES, MOST_BYTES = 64_000_000, 8_000_000_000

PACKAGE, PACKAGE_IN_FILES = "spatioformer.models.baselines", "spatioformer.baselines"
"""Package of the project's regressors, and its name in files, which stays when the code moves."""


def open_regressor(path: Path, width: int) -> RegressorMixin:
    """Load a regressor from a file.

    Args:
        width: number of features; trees that use more features are refused.

    Raises:
        ModelError: the file is damaged, or holds a type that is not trusted.
    """
    from skops import io as skops
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with warnings.catch_warnings():
            # TabularModel.read_weights has checked the version of scikit-learn.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            regressor = skops.loads(_with_our_names(path), trusted=list(TRUSTED))
        if not isinstance(regressor, RegressorMixin):
            raise ValueError(f"a {type(regressor).__name__} is not a regressor")
        _check_and_rebuild(regressor, width)
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"{path} holds a type that is not trusted, so it is not loaded "
            f"({str(error).splitlines()[0]}); train the model again, or get it from a "
            "trusted source"
        ) from error
    except Exception as error:  # a damaged file can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"{path} is damaged or of another version ({reason}); copy or train the model again"
        ) from error
    return regressor


def _with_our_names(path: Path) -> bytes:
    """The content of a skops file, with the module names of this version."""
    with ZipFile(path) as source:
        sizes = {entry.filename: entry.file_size for entry in source.infolist()}
        if sizes["schema.json"] > MOST_SCHEMA_BYTES or sum(sizes.values()) > MOST_BYTES:
            raise ValueError(
                f"it unpacks to {sum(sizes.values()):.3g} bytes, of which its schema has "
                f"{sizes['schema.json']:.3g}, above the limit"
            )
        files = {name: source.read(name) for name in source.namelist()}
    files["schema.json"] = _renamed(files["schema.json"], PACKAGE_IN_FILES, PACKAGE)
    return _zipped(files)


def _renamed(schema: bytes, old: str, new: str) -> bytes:
    """Replace the package `old` by `new` in the module names of a skops schema."""
    return schema.replace(f'"__module__": "{old}.'.encode(), f'"__module__": "{new}.'.encode())


def _check_and_rebuild(model: BaseEstimator, width: int) -> None:
    """Check the decision trees of a loaded model, and rebuild search trees of neighbours.

    Raises:
        ValueError: a tree has a node index out of its range, or uses a missing feature.
    """
    for tree in getattr(model, "estimators_", ()):
        nodes, leaf = tree.tree_, tree.tree_.children_left == -1
        _check_tree(nodes.children_left, nodes.children_right, nodes.feature, leaf, width)
    for (predictor,) in getattr(model, "_predictors", ()):
        nodes = predictor.nodes
        leaf = nodes["is_leaf"] != 0
        if nodes["is_categorical"].any():
            raise ValueError("a tree splits categories, which no model of the project does")
        _check_tree(nodes["left"], nodes["right"], nodes["feature_idx"], leaf, width)
    if isinstance(model, KNeighborsRegressor):
        model.fit(model._fit_X, model._y)
    for name, part in vars(model).items():
        if isinstance(part, np.ndarray) and part.dtype.kind == "f" and not np.isfinite(part).all():
            raise ValueError(f"{name} has values that are not finite")
        for inner in part if isinstance(part, list) and name != "estimators_" else [part]:
            if isinstance(inner, BaseEstimator):
                _check_and_rebuild(inner, width)


def _check_tree(
    left: np.ndarray, right: np.ndarray, feature: np.ndarray, leaf: np.ndarray, width: int
) -> None:
    """Check that children come after their parents, so that every path ends in a leaf.

    Args:
        left, right, feature: int (nodes,), children and feature of each node.
        leaf: bool (nodes,).

    Raises:
        ValueError: a child has an index out of its range, or a feature does not exist.
    """
    parents = np.flatnonzero(~leaf)
    for child in (np.asarray(left)[parents], np.asarray(right)[parents]):
        if not ((child > parents) & (child < len(leaf))).all():
            raise ValueError("a tree has a child node out of its range")
    columns = np.asarray(feature)[parents]
    if not len(leaf) or not ((columns >= 0) & (columns < width)).all():
        raise ValueError(f"a tree uses a feature beyond the {width} features of the model")


def canonical(regressor: RegressorMixin) -> bytes:
    """A regressor as a skops file with reproducible bytes.

    skops names objects by memory address and writes timestamps, and padding bytes of tree nodes are
    arbitrary. This function numbers the objects in order, omits timestamps and sets padding to 0.
    """
    from skops import io as skops

    with ZipFile(io.BytesIO(skops.dumps(regressor))) as source:
        numbers: dict[str, str] = {}
        schema = _numbered(json.loads(source.read("schema.json")), numbers)
        files = {"schema.json": _renamed(json.dumps(schema).encode(), PACKAGE, PACKAGE_IN_FILES)}
        for name in source.namelist():
            if name != "schema.json":
                files[numbers[name]] = _without_padding(source.read(name))
    return _zipped(files)


def _zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP file with reproducible bytes: sorted by name, with 1980 as the date."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as target:
        for name in sorted(files):
            entry = ZipInfo(name)
            entry.compress_type = ZIP_DEFLATED
            target.writestr(entry, files[name])
    return out.getvalue()


def _without_padding(content: bytes) -> bytes:
    """The content of an .npy file; padding bytes between the fields of records are set to 0."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if not array.dtype.names:
        return content
    clean = bytearray(array.nbytes)  # a copy of the array may not keep the padding
    fields = np.frombuffer(clean, array.dtype).reshape(array.shape)
    for name in array.dtype.names:
        fields[name] = array[name]
    return content[: len(content) - len(clean)] + bytes(clean)


def _numbered(node: Any, numbers: dict[str, str]) -> Any:
    """A node of a skops schema, with objects numbered in order instead of named by address.

    Args:
        node: part of the schema.
        numbers: address of an object -> its number, and file name -> new file name; filled here.
    """
    if isinstance(node, list):
        return [_numbered(part, numbers) for part in node]
    if not isinstance(node, dict):
        return node
    renamed = dict(node)
    if "__id__" in node:
        # Python may reuse the address of plain values, so each of them gets a new number.
        plain = node.get("is_json", False)
        key = f"{len(numbers)}, plain" if plain else str(node["__id__"])
        renamed["__id__"] = int(numbers.setdefault(key, str(len(numbers))))
    if "file" in node:
        suffix = Path(node["file"]).suffix
        renamed["file"] = numbers.setdefault(node["file"], f"{len(numbers)}{suffix}")
    return {
        key: value if key in ("__id__", "file") else _numbered(value, numbers)
        for key, value in renamed.items()
    }
