"""How far a mapped value may be off, and where nobody knows: intervals and applicability.

Calibrated on predictions of plots that the model did not learn from, held out as the run's most
map-like split holds them out; kept beside the model (`uncertainty.json`, `uncertainty.npz`, nothing
pickled) and laid over a map pixel by pixel. docs/evaluation.md has the methods.

The interval of a prediction m is [m - q s, m + q s]. The scale s is one of `KINDS`:

- "constant": 1, split conformal prediction (Lei et al. 2018, JASA 113:1094);
- "dissimilarity": the error expected at the pixel's dissimilarity index, an increasing function;
- "spread": the standard deviation of the model's own draws.

The kind with the smallest interval score is kept, "constant" unless another gains `WORTH`; q is the
conformal quantile of |error| / s.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spatioformer.errors import EvaluationError, ModelError
from spatioformer.evaluation.applicability import WINDOW, AreaOfApplicability, ExpectedError
from spatioformer.evaluation.conformal import Conformal
from spatioformer.evaluation.intervals import calibration_curve, crps, interval_scores
from spatioformer.files import hash_file, read_json, write_json, writing

Floats = NDArray[np.float64]

KINDS = ("constant", "dissimilarity", "spread")
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Coverages of the calibration curve."""

WORTH = 0.01
"""Share of the interval score that a kind must save to be taken in place of the constant one."""

MOST_PLOTS = 20_000
"""Plots that the area of applicability remembers, for the time of its fit grows as their square."""

FORMAT = 1
ALIKE = 1e-9
"""A predictor whose spread is below this share of its size does not vary."""


@dataclass(frozen=True)
class HeldOut:
    """Plots with a prediction by a model that did not see them.

    Attributes:
        pixels: (n, band), the imagery at each plot's pixel, in the model's order of bands.
        lon, lat: (n,), degrees.
        observed, predicted: (n,), species.
        fold: (n,), whichever numbers; predictions of a fold come from plots of the others.
        spread: (n,), standard deviation of the model's own draws, species, or None.
    """

    pixels: Floats
    lon: Floats
    lat: Floats
    observed: Floats
    predicted: Floats
    fold: NDArray[np.int64]
    spread: Floats | None = None


@dataclass(frozen=True)
class CrossFitted:
    """Intervals of held-out plots, each calibrated on the plots of the other folds.

    Attributes:
        bounds: (n, 2), species.
        crps: (n,), of the error distribution of the other folds laid around the prediction.
        scores: n, coverage, width, interval_score and crps (means).
    """

    bounds: Floats
    crps: Floats
    scores: dict[str, float]


