"""The scikit-learn side of a model: one plumbing for tables and for plots on imagery.

A public class names its hyperparameters and says which estimator follows from them. Everything
else is here. The fitted model is `model_`, a `spatioformer.models.base.Model`.
"""

import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags, assert_all_finite
from sklearn.utils.validation import check_is_fitted, validate_data

from spatioformer.api.archives import LazyImagery
from spatioformer.api.imagery import Imagery
from spatioformer.api.plots import plot_frame
from spatioformer.api.tables import Column, Floats, Layout
from spatioformer.common.errors import ArgumentError
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.fields import Section
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.config.messages import sentence
from spatioformer.geo.chips import UNLABELLED, ChipStore, open_chips
from spatioformer.geo.cutting import cut_chips
from spatioformer.geo.unlabelled import cut_unlabelled
from spatioformer.models.base import Estimator, Model
from spatioformer.run.map_model import plot_facts

AnySection = TypeVar("AnySection", bound=Section)


class PlotsWithoutChip(UserWarning):
    """Warns of plots around which the imagery holds no whole chip."""


class PlotRegressor(RegressorMixin, BaseEstimator):
    """Base of the public models; see its subclasses.

    Attributes:
        model_: the trained model.
        n_features_in_: number of columns of X, or of bands of the imagery.
        feature_names_in_: their names, where they have any.
    """

    name: ClassVar[str]
    """Of the model in the catalogue, which a run's configuration calls it by."""

    coordinates: tuple[Column, Column] | None
    covariates: dict[str, float | None] | None
    seed: int

    @abstractmethod
    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        """The internal estimator with the hyperparameters of this one.

        Args:
            placed: whether the rows have places.
            patch: side of a chip, pixels; None takes the parameter `patch`.

        Raises:
            ArgumentError: a hyperparameter is impossible, or the model cannot do without places.
        """

    def fit(self, X: Any, y: Any = None, coordinates: ArrayLike | None = None) -> Self:
        """Fit to plots on imagery, `fit(plots, imagery)`, or to a table, `fit(X, y)`.

        Args:
            X: plots as `read_plots` gives them; or features, a DataFrame or array (n, columns).
            y: the imagery; or the number of species of each row, (n,), 0 or more. From imagery of
                archives each plot takes the year of its date.
            coordinates: longitude and latitude of each row of a table, (n, 2), degrees; they
                replace the columns that the parameter `coordinates` names.

        Returns:
            The estimator itself, fitted.

        Raises:
            ArgumentError: an argument or a hyperparameter that cannot be used.
            ValueError: as any scikit-learn estimator: missing values, too few rows.
            SpatioformerError: plots, imagery or training that cannot be used.
        """
        if isinstance(y, Imagery | LazyImagery):
            if coordinates is not None:
                raise ArgumentError(
                    "coordinates is given together with imagery; plots on imagery have their "
                    "places in the columns lon and lat"
                )
            with self.chips(X, y) as store:
                self._keep(self.estimator(placed=True).fit(store, np.arange(len(store))), store)
            self.layout_ = None
            self.placed_ = True
            self.n_features_in_ = len(y.bands)
            self.feature_names_in_ = np.array(y.bands, dtype=object)
            return self
        store, layout, placed = self.rows(X, y, coordinates)
        estimator = self.estimator(placed=placed, patch=1)
        self._keep(estimator.fit(store, np.arange(len(store))), store, placed)
        self.layout_, self.placed_ = layout, placed
        return self

    def predict(
        self,
        X: Any,
        imagery: Imagery | LazyImagery | None = None,
        *,
        coordinates: ArrayLike | None = None,
    ) -> NDArray[np.floating[Any]]:
        """Expected number of species of plots on imagery, or of the rows of a table.

        Warns with `OutsideExtent` where places lie 50 km or more outside the training plots'
        extent, and with `PlotsWithoutChip` where the imagery holds no whole chip.

        Args:
            X: plots with columns lon and lat; or features as in `fit`.
            imagery: with the bands that the model was fitted to; None for a table.
            coordinates: longitude and latitude of each row of a table, (n, 2), degrees.

        Returns:
            (n,), species; NaN for plots without a whole chip.

        Raises:
            ArgumentError: an argument that cannot be used, or that the model lacks.
            SpatioformerError: plots or imagery that cannot be used.
        """
        check_is_fitted(self, "model_")
        if imagery is not None:
            return self._predict_plots(X, imagery)
        layout: Layout | None = self.layout_
        if layout is None:
            raise ArgumentError(
                "the model was fitted to plots on imagery; give it both: predict(plots, imagery)"
            )
        X = self._validated(X, reset=False)
        self._check_features(layout, X)
        lonlat = layout.lonlat(X, coordinates)
        if self.placed_ and lonlat is None:
            raise ArgumentError(
                "the model was fitted with coordinates, and predict got none; give "
                "predict(X, coordinates=lonlat), or, for cross-validation and pipelines, keep the "
                "places in columns of X and name them: coordinates=('lon', 'lat')"
            )
        if not self.placed_ and lonlat is not None:
            raise ArgumentError(
                "the model was fitted without coordinates and cannot use any; fit it again with "
                "fit(X, y, coordinates=lonlat), or leave them out"
            )
        return self._predicted(layout.store(X, lonlat))

    def save(self, folder: str | Path) -> Path:
        """Write the model's folder, as `spatioformer train` does; `spatioformer.load` opens it.

        The folder holds the model without this class: it predicts chips and maps. Pickle keeps
        the estimator itself.

        Args:
            folder: to write; an older model there is replaced.

        Returns:
            The folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        check_is_fitted(self, "model_")
        model: Model = self.model_
        return model.save(folder)

    def chips(
        self, plots: Any, imagery: Imagery | LazyImagery
    ) -> AbstractContextManager[ChipStore]:
        """Chips to fit to: of the plots that have a whole one, and of other land where needed.

        Their files are removed at the end of the block.

        Raises:
            SpatioformerError: plots or imagery that cannot be used.
        """
        patch = section(ModelSection, self.get_params(deep=False)).patch
        land = CATALOGUE[self.name].kind == "distilled"
        return _cut(plot_frame(plots, counted=True), imagery, patch, land=land)

    def rows(
        self, X: Any, y: Any, coordinates: ArrayLike | None = None
    ) -> tuple[ChipStore, Layout, bool]:
        """Rows of a table and their counts as chips, and whether they have places.

        Raises:
            ArgumentError, ValueError: as `fit`.
        """
        X, y = self._validated(X, y, reset=True)
        if y.min() < 0:
            raise ArgumentError(
                f"Negative values in y: the lowest is {y.min():g}, and y counts species; give "
                "numbers from 0 up"
            )
        names = getattr(self, "feature_names_in_", None)
        layout = Layout.of(
            None if names is None else list(names),
            X.shape[1],
            self.coordinates,
            self.covariates or {},
            coordinates is not None,
        )
        self._check_features(layout, X)
        lonlat = layout.lonlat(X, coordinates)
        return layout.store(X, lonlat, y), layout, lonlat is not None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        tags.input_tags.allow_nan = bool(self.covariates)
        return tags

    def _validated(self, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """X, or X and y, as scikit-learn checks them; covariates may be NaN."""
        finite = "allow-nan" if self.covariates else True
        counts = {"y_numeric": True, "ensure_min_samples": 2} if reset else {}
        return validate_data(
            self, X, y, reset=reset, dtype=np.float64, ensure_all_finite=finite, **counts
        )

    def _check_features(self, layout: Layout, X: Floats) -> None:
        assert_all_finite(layout.features(X), input_name="X", estimator_name=type(self).__name__)

    def _keep(self, model: Model, store: ChipStore, placed: bool = True) -> None:
        name = self.name if placed else CATALOGUE[self.name].without_location or self.name
        facts = {"name": name, "target": "plant species richness", **plot_facts(store)}
        if not placed:
            del facts["region"]
        model.facts = {**facts, "seed": int(self.seed), **model.facts}
        self.model_ = model

    def _predict_plots(
        self, plots: Any, imagery: Imagery | LazyImagery
    ) -> NDArray[np.floating[Any]]:
        frame = plot_frame(plots, counted=False)
        frame = frame.assign(position=np.arange(len(frame)))
        with _cut(frame, imagery, self.model_.patch, bands=self.model_.bands) as store:
            values = self._predicted(store)
            position = store.table["position"].to_numpy()
        out = np.full(len(frame), np.nan, values.dtype)
        out[position] = values
        return out

    def _predicted(self, store: ChipStore) -> NDArray[np.floating[Any]]:
        model: Model = self.model_
        model.warn_of_places(*store.coordinates.T)
        predictions: NDArray[np.floating[Any]] = model.predict_rows(store, np.arange(len(store)))
        return predictions


@contextmanager
def _cut(
    frame: pd.DataFrame,
    imagery: Imagery | LazyImagery,
    patch: int,
    *,
    bands: list[str] | None = None,
    land: bool = False,
) -> Iterator[ChipStore]:
    """Chips of plots in files that are removed at the end of the block; warns of lost plots.

    Args:
        frame: plots with lon and lat.
        patch: side of a chip, pixels.
        bands: in this order; None takes all.
        land: cut chips of land without plots too.
    """
    with tempfile.TemporaryDirectory(prefix="spatioformer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if isinstance(imagery, LazyImagery):
            lost = imagery.cut(frame, patch, folder, bands)
        else:
            lost = cut_chips(imagery.path, frame, patch, folder, bands=bands)
        if land:
            stack = imagery.composite() if isinstance(imagery, LazyImagery) else imagery
            cut_unlabelled(stack.path, patch, folder / UNLABELLED)
        if len(lost):
            warnings.warn(
                f"{len(lost)} of {len(frame)} plots have no whole chip in the imagery and are left "
                f"out, or predicted as NaN (most often: {lost['reason'].mode()[0]})",
                PlotsWithoutChip,
                stacklevel=4,
            )
        yield open_chips(folder)


def section(kind: type[AnySection], values: dict[str, Any]) -> AnySection:
    """A section of the configuration from those of `values` that are its keys.

    Raises:
        ArgumentError: a value is impossible.
    """
    chosen = {name: _plain(values[name]) for name in kind.model_fields if name in values}
    if chosen.get("covariates", {}) is None:
        chosen["covariates"] = {}
    try:
        return kind.model_validate(chosen)
    except ValidationError as error:
        raise ArgumentError(sentence(error, kind)) from None


def _plain(value: Any) -> Any:
    """numpy's scalars as Python's, which a parameter grid may hold."""
    return value.item() if isinstance(value, np.generic) else value


def sections(
    parameters: dict[str, Any], patch: int | None = None
) -> tuple[ModelSection, TrainSection]:
    """The configuration's sections `model` and `train` from an estimator's parameters."""
    values = parameters if patch is None else parameters | {"patch": patch}
    return section(ModelSection, values), section(TrainSection, values)


def need_places(estimator: PlotRegressor, reason: str) -> NoReturn:
    """Refuse rows without places, for a model that needs them for this reason."""
    raise ArgumentError(
        f"{type(estimator).__name__} {reason}, and X has no places; name their columns, "
        "coordinates=('lon', 'lat'), or give fit(X, y, coordinates=lonlat)"
    )
