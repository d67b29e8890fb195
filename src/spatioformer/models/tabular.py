"""Models on chip statistics: a scikit-learn regressor, fitted to plots and kept by skops."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import sklearn
from threadpoolctl import threadpool_limits

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value
from spatioformer.config.schema import ModelSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Chips, Model, covariates_of, scaling_of
from spatioformer.models.baselines import TABULAR, Regressor, chip_statistics, with_covariates
from spatioformer.models.capabilities import FitContext
from spatioformer.models.scaling import Covariates, Scaling, seen_by_models
from spatioformer.models.skops_file import canonical, open_regressor
from spatioformer.models.tiles import PixelTile, Place

ROWS = 4096  # predicted at once: bounds memory, and many enough that calls cost nothing


@dataclass(frozen=True)
class TabularEstimator:
    """A regressor of `baselines` before it is fitted.

    Attributes:
        name: a key of `baselines.TABULAR`.
        model: its covariates are used; the sizes are a network's.
        seed: of the regressor.
        parameters: of the regressor, where they differ from the usual ones.
    """

    name: str
    model: ModelSection
    seed: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> "TabularModel":
        """Fit in one thread; a regressor keeps no checkpoint.

        Raises:
            ModelError: a covariate that the plot table lacks, or that no plot knows.
        """
        usual = self.model.covariates
        regressor = TABULAR[self.name](self.seed).set_params(**self.parameters)
        model = TabularModel(
            regressor,
            list(store.bands),
            store.patch,
            Scaling.of(store.chips[rows], store.richness[rows]),
            covariates=Covariates.of(store.table.iloc[rows], usual) if usual else None,
        )
        chips, covariates = model.plot_chips(store, rows), model.plot_covariates(store, rows)
        with threadpool_limits(1):
            regressor.fit(model.features(chips, covariates), store.richness[rows])
        return model


@dataclass
class TabularModel(Model):
    """A fitted regressor of `baselines`, and how a row of its table is made.

    Attributes:
        regressor: takes covariates, where there are any, as `scaling.seen_by_models` gives them,
            then `chip_statistics`.
        scaling: tells imagery on another scale; the regressor takes raw values.
        version: of the scikit-learn that fitted it.
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
        told = "each band's centre, mean and standard deviation, longitude and latitude"
        if self.covariates is not None:
            told = f"{', '.join(self.covariates.names)}; {told}"
        return [("Model", f"{self.in_short}, scikit-learn {self.version}"), ("Predictors", told)]

    @property
    def in_short(self) -> str:
        return " ".join(repr(self.regressor).split())

    @property
    def caution(self) -> str:
        return ""

    @property
    def parameters(self) -> None:
        return None

    def ready(self) -> None:
        """Nothing to prepare."""

    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """float64; `batch` is of networks, a regressor takes ROWS at once."""
        pixels, lon, lat = chips
        predictions = [np.empty(0)]
        with one_thread():
            for start in range(0, len(pixels), ROWS):
                part = slice(start, start + ROWS)
                table = self.features(
                    (pixels[part], lon[part], lat[part]),
                    None if covariates is None else covariates[part],
                )
                predictions.append(self._predict(table))
        return np.concatenate(predictions)

    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """float64."""
        out = tile.empty().astype(np.float64)
        with one_thread():
            for place, table in tile_statistics(tile):
                usual = None if self.covariates is None else self.covariates.rows(len(table), None)
                out[place] = self._predict(self._with_covariates(usual, table))
        return out

    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """float64 (n,), species; in one thread, so that products of matrices repeat to the bit."""
        chips, covariates = self.plot_chips(store, rows), self.plot_covariates(store, rows)
        with threadpool_limits(1):
            return self._predict(self.features(chips, covariates))

    def features(self, chips: Chips, covariates: np.ndarray | None) -> np.ndarray:
        """The regressor's table, float64 (n, features): covariates, then chip statistics."""
        return self._with_covariates(covariates, chip_statistics(*chips))

    def _with_covariates(self, covariates: np.ndarray | None, table: np.ndarray) -> np.ndarray:
        if covariates is not None:
            assert self.covariates is not None, "only a model with covariates is given any"
            covariates = seen_by_models(self.covariates.names, covariates)
        return with_covariates(covariates, table)

    def _predict(self, table: np.ndarray) -> np.ndarray:
        assert self.regressor is not None, "`read_weights` comes first"
        return np.asarray(self.regressor.predict(table), np.float64)

    def identity(self) -> str:
        if self._identity is None:  # once: trees of neighbours count how often they are asked
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
                f"{path} was written with scikit-learn {self.version}, and {sklearn.__version__} "
                "is installed, which may read it otherwise; install that one, or train it again"
            )
        names = 0 if self.covariates is None else len(self.covariates.names)
        seen = len(self.bands) * (3 if self.halo else 1) + 2
        self.regressor = open_regressor(path, names + seen)


def one_thread() -> threadpool_limits:
    """OpenMP's number of threads is each thread's own, so those of a map do not meet here."""
    return threadpool_limits(1, "openmp")


def _series(version: str) -> list[str]:
    """Major and minor: scikit-learn keeps what it writes within them."""
    return version.split(".")[:2]


def tile_statistics(tile: PixelTile) -> Iterator[tuple[Place, np.ndarray]]:
    """`chip_statistics` of the wanted pixels whose chip holds no nodata, about ROWS at a time.

    Sums of shifted planes, in the order in which a chip's pixels are summed, in place of a copy of
    P x P pixels for each. So they depend on the chip alone, not on the tile or the rows.

    Yields:
        Where they are, and float64 (n, 3 * band + 2), or (n, band + 2) at P = 1.
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
            with np.errstate(invalid="ignore", over="ignore"):  # nodata, which is not asked for
                mean = _total(planes) / len(planes)
                variance = _total((plane - mean) ** 2 for plane in planes) / len(planes)
            columns += [mean[:, rows, cols], np.sqrt(variance[:, rows, cols])]
        columns += [tile.lon[place][None], tile.lat[place][None]]
        yield at, np.concatenate(columns).T


def _total(planes: Iterable[np.ndarray]) -> np.ndarray:
    """Sum of planes, (y, x), added one after the other."""
    return sum(planes, np.zeros(()))