@dataclass(frozen=True)
class Uncertainty:
    """Intervals and area of applicability of one model.

    Attributes:
        bands: names of the bands that `layers` takes, in order.
        level: share of new observations that the intervals are to hold.
        margins: kind -> q, in units of its scale; the kind to be preferred first.
        curve: (2, k), dissimilarity index (ascending) and the RMSE expected there, species; k is 1
            where there are too few plots to know more.
        area: the area of applicability, on bands and place.
        lon_origin: degrees; longitudes are counted from here, so no seam crosses the plots.
        facts: plots, folds and, for each kind, scores and calibration curve of the intervals of the
            held-out plots, each fold calibrated on the others; JSON values.
    """

    bands: list[str]
    level: float
    margins: dict[str, float]
    curve: Floats
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
        seed: int = 0,
    ) -> tuple[Self, dict[str, CrossFitted], Floats]:
        """Learn margins and area from held-out predictions.

        Args:
            weights: (band + 2,) importance of the bands, longitude and latitude, at least 0; None
                weighs all alike. Predictors that do not vary count for nothing.

        Returns:
            The uncertainty; the intervals of the held-out plots by kind; and their dissimilarity
            index (n,), each to the plots of other folds.

        Raises:
            EvaluationError: too few plots for the level, all plots alike, NaN.
        """
        origin = _middle_longitude(held_out.lon)
        table = predictors(held_out.pixels, held_out.lon, held_out.lat, origin)
        used = _used(table, weights)
        few = np.random.default_rng([seed, 3]).permutation(len(table))[:MOST_PLOTS]
        area = AreaOfApplicability(used, workers=1).fit(table[few], held_out.fold[few])
        di = _di_across_folds(area, table, held_out.fold, few)
        parts = {kind: _parts(held_out, di, kind) for kind in _kinds(held_out)}
        tried = {kind: _cross_fit(held_out, parts[kind], level) for kind in parts}
        curve = _error_curve(held_out, di)
        margins = {
            kind: _margin(held_out, _scale(kind, curve, di, held_out.spread), level)
            for kind in _ranked(tried)
        }
        facts = {
            "plots": len(table),
            "folds": len(np.unique(held_out.fold)),
            "kinds": {
                kind: {"scores": tried[kind].scores, "calibration": _calibration(held_out, of)}
                for kind, of in parts.items()
            },
        }
        return cls(bands, level, margins, curve, area, origin, facts), tried, di

    def kind(self, with_spread: bool) -> str:
        """Which scale the intervals have, one of `KINDS`; "spread" needs a map that has one."""
        return next(kind for kind in self.margins if with_spread or kind != "spread")

    def layers(
        self, mean: Floats, sd: Floats | None, pixels: Floats, lon: Floats, lat: Floats
    ) -> dict[str, NDArray]:
        """What belongs to mapped values: threads may call it at once.

        Args:
            mean: (n,) predictions, species; sd: (n,) spread of the model's draws, or None.
            pixels: (n, band) the imagery at each pixel; lon, lat: (n,) degrees.

        Returns:
            `lower` and `upper` (species, at least 0), `di` (dissimilarity index), each float32
            (n,), and `inside` the area of applicability, bool (n,).

        Raises:
            EvaluationError: another number of bands, NaN.
        """
        kind = self.kind(sd is not None)
        di = self.area.di(predictors(pixels, lon, lat, self.lon_origin))
        reach = self.margins[kind] * _scale(kind, self.curve, di, sd)
        mean = np.asarray(mean, np.float64)
        return {
            "lower": np.maximum(mean - reach, 0).astype(np.float32),
            "upper": np.maximum(mean + reach, 0).astype(np.float32),
            "di": di.astype(np.float32),
            "inside": di <= self.area.threshold_,
        }

    def expected_error(self, di: Floats) -> Floats:
        """RMSE (n,) to be expected at a dissimilarity index (n,), species."""
        return np.interp(di, *self.curve)

    def save(self, folder: str | Path) -> None:
        """Write `uncertainty.json` and `uncertainty.npz` into a folder, a model's for example."""
        folder = Path(folder)
        with writing(folder / "uncertainty.npz") as part:
            np.savez(part, curve=self.curve, **self.area.state())
        write_json(
            folder / "uncertainty.json",
            {
                "format": FORMAT,
                "bands": self.bands,
                "level": self.level,
                "margins": list(self.margins.items()),  # in order
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
        """Open what `save` wrote.

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
            if said["format"] != FORMAT:
                raise ValueError(f"format {said['format']}")
            if hash_file(folder / "uncertainty.npz") != said["arrays_sha256"]:
                raise ValueError("uncertainty.npz belongs to another")
            with np.load(folder / "uncertainty.npz", allow_pickle=False) as arrays:
                state = dict(arrays)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / 'uncertainty.json'} is damaged or of another version ({error}); make "
                "it anew with `spatioformer evaluate --force`"
            ) from error
        curve = state.pop("curve")
        area = AreaOfApplicability.from_state(state, workers=1)
        return cls(
            said["bands"],
            said["level"],
            dict(said["margins"]),
            curve,
            area,
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


def _kinds(held_out: HeldOut) -> list[str]:
    """The kinds that can be tried."""
    largest_fold = np.unique(held_out.fold, return_counts=True)[1].max()
    smallest_rest = len(held_out.fold) - largest_fold
    possible = {
        "constant": True,
        "dissimilarity": smallest_rest >= WINDOW,
        "spread": held_out.spread is not None,
    }
    return [kind for kind in KINDS if possible[kind]]


def _ranked(tried: dict[str, CrossFitted]) -> list[str]:
    """Kinds by interval score; the constant one is ahead of those that gain less than `WORTH`."""
    score = {kind: found.scores["interval_score"] for kind, found in tried.items()}
    score["constant"] *= 1 - WORTH
    return sorted(score, key=score.__getitem__)


def _margin(held_out: HeldOut, scale: Floats, level: float) -> float:
    fitted = Conformal(level).calibrate(held_out.observed, held_out.predicted, scale=scale)
    return fitted.margin_


def _error_curve(held_out: HeldOut, di: Floats, rows: NDArray | slice = slice(None)) -> Floats:
    """(2, k): dissimilarity and expected RMSE; one point where plots are fewer than a window."""
    di, observed, predicted = di[rows], held_out.observed[rows], held_out.predicted[rows]
    rmse = float(np.sqrt(np.mean((observed - predicted) ** 2)))
    if len(di) < WINDOW:
        return np.array([[0.0], [rmse]])
    found = ExpectedError().fit(di, observed, predicted)
    places = np.unique(found.window_di_)
    # A stretch of plots predicted without error would give intervals of no width.
    return np.stack([places, np.maximum(found.predict(places), 1e-6 * max(rmse, 1e-6))])


def _scale(kind: str, curve: Floats, di: Floats, spread: Floats | None) -> Floats:
    """s (n,), above 0."""
    if kind == "constant":
        return np.ones(len(di))
    if kind == "dissimilarity":
        return np.interp(di, *curve)
    return np.maximum(np.asarray(spread, np.float64), 1e-6)


Part = tuple[NDArray[np.bool_], Floats]


def _parts(held_out: HeldOut, di: Floats, kind: str) -> list[Part]:
    """For each fold: which plots (n,) are of it, and the scale (n,) that the others tell."""
    tests = [held_out.fold == number for number in np.unique(held_out.fold)]
    curves = (_error_curve(held_out, di, ~test) for test in tests)
    return [
        (test, _scale(kind, curve, di, held_out.spread))
        for test, curve in zip(tests, curves, strict=True)
    ]


def _cross_fit(held_out: HeldOut, parts: list[Part], level: float) -> CrossFitted:
    observed, predicted = held_out.observed, held_out.predicted
    bounds, score = _bounds(held_out, parts, level), np.empty(len(observed))
    for test, scale in parts:
        errors = ((observed - predicted) / scale)[~test]
        members = np.quantile(errors, (np.arange(99) + 0.5) / 99)
        score[test] = crps(observed[test], predicted[test, None] + scale[test, None] * members)
    scores = interval_scores(observed, bounds, level) | {"crps": float(score.mean())}
    return CrossFitted(bounds, score, scores)


def _bounds(held_out: HeldOut, parts: list[Part], level: float) -> Floats:
    """Intervals (n, 2) of each fold, calibrated on the others; at least 0 species."""
    observed, predicted = held_out.observed, held_out.predicted
    bounds = np.empty((len(observed), 2))
    for test, scale in parts:
        fitted = Conformal(level).calibrate(observed[~test], predicted[~test], scale=scale[~test])
        bounds[test] = fitted.interval(predicted[test], scale=scale[test])
    return np.maximum(bounds, 0)


def _calibration(held_out: HeldOut, parts: list[Part]) -> dict[str, list[float]]:
    """Level, coverage and width of cross-fitted intervals at the `LEVELS` that the plots allow."""
    bounds = {}
    for level in LEVELS:
        try:
            bounds[level] = _bounds(held_out, parts, level)
        except EvaluationError:  # too few plots for this level
            continue
    if not bounds:
        return {}
    curve = calibration_curve(held_out.observed, bounds)
    return {name: values.tolist() for name, values in curve.items()}
