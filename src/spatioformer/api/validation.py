"""Held-out predictions and scores of models on plots or tables, split by split."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing, indexable

from spatioformer.api.adapter import PlotRegressor
from spatioformer.api.archives import LazyImagery
from spatioformer.api.imagery import Imagery
from spatioformer.api.tables import Column, Floats, Layout, places
from spatioformer.common.errors import ArgumentError
from spatioformer.evaluation.knndm import KNNDM
from spatioformer.evaluation.splits import (
    BufferedKFold,
    LeaveRegionOut,
    RandomKFold,
    SpatialBlockKFold,
    Splitter,
)
from spatioformer.models.base import OutsideExtent
from spatioformer.run.evaluate import score_table
from spatioformer.run.folds import prediction_points

Rows: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = list[tuple[Rows, Rows]]

SPLIT_NAMES: dict[type, str] = {
    RandomKFold: "random",
    SpatialBlockKFold: "tiles",
    KNNDM: "knndm",
    LeaveRegionOut: "regions",
    BufferedKFold: "buffered",
}
"""What a run's configuration calls the kinds of splits."""


class Splits(Protocol):
    """A splitter in scikit-learn's protocol, such as `spatioformer.KNNDM` or sklearn's KFold."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield (train, test) row numbers, fold by fold."""
        ...


class Scores(pd.DataFrame):
    """Scores, one row a split and model, and what they were computed from.

    Attributes:
        predictions: every held-out prediction: model, split, fold, lon, lat (degrees, NaN without
            places), observed, predicted (species).
    """

    _metadata = ["predictions"]  # noqa: RUF012 - pandas' way to carry an attribute along
    predictions: pd.DataFrame

    @property
    def _constructor(self) -> type["Scores"]:
        return Scores


def cross_validate(
    estimators: Any | Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    splits: Splits | Sequence[Splits] | Mapping[str, Splits],
    coordinates: ArrayLike | tuple[Column, Column] | None = None,
) -> Scores:
    """Fit models without each fold in turn, predict it, and score all predictions together.

    All models see the same folds. Scores are pooled over the folds, not averaged.

    Args:
        estimators: one estimator, or name -> estimator. They are cloned, not changed. With a table
            any scikit-learn regressor or Pipeline will do.
        X: plots as `read_plots` gives them; or features, a DataFrame or array (n, columns).
        y: the imagery; or the number of species of each row, (n,).
        splits: one or several splitters, or name -> splitter. Without names they are called as in
            a run: random, tiles, knndm, regions. `KNNDM` without prediction points takes them from
            the imagery.
        coordinates: of a table, the places that the splits divide: names of two columns of X, or
            degrees (n, 2). None takes the columns that an estimator names. Without any places only
            `RandomKFold` and scikit-learn's own splitters can be used.

    Returns:
        Columns model, split, n, r, r2 (1 - SSE/SST), rmse, mae and bias (species). The attribute
        `predictions` holds every held-out prediction.

    Raises:
        ArgumentError: splits and data that do not fit together.
        EvaluationError: too few plots for the folds.
        SpatioformerError: plots, imagery or a training that cannot be used.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> import spatioformer as sf
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.uniform(size=(60, 3)), columns=["lon", "lat", "ndvi"])
        >>> y = rng.poisson(10 + 20 * X["ndvi"])
        >>> model = sf.GaussianProcessRegressor(coordinates=("lon", "lat"))
        >>> tiles = sf.SpatialBlockKFold(3, size=0.2)
        >>> scores = sf.cross_validate(model, X, y, splits=[sf.RandomKFold(3), tiles])
        >>> scores[["split", "n"]].to_numpy().tolist()
        [['random', 60], ['tiles', 60]]
        >>> len(scores.predictions)
        120
    """
    named = dict(estimators) if isinstance(estimators, Mapping) else _named(estimators)
    splitters = _split_names(splits)
    with warnings.catch_warnings():
        # Folds are held out so that places are far from training; that is no news here.
        warnings.simplefilter("ignore", OutsideExtent)
        if isinstance(y, Imagery | LazyImagery):
            parts = _on_imagery(named, X, y, splitters)
        else:
            parts = _on_table(named, X, y, splitters, coordinates)
        predictions = pd.concat(list(parts), ignore_index=True)
    predictions = _in_order(predictions, list(splitters), list(named))
    scores = Scores(score_table(predictions))
    scores.predictions = predictions
    return scores


def _named(estimator: Any) -> dict[str, Any]:
    return {type(estimator).__name__: estimator}


