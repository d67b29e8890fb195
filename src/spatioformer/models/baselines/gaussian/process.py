"""The regressor: a Gaussian process of location, features, their product, and plot area."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ModelError
from spatioformer.models.baselines.features import lonlat
from spatioformer.models.baselines.gaussian.choice import NO_TRANSFORM, Trial, best_of, candidates
from spatioformer.models.baselines.gaussian.groups import (
    SHAPES,
    blocks,
    canonical_order,
    inducing_plots,
    likelihood_groups,
    sample_of,
    shortest_range,
)
from spatioformer.models.baselines.gaussian.kernel import (
    Hyperparameters,
    Inputs,
    covariance,
)
from spatioformer.models.baselines.gaussian.leaving import (
    LeftOut,
    leave_out_each,
    leave_out_exact,
    leave_out_through,
    log_score,
)
from spatioformer.models.baselines.gaussian.posterior import (
    Posterior,
    chunks,
    exact,
    through_inducing,
)
from spatioformer.models.baselines.gaussian.response import TRANSFORMS, TransformName
from spatioformer.models.baselines.gaussian.search import STEPS, likeliest
from spatioformer.models.baselines.tails import NormalScores

# Covariances computed at once in `predict`: 1 MB a field, which fits the processor cache. Arrays of
# 3 MB are slower, because the allocator returns them to the system after each use.
CHUNK = 2**17
FIRST_STEPS = 25  # iterations of the optimiser before a transform is chosen
BLOCKS = 10  # blocks of plots that are left out for this choice


class GaussianProcess(RegressorMixin, BaseEstimator):
    """Gaussian process of location, features, their product, and plot area.

    With at most `inducing` plots it is exact. With more plots it is the subset-of-regressors
    approximation (Rasmussen & Williams 2006, section 8.3.1) with `inducing` inducing points.

    The hyperparameters are maximum a posteriori estimates under a weak prior
    (`Hyperparameters.usual`). With more than `groups.WHOLE` plots, the likelihood is that of groups
    of plots taken as independent (`groups.likelihood_groups`). They do not depend on the order of
    the rows.

    Counts are fitted as they are, as square roots, or as logarithms: whichever gives the best log
    score of plots of blocks that are left out. Predictions are expected counts. They lie between
    the smallest and the largest response of the training plots, also in extrapolation.

    Args:
        inducing: largest number of inducing plots.
        prior: weight of the prior, above 0; 1 is the prior itself.
        seed: not used, since nothing is random; files of models hold it, as those of trees do.
        effort: column of X that holds the logarithm of the plots' area; None: areas do not count.
        counts: whether the response is a count; another one is not transformed. A response with
            negative values, or more than a tenth of fractional ones, counts as another.
        without: fields of `kernel.TERMS` that are left out.
        rigid: multiple of their medians at which ranges and lengths are held; None estimates them.
        shares: group of each feature, from 0; features of a group, such as the bands of an
            embedding, are divided by their common standard deviation, and their length scales
            scatter around a common one. None: no groups.
    """

    effort: int | None = None
    counts: bool = True
    without: tuple[str, ...] = ()
    rigid: float | None = None
    shares: Sequence[int] | None = None
    area_: int | None = None
    effort_: np.ndarray | None = None
    transform_: TransformName = "none"
    indicated_: np.ndarray | None = None
    frame_: np.ndarray | None = None
    reduction_: np.ndarray | None = None
    limits_: np.ndarray | None = None
    tails_: NormalScores | None = None
    # Class attributes above are the values of models of version 0.1, whose files lack them.

    def __init__(
        self,
        inducing: int = 4000,
        prior: float = 1.0,
        seed: int = 0,
        effort: int | None = None,
        counts: bool = True,
        without: tuple[str, ...] = (),
        rigid: float | None = None,
        shares: Sequence[int] | None = None,
    ):
        self.inducing = inducing
        self.prior = prior
        self.seed = seed
        self.effort = effort
        self.counts = counts
        self.without = without
        self.rigid = rigid
        self.shares = shares

    def fit(self, X: np.ndarray, y: np.ndarray) -> "GaussianProcess":
        """Estimate the hyperparameters and fit the process.

        Args:
            X: (n, features + 2), NaN where a feature is missing; the last two columns are longitude
                and latitude, degrees. A missing feature is replaced by its mean, and a further
                feature says that it is missing. Features with heavy tails become normal scores.
            y: (n,), richness.
        """
        return self._fit(X, y, None)

    def fit_like(self, other: "GaussianProcess", X: np.ndarray, y: np.ndarray) -> "GaussianProcess":
        """`fit` with the transform of another process of the same plots, which is faster: it starts
        from the hyperparameters of the other, and reads half of the groups of the likelihood."""
        return self._fit(X, y, other)

    def _fit(
        self, X: np.ndarray, y: np.ndarray, other: "GaussianProcess | None"
    ) -> "GaussianProcess":
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        order = canonical_order(X, y)
        X, y = X[order], y[order]
        self._set_scales(X)
        inputs = self._standardised(X)
        if other is None:
            transform, start = self._choose(inputs, y)
            start = _from_short_range(start, inputs.places)
        else:
            transform, start = other.transform_, other._hyperparameters
        self._set_transform(transform, y)
        target = self._target(y)
        groups = likelihood_groups(inputs.places)
        self._estimate(inputs, target, start, groups if other is None else groups[:SHAPES])
        posterior = self._solved(inputs, target)
        self.features_, self.places_ = posterior.known.features, posterior.known.places
        self.effort_ = posterior.known.effort
        self.weights_ = posterior.weights
        self.reduction_ = posterior.reduction
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,) at X (n, features + 2), with columns as in `fit`."""
        inputs = self._standardised(np.asarray(X, np.float64))
        found = self._hyperparameters
        known = Inputs(self.features_, self.places_, self.effort_)
        mean, variance = np.empty(len(inputs)), found.variance(inputs) + found.noise
        for part in chunks(len(mean), CHUNK // len(self.weights_)):
            shared = covariance(inputs[part], known, found)
            mean[part] = shared @ self.weights_
            if self.reduction_ is not None:
                variance[part] -= np.sum((shared @ self.reduction_) ** 2, axis=1)
        return self._richness(mean, np.maximum(variance, found.noise))

    def leave_out(self, X: np.ndarray, y: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Expected richness (n,) of each training plot, from the plots of other blocks.

        Hyperparameters, transform and scales stay those of all plots.

        Args:
            X, y: what the process was fitted to.
            block: (n,), label of the block of each plot.
        """
        left_out = self.left_out(X, y, block)
        return self._richness(left_out.mean, left_out.variance)

    def leave_out_each(
        self, X: np.ndarray, y: np.ndarray, blocks: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Expected richness (n, divisions) of plots, each from those of other blocks.

        Unlike `leave_out`, the plots may be a sample of the training plots, at most some thousands.

        Args:
            X, y: as of `fit`.
            blocks: (n,) each, label of the block of each plot in a division.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        inputs, target = self._standardised(X), self._target(y)
        parts = leave_out_each(inputs, target, self._hyperparameters, blocks)
        return np.column_stack([self._richness(part.mean, part.variance) for part in parts])

    def left_out(self, X: np.ndarray, y: np.ndarray, block: np.ndarray) -> LeftOut:
        """Mean and variance of `leave_out`, of the transformed response, standardised."""
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        inputs, target = self._standardised(X), self._target(y)
        self._check_fitted_to(inputs, X, y)
        if len(y) <= self.inducing:
            return leave_out_exact(inputs, target, self._hyperparameters, block)
        order = canonical_order(X, y)
        chosen = order[inducing_plots(inputs.places[order], self.inducing)]
        return leave_out_through(inputs, target, self._hyperparameters, chosen, block)

    def _check_fitted_to(self, inputs: Inputs, X: np.ndarray, y: np.ndarray) -> None:
        """Check that the process was fitted to these plots.

        Raises:
            ModelError: it was fitted to others.
        """
        order = canonical_order(X, y)
        known = inputs[order[inducing_plots(inputs.places[order], self.inducing)]]
        if not np.array_equal(known.features, self.features_) or len(known) != len(self.weights_):
            raise ModelError(
                f"these {len(y)} plots are not those that the process was fitted to, so they "
                "cannot be left out of it; give the table and the richness of the fit"
            )

    @property
    def _hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(self.found_, self.features_.shape[1])

    def _set_scales(self, X: np.ndarray) -> None:
        """Set the scales of features and places, from plots X."""
        self.tails_ = NormalScores(self._as_they_are).fit(X[:, :-2])
        features = np.ma.masked_invalid(self.tails_.transform(X[:, :-2]))
        self.centre_ = features.mean(axis=0).filled(0.0)
        self.scale_ = self._common(_above_zero(features.std(axis=0).filled(0.0)))
        self.indicated_ = _indicated(X[:, :-2])
        varies = (
            self.effort is not None and len(np.unique(features[:, self.effort].compressed())) > 1
        )
        self.area_ = self.effort if varies else None
        places = on_sphere(lonlat(X))
        self.middle_ = places.mean(axis=0)
        self.extent_ = float(_above_zero(np.sqrt(np.sum(np.var(places, axis=0)))))
        self.frame_ = _frame(self.middle_)

    @property
    def _as_they_are(self) -> list[int]:
        """Features that never become normal scores: the area, and those of a group."""
        shares = np.asarray([] if self.shares is None else self.shares, int)
        together = np.flatnonzero(np.bincount(shares)[shares] > 1).tolist()
        return together if self.effort is None else [self.effort, *together]

    def _common(self, sds: np.ndarray) -> np.ndarray:
        """Standard deviations (f,) of features, with one of all features of a group."""
        if self.shares is None:
            return sds
        shares = np.asarray(self.shares, int)
        variances = np.bincount(shares, sds**2) / np.bincount(shares)
        return np.sqrt(variances)[shares]

    def _groups(self, features: int) -> np.ndarray | None:
        """Group of each of `features`; those that say what is missing have a group each."""
        if self.shares is None:
            return None
        added = features - len(self.shares)
        return np.concatenate([self.shares, max(self.shares) + 1 + np.arange(added)])

    def _standardised(self, X: np.ndarray) -> Inputs:
        """Standardised features, 0 (the mean) where missing, and places."""
        places = (on_sphere(lonlat(X)) - self.middle_) / self.extent_
        if self.frame_ is not None:
            places = places @ self.frame_
        features = X[:, :-2] if self.tails_ is None else self.tails_.transform(X[:, :-2])
        scaled = (features - self.centre_) / self.scale_
        features = np.where(np.isfinite(scaled), scaled, 0.0)
        effort = None if self.area_ is None else features[:, self.area_].copy()
        if self.indicated_ is not None and len(self.indicated_):
            features = np.hstack([features, ~np.isfinite(scaled[:, self.indicated_])])
        return Inputs(features, places, effort)

    def _choose(self, inputs: Inputs, y: np.ndarray) -> tuple[TransformName, Hyperparameters]:
        """Choose the transform by a sample of plots, each with hyperparameters of its own."""
        sample = sample_of(inputs.places)
        judged, block = inputs[sample], blocks(inputs.places[sample], BLOCKS)
        trials: dict[TransformName, Trial] = {}
        found = None
        for name in candidates(y) if self.counts else NO_TRANSFORM:
            self._set_transform(name, y)
            target = self._target(y[sample])
            held = self._held(inputs)
            shares = self._groups(inputs.features.shape[1])
            found = likeliest([(judged, target)], self.prior, found, FIRST_STEPS, held, shares)
            left_out = leave_out_exact(judged, target, found, block)
            density = log_score(left_out, target) - np.log(self.sd_)
            density += TRANSFORMS[name].log_slope(y[sample])
            errors = self._richness(left_out.mean, left_out.variance) - y[sample]
            trials[name] = Trial(float(density.mean()), float(np.mean(errors**2)), found)
        chosen = best_of(trials)
        return chosen, trials[chosen].found

    def _estimate(
        self,
        inputs: Inputs,
        target: np.ndarray,
        start: Hyperparameters,
        groups: Sequence[np.ndarray],
    ) -> None:
        """Set the hyperparameters, by the likelihood of groups of plots."""
        parts = [(inputs[rows], target[rows]) for rows in groups]
        held = self._held(inputs)
        shares = self._groups(inputs.features.shape[1])
        self.found_ = likeliest(parts, self.prior, start, STEPS, held, shares).vector

    def _held(self, inputs: Inputs) -> dict[int, float]:
        usual = Hyperparameters.usual(inputs.features.shape[1], inputs.effort is not None)
        return usual.held(self.without, self.rigid)

    def _set_transform(self, name: TransformName, y: np.ndarray) -> None:
        self.transform_ = name
        transformed = TRANSFORMS[name].forward(y)
        self.mean_ = float(transformed.mean())
        self.sd_ = float(_above_zero(transformed.std()))
        self.limits_ = np.array([y.min(), y.max()])

    def _target(self, y: np.ndarray) -> np.ndarray:
        """Transformed response, standardised."""
        return (TRANSFORMS[self.transform_].forward(y) - self.mean_) / self.sd_

    def _richness(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Expected richness from the mean and the variance of the standardised target."""
        transform = TRANSFORMS[self.transform_]
        mean = self.mean_ + self.sd_ * mean
        if self.limits_ is None:
            return mean
        mean = np.clip(mean, *transform.forward(self.limits_))
        richness = transform.mean(mean, self.sd_**2 * np.minimum(variance, 1.0))
        return np.clip(richness, *self.limits_)

    def _solved(self, inputs: Inputs, target: np.ndarray) -> Posterior:
        found = Hyperparameters(self.found_, inputs.features.shape[1])
        variance = self.transform_ != "none"  # the mean of a count that is transformed needs it
        if len(target) <= self.inducing:
            return exact(inputs, target, found, variance)
        chosen = inducing_plots(inputs.places, self.inducing)
        return through_inducing(inputs, target, found, chosen, variance)


def gaussian_process(seed: int) -> GaussianProcess:
    """`GaussianProcess` with default hyperparameters, unfitted."""
    return GaussianProcess(seed=seed)


def _from_short_range(start: Hyperparameters, places: np.ndarray) -> Hyperparameters:
    """`start` with the shortest range of the field of location that the plots can show.

    The likelihood of many plots often has two maxima: one in which the field has a long range, and
    a higher one in which the product has it, and the field describes what neighbours share. A
    search that starts at a long range ends at the first; one that starts at a short range ends at a
    long one where it is better. Few plots have one maximum and keep `start`.
    """
    short = shortest_range(places)
    if short is None:
        return start
    vector = start.vector.copy()
    vector[4] = np.log(short)
    return Hyperparameters(vector, start.features)


def _indicated(features: np.ndarray) -> np.ndarray:
    """Columns of features (n, f) whose gaps need a feature of their own.

    Columns with the same gaps share one, and a column that says where they are needs none.
    """
    missing = ~np.isfinite(features)
    chosen: list[int] = []
    patterns = {column.tobytes() for column in (features == 1).T if column.any()}
    for number, column in enumerate(missing.T):
        if column.any() and not column.all() and column.tobytes() not in patterns:
            patterns.add(column.tobytes())
            chosen.append(number)
    return np.array(chosen, int)


def _frame(middle: np.ndarray) -> np.ndarray:
    """Unit vectors to the east, to the north and up at a point (3,), as columns (3, 3)."""
    size = np.linalg.norm(middle)
    up = middle / size if size > 0 else np.array([1.0, 0.0, 0.0])
    east = np.cross([0.0, 0.0, 1.0], up)
    breadth = np.linalg.norm(east)
    east = east / breadth if breadth > 1e-12 else np.array([0.0, 1.0, 0.0])
    return np.stack([east, np.cross(up, east), up], axis=1)


def _above_zero(value: np.ndarray | float) -> np.ndarray:
    """Replace 0 by 1, so that the value can be a divisor."""
    return np.where(np.asarray(value) > 0, value, 1.0)
