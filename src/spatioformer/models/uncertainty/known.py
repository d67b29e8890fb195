"""What is known of a model's uncertainty: kept beside it, laid over its maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.errors import EvaluationError, ModelError
from spatioformer.common.files import hash_file, read_json, write_json, writing
from spatioformer.common.streams import Stream, generator
from spatioformer.evaluation.applicability import AreaOfApplicability
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.models.uncertainty.crossfit import CrossFit, CrossFitted, groups, ranked
from spatioformer.models.uncertainty.kinds import Intervals, Margin, Yardsticks
from spatioformer.models.uncertainty.plots import Floats, HeldOut, Predictions

MOST_PLOTS = 20_000
"""Plots that the area of applicability remembers, for the time of its fit grows as their square."""

FORMAT = 2
READABLE = (1, 2)
"""Format 1 knows neither counts nor regions."""

ALIKE = 1e-9
"""A predictor whose spread is below this share of its size does not vary."""


@dataclass(frozen=True)
class Uncertainty:
    """Intervals and area of applicability of one model.

    Attributes:
        bands: names of the bands that `layers` takes, in order.
        level: share of new observations that the intervals are to hold.
        margins: kind -> its margin; the kind to be preferred first.
        yardsticks: what the kinds measure by.
        area: the area of applicability, on bands and place.
        lon_origin: degrees; longitudes are counted from here, so no seam crosses the plots.
        facts: plots, folds, how errors are correlated (arguments of `ErrorCorrelation`, or None)
            and, for each kind, scores, calibration curve and scores by group of the intervals of
            the held-out plots, each fold calibrated on the others; JSON values.
    """

    bands: list[str]
    level: float
    margins: dict[str, Margin]
    yardsticks: Yardsticks
    area: AreaOfApplicability
    lon_origin: float
    facts: dict[str, Any]

    @classmethod
    def calibrate(
        cls,
        held_out: HeldOut,
        bands: list[str],
        weights: Floats | None = None,
        *,
        level: float = 0.9,
        kind: str = "auto",
        seed: int = 0,
    ) -> tuple[Self, dict[str, CrossFitted], Floats]:
        """Learn margins and area from held-out predictions.

        Args:
            weights: (band + 2,) importance of the bands, longitude and latitude, at least 0; None
                weighs all alike. Predictors that do not vary count for nothing.
            kind: of `KINDS`, or "auto": that with the smallest interval score, "constant" unless
                another saves `WORTH`.

        Returns:
            The uncertainty; the intervals of the held-out plots by kind; and their dissimilarity
            index (n,), each to the plots of other folds.

        Raises:
            EvaluationError: too few plots for the level, all plots alike, NaN, or a kind that the
                plots or the model do not allow for.
        """
        origin = _middle_longitude(held_out.lon)
        table = predictors(held_out.pixels, held_out.lon, held_out.lat, origin)
        used = _used(table, weights)
        few = generator(seed, Stream.UNCERTAINTY_PLOTS).permutation(len(table))[:MOST_PLOTS]
        area = AreaOfApplicability(used, workers=1).fit(table[few], held_out.fold[few])
        di = _di_across_folds(area, table, held_out.fold, few)
        at, observed = held_out.predictions(di), held_out.observed
        cross = CrossFit(observed, at, held_out.fold, level)
        tried = {one: cross.fitted(one) for one in cross.kinds()}
        yardsticks = Yardsticks.of(observed, at, level)
        margins = {
            one: Intervals.calibrate(one, yardsticks, observed, at, level).margin
            for one in ranked(tried, kind)
        }
        told = groups(at, area.threshold_)
        facts = {
            "plots": len(table),
            "folds": len(np.unique(held_out.fold)),
            "correlation": _correlation(held_out, tried[next(iter(margins))], level, seed),
            "kinds": {
                one: {
                    "scores": found.scores,
                    "calibration": cross.calibration(one),
                    "groups": cross.by_group(found.bounds, told),
                }
                for one, found in tried.items()
            },
        }
        return cls(bands, level, margins, yardsticks, area, origin, facts), tried, di

    @property
    def curve(self) -> Floats:
        """(2, k) dissimilarity index (ascending) and the RMSE expected there, species."""
        return self.yardsticks.curve

    def kind(self, with_spread: bool, with_quantiles: bool = True) -> str:
        """Which intervals these are, one of `KINDS`: the first that a map with, or without, a
        spread and the model's own quantiles can have."""
        has = {"spread": with_spread, "quantiles": with_quantiles}
        return next(kind for kind in self.margins if has.get(kind, True))

    def layers(
        self,
        mean: Floats,
        sd: Floats | None,
        pixels: Floats,
        lon: Floats,
        lat: Floats,
        quantiles: Floats | None = None,
    ) -> dict[str, NDArray]:
        """What belongs to mapped values: threads may call it at once.

        Args:
            mean: (n,) predictions, species; sd: (n,) spread of the model's draws, or None.
            pixels: (n, band) the imagery at each pixel; lon, lat: (n,) degrees.
            quantiles: (n, 2) the model's own, species, where it has them.

        Returns:
            `lower` and `upper` (species, at least 0), `di` (dissimilarity index), each float32
            (n,), and `inside` the area of applicability, bool (n,).

        Raises:
            EvaluationError: another number of bands, NaN.
        """
        di = self.area.di(predictors(pixels, lon, lat, self.lon_origin))
        mean, di, lon, lat = (np.asarray(values, np.float64) for values in (mean, di, lon, lat))
        at = Predictions(mean, di, lon, lat, sd, quantiles)
        kind = self.kind(sd is not None, quantiles is not None)
        made = Intervals.restored(kind, self.yardsticks, self.margins[kind], self.level)
        lower, upper = made(at).T
        return {
            "lower": lower.astype(np.float32),
            "upper": upper.astype(np.float32),
            "di": di.astype(np.float32),
            "inside": di <= self.area.threshold_,
        }

    def expected_error(self, di: Floats) -> Floats:
        """RMSE (n,) to be expected at a dissimilarity index (n,), species."""
        return np.interp(di, *self.curve)

    def save(self, folder: str | Path) -> None:
        """Write `uncertainty.json` and `uncertainty.npz` into a folder, a model's for example."""
        folder = Path(folder)
        learned = self.yardsticks
        with writing(folder / "uncertainty.npz") as part:
            arrays = {"curve": learned.curve, "centres": learned.centres, **self.area.state()}
            np.savez(part, **arrays)  # type: ignore[arg-type]  # one of them could be `allow_pickle`
        write_json(
            folder / "uncertainty.json",
            {
                "format": FORMAT,
                "bands": self.bands,
                "level": self.level,
                "margins": list(self.margins.items()),  # in order
                "dispersion": learned.dispersion,
                "lon_origin": self.lon_origin,
                "threshold": self.area.threshold_,
                "facts": self.facts,
                "arrays_sha256": hash_file(folder / "uncertainty.npz"),
            },
        )

    @staticmethod
    def is_in(folder: str | Path) -> bool:
        """Whether a model's folder knows its uncertainty: one never evaluated does not."""
        return (Path(folder) / "uncertainty.json").is_file()

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Open what `save` wrote, now or in the format before.

        Raises:
            ModelError: there is none, it is damaged, or of another version.
        """
        folder = Path(folder)
        if not cls.is_in(folder):
            raise ModelError(
                f"{folder} holds no uncertainty.json; make it with `spatioformer evaluate`"
            )
        try:
            said = read_json(folder / "uncertainty.json")
            if said["format"] not in READABLE:
                raise ValueError(f"format {said['format']}")
            if hash_file(folder / "uncertainty.npz") != said["arrays_sha256"]:
                raise ValueError("uncertainty.npz belongs to another")
            with np.load(folder / "uncertainty.npz", allow_pickle=False) as arrays:
                state = dict(arrays)
            dispersion = said["dispersion"] if said["format"] > 1 else 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / 'uncertainty.json'} is damaged or of another version ({error}); make "
                "it anew with `spatioformer evaluate --force`"
            ) from error
        curve, centres = state.pop("curve"), state.pop("centres", np.empty((0, 2)))
        return cls(
            said["bands"],
            said["level"],
            dict(said["margins"]),
            Yardsticks(curve, dispersion, centres),
            AreaOfApplicability.from_state(state, workers=1),
            said["lon_origin"],
            said["facts"],
        )


def _middle_longitude(lon: Floats) -> float:
    """Circular mean of longitudes, degrees."""
    return float(np.degrees(np.angle(np.exp(1j * np.radians(lon)).mean())))


def predictors(pixels: Floats, lon: Floats, lat: Floats, origin: float) -> Floats:
    """Bands, longitude east of `origin` in [-180, 180), latitude: (n, band + 2) float64."""
    east = (np.asarray(lon, np.float64) - origin + 180) % 360 - 180
    return np.column_stack([np.asarray(pixels, np.float64), east, lat])


def _used(predictors: Floats, weights: Floats | None) -> Floats:
    """Weights (p,) with 0 for predictors that do not vary over the plots.

    Raises:
        EvaluationError: nothing varies.
    """
    spread, size = predictors.std(axis=0), np.abs(predictors).max(axis=0)
    weights = np.ones(len(size)) if weights is None else np.asarray(weights, np.float64)
    weights = np.where(spread > ALIKE * size, weights, 0)
    if not weights.any():
        raise EvaluationError(
            f"no predictor tells the {len(predictors)} plots apart; check the bands at the plots"
        )
    return weights


def _correlation(
    held_out: HeldOut, found: CrossFitted, level: float, seed: int
) -> dict[str, float] | None:
    """How errors are correlated, in half-widths of intervals; None where none has a width."""
    half = np.diff(found.bounds, axis=1)[:, 0] / 2
    wide = half > 0  # bounds below no species are cut off
    if wide.sum() < 2:
        return None
    errors = held_out.observed - held_out.predicted
    place = (held_out.lon[wide], held_out.lat[wide])
    return ErrorCorrelation.estimate(
        *place, errors[wide], half[wide], level, seed, fold=held_out.fold[wide]
    ).to_json()


def _di_across_folds(
    area: AreaOfApplicability, predictors: Floats, fold: NDArray, known: NDArray
) -> Floats:
    """Dissimilarity (n,) of each plot to the plots of other folds that `area` remembers."""
    di = np.empty(len(predictors))
    di[known] = area.training_di_
    rest = np.setdiff1d(np.arange(len(predictors)), known)
    for number in np.unique(fold[rest]):
        rows = rest[fold[rest] == number]
        di[rows] = area.di(predictors[rows], among=fold[known] != number)
    return di