def _split_names(
    splits: Splits | Sequence[Splits] | Mapping[str, Splits],
) -> dict[str, Splits]:
    """Name -> splitter; those of one kind are numbered from the second on."""
    if isinstance(splits, Mapping):
        return dict(splits)
    several: Iterable[Splits] = [splits] if hasattr(splits, "split") else splits
    named: dict[str, Splits] = {}
    count: Counter[str] = Counter()
    for splitter in several:
        name = SPLIT_NAMES.get(type(splitter), type(splitter).__name__)
        count[name] += 1
        named[f"{name}-{count[name]}" if count[name] > 1 else name] = splitter
    if not named:
        raise ArgumentError("splits is empty; give at least one, such as spatioformer.KNNDM(5)")
    return named


def _on_imagery(
    estimators: Mapping[str, Any],
    plots: Any,
    imagery: Imagery | LazyImagery,
    splits: Mapping[str, Splits],
) -> Iterator[pd.DataFrame]:
    for name, estimator in estimators.items():
        if not isinstance(estimator, PlotRegressor):
            raise ArgumentError(
                f"{type(estimator).__name__} cannot be fitted to imagery; give one of "
                "spatioformer's regressors, or a table X, y"
            )
        with estimator.chips(plots, imagery) as store:
            for split, splitter in splits.items():
                lonlat = store.coordinates
                for fold, (train, test) in enumerate(_pairs(splitter, lonlat, lonlat, imagery)):
                    model = estimator.estimator(placed=True).fit(store, train)
                    yield _predictions(
                        name, split, fold, lonlat[test], store.richness[test],
                        model.predict_rows(store, test),
                    )  # fmt: skip


def _on_table(
    estimators: Mapping[str, Any],
    X: Any,
    y: Any,
    splits: Mapping[str, Splits],
    coordinates: ArrayLike | tuple[Column, Column] | None,
) -> Iterator[pd.DataFrame]:
    X, y = indexable(X, y)
    lonlat = _places(estimators, X, coordinates)
    observed = np.asarray(y, np.float64)
    shown = np.full((len(observed), 2), np.nan) if lonlat is None else lonlat
    for split, splitter in splits.items():
        pairs = _pairs(splitter, lonlat, X, None)
        for name, estimator in estimators.items():
            for fold, (train, test) in enumerate(pairs):
                model = clone(estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train))
                predicted = model.predict(_safe_indexing(X, test))
                yield _predictions(name, split, fold, shown[test], observed[test], predicted)


def _places(
    estimators: Mapping[str, Any], X: Any, coordinates: ArrayLike | tuple[Column, Column] | None
) -> Floats | None:
    """Places of a table's rows, (n, 2) degrees: as given, or as an estimator names them."""
    if coordinates is None:
        named = (getattr(estimator, "coordinates", None) for estimator in estimators.values())
        coordinates = next((columns for columns in named if columns is not None), None)
    if coordinates is None:
        return None
    count = len(X)
    if isinstance(coordinates, tuple) and all(isinstance(c, str | int) for c in coordinates):
        names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
        columns = Layout.columns(coordinates, names, np.shape(X)[1])
        frame = X.to_numpy() if hasattr(X, "columns") else np.asarray(X)
        coordinates = frame[:, columns].astype(np.float64)
    return places(coordinates, count)


def _pairs(
    splitter: Splits, lonlat: Floats | None, X: Any, imagery: Imagery | LazyImagery | None
) -> Pairs:
    """(train, test) rows of each fold."""
    if isinstance(splitter, KNNDM) and splitter.prediction_points is None:
        if imagery is None:
            raise ArgumentError(
                "KNNDM needs places of the map, and a table has no imagery to draw them from; "
                "give KNNDM(prediction_points=...), degrees (m, 2)"
            )
        stack = imagery.composite() if isinstance(imagery, LazyImagery) else imagery
        points = prediction_points(stack.path, splitter.seed)
        splitter = replace(splitter, prediction_points=points)
    if not isinstance(splitter, Splitter):
        return [(np.asarray(train), np.asarray(test)) for train, test in splitter.split(X)]
    if lonlat is None:
        if not isinstance(splitter, RandomKFold):
            raise ArgumentError(
                f"{type(splitter).__name__} divides places, and the table has none; name their "
                "columns, coordinates=('lon', 'lat'), or take RandomKFold"
            )
        # Rows without places are no repeats of one place.
        splitter, lonlat = replace(splitter, keep_sites=False), np.zeros((len(X), 2))
    return list(splitter.split(lonlat))


def _predictions(
    model: str, split: str, fold: int, lonlat: Floats, observed: Floats, predicted: ArrayLike
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": model,
            "split": split,
            "fold": fold,
            "lon": lonlat[:, 0],
            "lat": lonlat[:, 1],
            "observed": observed,
            "predicted": np.asarray(predicted, np.float64),
        }
    )


def _in_order(
    predictions: pd.DataFrame, splits: Sequence[str], models: Sequence[str]
) -> pd.DataFrame:
    """By split, then by model, both as given."""
    order = [predictions["split"].map(splits.index), predictions["model"].map(models.index)]
    return predictions.iloc[np.lexsort(order[::-1])].reset_index(drop=True)
