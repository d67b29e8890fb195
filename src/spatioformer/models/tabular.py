"""Tabular models: scikit-learn regressors on chip statistics, saved with skops."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import sklearn

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value
from spatioformer.common.threads import limited_threads
from spatioformer.config.learning import ModelSection
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.covariates import effort_column
from spatioformer.models.base import Chips, Model, covariates_of, scaling_of
from spatioformer.models.baselines import (
    QUICK,
    TABULAR,
    Regressor,
    chip_statistics,
    shares_of,
    with_covariates,
)
from spatioformer.models.capabilities import FitContext
from spatioformer.models.parts import TABULAR_PARTS
from spatioformer.models.scaling import Covariates, Scaling, transformed_covariates
from spatioformer.models.skops_file import canonical, open_regressor
from spatioformer.models.tiles import PixelTile, Place

ROWS = 4096  # rows predicted at once: few enough for memory, many enough for speed


@dataclass(frozen=True)
class TabularEstimator:
    """Estimator of a regressor of `baselines`.

    Attributes:
        name: a key of `baselines.TABULAR`.
        model: covariates; the sizes are for networks only.
        seed: of the regressor.
        parameters: hyperparameters of the regressor that differ from the defaults.
        quick: whether to fit the cheaper form in `baselines.QUICK`, if there is one.
    """

    name: str
    model: ModelSection
    seed: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> "TabularModel":
        """Fit the regressor to plots in one thread; there is no checkpoint.

        Of `context.fitted` the stack takes the Gaussian process, and kriging the random forest.

        Raises:
            ModelError: the plot table lacks a covariate, or no plot has a value of it.
        """
        defaults = self.model.usual
        made = (QUICK if self.quick and self.name in QUICK else TABULAR)[self.name]
        regressor = made(self.seed).set_params(**self.parameters)
        if "effort" in regressor.get_params():
            effort = effort_column(list(defaults), store.bands)
            shares = shares_of(tuple(defaults), store.bands, 3 if store.patch > 1 else 1)
            counts = store.target_kind == "count"
            regressor.set_params(effort=effort, counts=counts, shares=shares)
        model = TabularModel(
            regressor,
            list(store.bands),
            store.patch,
            Scaling.of(store.chips[rows], store.richness[rows]),
            covariates=Covariates.of(store.table.iloc[rows], defaults) if defaults else None,
        )
        chips, covariates = model.plot_chips(store, rows), model.plot_covariates(store, rows)
        with limited_threads(1):
            fitted = [context.fitted.get(name) for name in TABULAR_PARTS.get(self.name, ())]
            parts = [part.regressor for part in fitted if part is not None]
            regressor.fit(model.features(chips, covariates), store.richness[rows], *parts)
        if model.chosen:
            model.facts["chosen"] = model.chosen
        return model


@dataclass
class TabularModel(Model):
    """A fitted regressor of `baselines`, and the features that it needs.

    Attributes:
        regressor: its features are the covariates, transformed by
            `scaling.transformed_covariates`, then the `chip_statistics`.
        scaling: detects imagery on another scale; the regressor takes raw values.
        version: version of scikit-learn that fitted the regressor.
    """

    kind: ClassVar[str] = "tabular"
    weights: ClassVar[str] = "model.skops"
    framework: ClassVar[str] = "scikit-learn"

    regressor: Regressor | None  # None until its file is read
    bands: list[str]
    patch: int
    scaling: Scaling | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    covariates: Covariates | None = None
    version: str = sklearn.__version__
    _identity: str | None = field(default=None, init=False, repr=False)

    @property
    def architecture(self) -> str:
        return type(self.regressor).__name__

    @property
    def about(self) -> list[tuple[str, str]]:
        features = "each band's centre, mean and standard deviation, longitude and latitude"
        if self.covariates is not None:
            features = f"{', '.join(self.covariates.names)}; {features}"
        about = [
            ("Model", f"{self.summary}, scikit-learn {self.version}"),
            ("Predictors", features),
        ]
        if self.chosen:
            settings = ", ".join(f"{name} {value:.3g}" for name, value in self.chosen.items())
            about.insert(1, ("Settings chosen by areas of plots held out", settings))
        return about

    @property
    def summary(self) -> str:
        return " ".join(repr(self.regressor).split())

    @property
    def chosen(self) -> dict[str, float]:
        """Hyperparameters that the training plots chose; empty for other regressors."""
        return dict(getattr(self.regressor, "chosen_", None) or {})

    @property
    def caution(self) -> str:
        return ""

    @property
    def parameters(self) -> None:
        return None

    def ready(self) -> None:
        """Nothing to prepare."""

    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Predict chips, ROWS at once: float64 (n,), species; `batch` is ignored."""
        pixels, lon, lat = chips
        predictions = [np.empty(0)]
        with one_openmp_thread():
            for start in range(0, len(pixels), ROWS):
                part = slice(start, start + ROWS)
                table = self.features(
                    (pixels[part], lon[part], lat[part]),
                    None if covariates is None else covariates[part],
                )
                predictions.append(self._predict(table))
        return np.concatenate(predictions)

    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """Predict a tile: float64 (y, x), species, NaN where there is no prediction."""
        out = tile.empty().astype(np.float64)
        with one_openmp_thread():
            for place, table in tile_statistics(tile):
                covariates = None
                if self.covariates is not None:
                    covariates = self.covariates.rows(len(table), None)
                out[place] = self._predict(self._with_covariates(covariates, table))
        return out

    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Predict plots of a store: float64 (n,), species.

        One thread computes them, so that matrix products are the same to the last bit.
        """
        chips, covariates = self.plot_chips(store, rows), self.plot_covariates(store, rows)
        with limited_threads(1):
            return self._predict(self.features(chips, covariates))

    def features(self, chips: Chips, covariates: np.ndarray | None) -> np.ndarray:
        """Features of the regressor, float64 (n, features): covariates, then chip statistics."""
        return self._with_covariates(covariates, chip_statistics(*chips))

    def _with_covariates(self, covariates: np.ndarray | None, table: np.ndarray) -> np.ndarray:
        if covariates is not None:
            assert self.covariates is not None, "only a model with covariates gets any"
            covariates = transformed_covariates(self.covariates.names, covariates)
        return with_covariates(covariates, table)

    def _predict(self, table: np.ndarray) -> np.ndarray:
        assert self.regressor is not None, "`read_weights` comes first"
        return np.asarray(self.regressor.predict(table), np.float64)

    def identity(self) -> str:
        if (
            self._identity is None
        ):  # only once: search trees count their queries, which changes the hash
            parts = [canonical(self.regressor).hex(), self.settings(), self.bands]
            self._identity = hash_value(parts)
        return self._identity

    def settings(self) -> dict[str, Any]:
        return {
            "patch": self.patch,
            "scaling": asdict(self.scaling) if self.scaling else None,
            "covariates": asdict(self.covariates) if self.covariates else None,
            "scikit-learn": self.version,
        }

    def write_weights(self, folder: Path) -> None:
        (folder / self.weights).write_bytes(canonical(self.regressor))

    @classmethod
    def read(cls, config: dict[str, Any], members: dict[str, Model]) -> Self:
        return cls(
            None, list(config["bands"]), int(config["patch"]), scaling_of(config),
            config["facts"], covariates_of(config), str(config["scikit-learn"]),
        )  # fmt: skip

    def read_weights(self, path: Path) -> None:
        if _series(self.version) != _series(sklearn.__version__):
            raise ModelError(
                f"{path} was written with scikit-learn {self.version}, but {sklearn.__version__} "
                "is installed, which may read the file differently; install scikit-learn "
                f"{self.version}, or train the model again"
            )
        names = 0 if self.covariates is None else len(self.covariates.names)
        statistics = len(self.bands) * (3 if self.halo else 1) + 2
        self.regressor = open_regressor(path, names + statistics)


def one_openmp_thread() -> AbstractContextManager[Any]:
    """Limit OpenMP to one thread in this thread.

    OpenMP has a separate limit in each thread, so the threads of a map do not affect each other.
    """
    return limited_threads(1, "openmp")


def _series(version: str) -> list[str]:
    """Major and minor version; scikit-learn keeps its file format within them."""
    return version.split(".")[:2]


def tile_statistics(tile: PixelTile) -> Iterator[tuple[Place, np.ndarray]]:
    """`chip_statistics` of the wanted pixels whose chip holds no nodata, about ROWS at a time.

    Shifted planes of the tile are summed, instead of copies of P x P pixels. The order of the sum
    is the same for every pixel, so the result depends on the chip only, not on the tile.

    Yields:
        Position of the pixels, and their features, float64 (n, 3 * band + 2), or (n, band + 2) if
        P = 1.
    """
    side, half = tile.patch, tile.halo
    todo = tile.wanted & tile.whole
    height, width = todo.shape
    step = max(1, ROWS // width)
    for top in range(0, height, step):
        rows, cols = np.nonzero(todo[top : top + step])
        if not len(rows):
            continue
        count = min(step, height - top)
        strip = tile.data[:, top : top + count + side - 1].astype(np.float64)
        planes = [strip[:, i : i + count, j : j + width] for i in range(side) for j in range(side)]
        at = top + rows, cols
        place = at[0] + half, at[1] + half
        columns = [planes[len(planes) // 2][:, rows, cols]]
        if half:
            with np.errstate(invalid="ignore", over="ignore"):  # from nodata, which is not used
                mean = _total(planes) / len(planes)
                variance = _total((plane - mean) ** 2 for plane in planes) / len(planes)
            columns += [mean[:, rows, cols], np.sqrt(variance[:, rows, cols])]
        columns += [tile.lon[place][None], tile.lat[place][None]]
        yield at, np.concatenate(columns).T


def _total(planes: Iterable[np.ndarray]) -> np.ndarray:
    """Sum of planes (y, x), added in order."""
    return sum(planes, np.zeros(()))
