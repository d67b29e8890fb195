"""The calibrated uncertainty of a model: saved in its folder, and computed for its maps."""

from dataclasses import dataclass, field
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
from spatioformer.models.uncertainty.harder import HarderFolds, evidence_outside, widening_of
from spatioformer.models.uncertainty.kinds import CalibrationParameters, Intervals, Margin
from spatioformer.models.uncertainty.plots import Floats, HeldOut, Predictions
from spatioformer.models.uncertainty.widening import Evidence, Widening

MOST_PLOTS = 20_000
"""Largest number of plots that the area of applicability is fitted on.

The time of the fit grows with the square of this number."""

FORMAT = 3
READABLE = (1, 2, 3)
"""Formats that can be loaded; format 1 has no intervals by counts or by region, and formats 1 and 2
have intervals that are as wide outside the area of applicability as inside."""

CONSTANT = 1e-9
"""Ratio of a predictor's standard deviation to its largest absolute value below which it counts as
constant."""


@dataclass(frozen=True)
class Uncertainty:
    """Intervals and the area of applicability of one model.

    Attributes:
        bands: names of the bands that `layers` takes, in order.
        level: nominal coverage of the intervals, 0-1.
        margins: kind -> its margin; the preferred kind comes first.
        parameters: calibration parameters that the kinds share.
        area: the area of applicability; its predictors are bands, longitude and latitude.
        lon_origin: degrees; longitudes are measured from here, so that the jump from 180 to -180
            does not cross the plots.
        facts: JSON values: the numbers of plots and folds, the correlation of the errors
            (arguments of `ErrorCorrelation`, or None), the evidence `outside` the area of
            applicability (`harder.evidence_outside`) and, for each kind, the cross-fitted
            scores, calibration curve and scores by group.
        widening: kind -> factor of its intervals outside the area; empty in formats 1 and 2.
    """

    bands: list[str]
    level: float
    margins: dict[str, Margin]
    parameters: CalibrationParameters
    area: AreaOfApplicability
    lon_origin: float
    facts: dict[str, Any]
    widening: dict[str, Widening] = field(default_factory=dict)

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
        highest: float = np.inf,
    ) -> tuple[Self, dict[str, CrossFitted], Floats]:
        """Fit margins and the area of applicability on held-out predictions.

        Args:
            weights: (band + 2,), importance of the bands, longitude and latitude, at least 0; None
                means equal weights. Constant predictors get the weight 0.
            kind: the preferred kind, one of `KINDS`. "auto" is the kind with the smallest interval
                score, or "constant" if no kind is better by `crossfit.MINIMUM_GAIN`.
            seed: of the random choice of plots for the area and for the correlation.
            highest: largest possible value of the target, 1 for proportions.

        Returns:
            The uncertainty; the intervals of the held-out plots by kind; and the dissimilarity
            index (n,) of each plot to the plots of the other folds.

        Raises:
            EvaluationError: there are too few plots for the level, all predictors are constant, a
                value is NaN, or `kind` cannot be calibrated on these plots with this model.
        """
        origin = _middle_longitude(held_out.lon)
        table = predictors(held_out.pixels, held_out.lon, held_out.lat, origin)
        weights = _weights_of_varying(table, weights)
        sample = generator(seed, Stream.UNCERTAINTY_PLOTS).permutation(len(table))[:MOST_PLOTS]
        area = AreaOfApplicability(weights, workers=1).fit(table[sample], held_out.fold[sample])
        di = _di_across_folds(area, table, held_out.fold, sample)
        predictions, observed = held_out.predictions(di), held_out.observed
        harder = HarderFolds.of(held_out, area, table, sample)
        cross = CrossFit(observed, predictions, held_out.fold, level, highest, harder)
        cross_fitted = {name: cross.fitted(name) for name in cross.kinds()}
        parameters = CalibrationParameters.of(observed, predictions, level, highest)
        intervals = {
            name: Intervals.calibrate(name, parameters, observed, predictions, level)
            for name in ranked(cross_fitted, kind)
        }
        margins = {name: calibrated.margin for name, calibrated in intervals.items()}
        farther = harder.predictions(np.ones(len(table), bool))
        threshold = float(area.threshold_)
        widening = {
            name: widening_of(calibrated, observed, predictions, farther, threshold)
            for name, calibrated in intervals.items()
        }
        plot_groups = groups(predictions, area.threshold_)
        facts = {
            "plots": len(table),
            "folds": len(np.unique(held_out.fold)),
            "correlation": _correlation(held_out, cross_fitted[next(iter(margins))], level, seed),
            "outside": evidence_outside(
                Evidence.outside(di, di, threshold),
                farther.evidence(intervals["constant"], threshold),
                threshold,
            ),
            "kinds": {
                name: {
                    "scores": fitted.scores,
                    "calibration": cross.calibration_curve(name),
                    "groups": cross.by_group(fitted.bounds, plot_groups),
                }
                for name, fitted in cross_fitted.items()
            },
        }
        known = cls(bands, level, margins, parameters, area, origin, facts, widening)
        return known, cross_fitted, di

    @property
    def curve(self) -> Floats:
        """Dissimilarity index, ascending, and the expected RMSE there in species; (2, k)."""
        return self.parameters.curve

    def kind(self, with_spread: bool, with_quantiles: bool = True) -> str:
        """The preferred kind of interval for the layers that a map has, one of `KINDS`.

        Args:
            with_spread: whether the spread of the model's draws is known.
            with_quantiles: whether quantiles predicted by the model are known.
        """
        available = {"spread": with_spread, "quantiles": with_quantiles}
        return next(kind for kind in self.margins if available.get(kind, True))

    def layers(
        self,
        mean: Floats,
        sd: Floats | None,
        pixels: Floats,
        lon: Floats,
        lat: Floats,
        quantiles: Floats | None = None,
    ) -> dict[str, NDArray]:
        """Bounds, dissimilarity and applicability of mapped pixels. Safe to call from threads.

        Args:
            mean: (n,), predictions, species.
            sd: (n,), standard deviation of the model's draws, species, or None.
            pixels: (n, band), band values.
            lon, lat: (n,), degrees.
            quantiles: (n, 2), quantiles that the model predicts, species, or None.

        Returns:
            float32 (n,) each: `lower` and `upper` (species, at least 0), `di` (dissimilarity
            index); and bool (n,): `inside` (whether in the area of applicability).

        Raises:
            EvaluationError: the number of bands differs, or a value is NaN.
        """
        di = self.area.di(predictors(pixels, lon, lat, self.lon_origin))
        mean, di, lon, lat = (np.asarray(values, np.float64) for values in (mean, di, lon, lat))
        predictions = Predictions(mean, di, lon, lat, sd, quantiles)
        kind = self.kind(sd is not None, quantiles is not None)
        intervals = self.intervals(kind)
        lower, upper = intervals(predictions).T
        return {
            "lower": lower.astype(np.float32),
            "upper": upper.astype(np.float32),
            "di": di.astype(np.float32),
            "inside": di <= self.area.threshold_,
        }

    def intervals(self, kind: str) -> Intervals:
        """Calibrated intervals of one kind in `margins`."""
        return Intervals.restored(
            kind, self.parameters, self.margins[kind], self.level, self.widening.get(kind)
        )

    def expected_error(self, di: Floats) -> Floats:
        """Expected RMSE (n,) at a dissimilarity index (n,), species."""
        return np.interp(di, *self.curve)

    def save(self, folder: str | Path) -> None:
        """Write `uncertainty.json` and `uncertainty.npz` into a folder, such as a model folder."""
        folder = Path(folder)
        parameters = self.parameters
        with writing(folder / "uncertainty.npz") as part:
            arrays = {
                "curve": parameters.curve,
                "centres": parameters.centres,
                **self.area.state(),
            }
            np.savez(part, **arrays)  # type: ignore[arg-type]  # one of them could be `allow_pickle`
        write_json(
            folder / "uncertainty.json",
            {
                "format": FORMAT,
                "bands": self.bands,
                "level": self.level,
                "margins": list(self.margins.items()),  # a list keeps the order
                "widening": {kind: factor.to_json() for kind, factor in self.widening.items()},
                "dispersion": parameters.dispersion,
                **({"highest": parameters.highest} if np.isfinite(parameters.highest) else {}),
                "lon_origin": self.lon_origin,
                "threshold": self.area.threshold_,
                "facts": self.facts,
                "arrays_sha256": hash_file(folder / "uncertainty.npz"),
            },
        )

    @staticmethod
    def is_in(folder: str | Path) -> bool:
        """Whether a folder holds an uncertainty; that of a model never evaluated does not."""
        return (Path(folder) / "uncertainty.json").is_file()

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load an uncertainty that `save` wrote, in any of the `READABLE` formats.

        Raises:
            ModelError: the folder holds none, or the files are damaged or of another version.
        """
        folder = Path(folder)
        if not cls.is_in(folder):
            raise ModelError(
                f"{folder} holds no uncertainty.json; run `spatioformer evaluate` to write it"
            )
        try:
            content = read_json(folder / "uncertainty.json")
            if content["format"] not in READABLE:
                raise ValueError(f"format {content['format']}")
            if hash_file(folder / "uncertainty.npz") != content["arrays_sha256"]:
                raise ValueError("uncertainty.npz belongs to another uncertainty.json")
            with np.load(folder / "uncertainty.npz", allow_pickle=False) as arrays:
                state = dict(arrays)
            dispersion = content["dispersion"] if content["format"] > 1 else 0.0
            highest = float(content.get("highest", np.inf))
            factors = content["widening"] if content["format"] > 2 else {}
            widening = {kind: Widening(**values) for kind, values in factors.items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / 'uncertainty.json'} is damaged or of another version ({error}); "
                "run `spatioformer evaluate --force` to write it again"
            ) from error
        curve, centres = state.pop("curve"), state.pop("centres", np.empty((0, 2)))
        return cls(
            content["bands"],
            content["level"],
            dict(content["margins"]),
            CalibrationParameters(curve, dispersion, centres, highest),
            AreaOfApplicability.from_state(state, workers=1),
            content["lon_origin"],
            content["facts"],
            widening,
        )


def _middle_longitude(lon: Floats) -> float:
    """Circular mean of longitudes, degrees."""
    return float(np.degrees(np.angle(np.exp(1j * np.radians(lon)).mean())))


def predictors(pixels: Floats, lon: Floats, lat: Floats, origin: float) -> Floats:
    """Predictors of the area of applicability, float64 (n, band + 2).

    They are the bands, the longitude east of `origin` in [-180, 180), and the latitude.
    """
    east = (np.asarray(lon, np.float64) - origin + 180) % 360 - 180
    return np.column_stack([np.asarray(pixels, np.float64), east, lat])


def _weights_of_varying(predictors: Floats, weights: Floats | None) -> Floats:
    """Weights (p,) of predictors (n, p), 0 for predictors that are constant over the plots.

    Raises:
        EvaluationError: all predictors are constant or have the weight 0.
    """
    spread, size = predictors.std(axis=0), np.abs(predictors).max(axis=0)
    weights = np.ones(len(size)) if weights is None else np.asarray(weights, np.float64)
    weights = np.where(spread > CONSTANT * size, weights, 0)
    if not weights.any():
        raise EvaluationError(
            f"all predictors of the {len(predictors)} plots are constant or have the weight 0; "
            "check the bands at the plots"
        )
    return weights


def _correlation(
    held_out: HeldOut, intervals: CrossFitted, level: float, seed: int
) -> dict[str, float] | None:
    """Correlation of the errors, in half-widths of their intervals.

    None if fewer than two intervals have a width above 0.
    """
    half = np.diff(intervals.bounds, axis=1)[:, 0] / 2
    wide = half > 0  # bounds below 0 species are cut off
    if wide.sum() < 2:
        return None
    errors = held_out.observed - held_out.predicted
    place = (held_out.lon[wide], held_out.lat[wide])
    return ErrorCorrelation.estimate(
        *place, errors[wide], half[wide], level, seed, fold=held_out.fold[wide]
    ).to_json()


def _di_across_folds(
    area: AreaOfApplicability, predictors: Floats, fold: NDArray, sample: NDArray
) -> Floats:
    """Dissimilarity index (n,) of each plot to the plots of other folds.

    Args:
        sample: rows of the plots that `area` was fitted on.
    """
    di = np.empty(len(predictors))
    di[sample] = area.training_di_
    rest = np.setdiff1d(np.arange(len(predictors)), sample)
    for number in np.unique(fold[rest]):
        rows = rest[fold[rest] == number]
        di[rows] = area.di(predictors[rows], among=fold[sample] != number)
    return di
