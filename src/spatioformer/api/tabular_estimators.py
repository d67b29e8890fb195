"""The models of tables as scikit-learn estimators: closed forms and trees.

Defaults are those of a run's configuration (`config.schema`) and of `models.baselines`.
"""

from typing import Any, ClassVar

from spatioformer.api.adapter import PlotRegressor, need_places, sections
from spatioformer.api.tables import Column
from spatioformer.config.learning import ModelSection
from spatioformer.models.base import Estimator
from spatioformer.models.baselines import GaussianProcess, Kriging, TunedForest
from spatioformer.models.tabular import TabularEstimator

_MODEL = ModelSection()
_PROCESS, _FOREST, _KRIGING = GaussianProcess(), TunedForest(), Kriging()


class GaussianProcessRegressor(PlotRegressor):
    """A Gaussian process of place, of features, and of features place by place.

    With places, what a feature means may change from region to region (docs/models.md). Without,
    the rows are taken to lie in one place. Counts may be fitted as square roots or logarithms.
    Predictions lie between the smallest and the largest value of the training rows.

    Args:
        coordinates, covariates, patch: as of `SpatioformerRegressor`. In a chip, the features are
            each band's centre, mean and standard deviation.
        inducing: plots that predictions are made from, at most.
        prior: weight of the prior on the hyperparameters, above 0.
        seed: not used, since the fit has nothing random; other models have it.

    Examples:
        >>> import numpy as np
        >>> import spatioformer as sf
        >>> lonlat = np.array([[146.1, -42.0], [146.5, -42.2], [147.0, -42.4], [147.2, -43.0]])
        >>> X, y = np.array([[0.1], [0.5], [0.6], [0.9]]), np.array([4, 9, 12, 20])
        >>> model = sf.GaussianProcessRegressor().fit(X, y, coordinates=lonlat)
        >>> bool(model.predict([[0.8]], coordinates=[[147.1, -42.8]])[0] > 12)
        True
    """

    name: ClassVar[str] = "gaussian-process"

    def __init__(
        self,
        *,
        coordinates: tuple[Column, Column] | None = None,
        covariates: dict[str, float | None] | None = None,
        patch: int = _MODEL.patch,
        inducing: int = _PROCESS.inducing,
        prior: float = _PROCESS.prior,
        seed: int = 0,
    ):
        self.coordinates = coordinates
        self.covariates = covariates
        self.patch = patch
        self.inducing = inducing
        self.prior = prior
        self.seed = seed

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        chosen: dict[str, Any] = {"inducing": self.inducing, "prior": self.prior}
        model, _ = sections(self.get_params(deep=False), patch)
        return TabularEstimator(self.name, model, self.seed, chosen)


class ClosedFormStackRegressor(PlotRegressor):
    """A mean of Gaussian processes and trees, in seconds.

    Its weights differ near plots and far from them, and are found by leaving out areas of land, so
    every row needs a place. `model_.regressor` has the residuals of plots that were left out.

    Args:
        coordinates, covariates, patch: as of `GaussianProcessRegressor`.
        seed: of the trees.

    Examples:
        >>> import spatioformer as sf
        >>> sf.ClosedFormStackRegressor().fit([[0.2], [0.4]], [3, 5])
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.ArgumentError: ClosedFormStackRegressor weights its members by \
the distance to the nearest plot, and X has no places; name their columns, coordinates=('lon', \
'lat'), or give fit(X, y, coordinates=lonlat)
    """

    name: ClassVar[str] = "stack"

    def __init__(
        self,
        *,
        coordinates: tuple[Column, Column] | None = None,
        covariates: dict[str, float | None] | None = None,
        patch: int = _MODEL.patch,
        seed: int = 0,
    ):
        self.coordinates = coordinates
        self.covariates = covariates
        self.patch = patch
        self.seed = seed

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        if not placed:
            need_places(self, "weights its members by the distance to the nearest plot")
        model, _ = sections(self.get_params(deep=False), patch)
        return TabularEstimator(self.name, model, self.seed)


class ForestKrigingRegressor(PlotRegressor):
    """A random forest whose residuals are kriged, so every row needs a place.

    Args:
        coordinates, covariates, patch: as of `GaussianProcessRegressor`.
        n_estimators: trees of the forest.
        min_samples_leaf: plots in a leaf, at least; None: chosen by areas of plots held out.
        max_features: share of the features that a cut chooses from; None: likewise.
        range_km: distance over which residuals resemble each other (e-folding), km; None
            estimates it.
        nugget_share: share of noise in the residuals' variance, 0 to 1; None estimates it.
        neighbours: plots that a prediction is kriged from.
        seed: of the forest and the estimate.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> import spatioformer as sf
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.uniform(size=(60, 3)), columns=["lon", "lat", "ndvi"])
        >>> y = rng.poisson(10 + 20 * X["ndvi"])
        >>> model = sf.ForestKrigingRegressor(coordinates=("lon", "lat"), n_estimators=50)
        >>> bool(model.fit(X, y).score(X, y) > 0.8)  # on its own plots, so it flatters
        True
    """

    name: ClassVar[str] = "forest-kriging"

    def __init__(
        self,
        *,
        coordinates: tuple[Column, Column] | None = None,
        covariates: dict[str, float | None] | None = None,
        patch: int = _MODEL.patch,
        n_estimators: int = _FOREST.n_estimators,
        min_samples_leaf: int | None = _FOREST.min_samples_leaf,
        max_features: float | None = _FOREST.max_features,
        range_km: float | None = _KRIGING.range_km,
        nugget_share: float | None = _KRIGING.nugget_share,
        neighbours: int = _KRIGING.neighbours,
        seed: int = 0,
    ):
        self.coordinates = coordinates
        self.covariates = covariates
        self.patch = patch
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.range_km = range_km
        self.nugget_share = nugget_share
        self.neighbours = neighbours
        self.seed = seed

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        if not placed:
            need_places(self, "kriges residuals from place to place")
        forest = ("n_estimators", "min_samples_leaf", "max_features")
        kriging = ("range_km", "nugget_share", "neighbours")
        chosen: dict[str, Any] = {f"forest__{name}": getattr(self, name) for name in forest}
        chosen |= {f"kriging__{name}": getattr(self, name) for name in kriging}
        model, _ = sections(self.get_params(deep=False), patch)
        return TabularEstimator(self.name, model, self.seed, chosen)
