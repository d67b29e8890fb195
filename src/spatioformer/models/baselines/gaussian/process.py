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
from spatioformer.models.baselines.gaussian.scales import above_zero, frame, indicated
from spatioformer.models.baselines.gaussian.search import STEPS, likeliest
from spatioformer.models.baselines.order import canonical_order, in_canonical_order
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
                feature says that it is missing. Features with heavy tails become normal scores if
                that lowers the error of plots left out.
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
        X, y = in_canonical_order(X, y)
        if other is None:
            start, inputs = self._choose(X, y)
        else:
            start = other._hyperparameters
            self._set_scales(X, other.tails_)
            self._set_transform(other.transform_, y)
            inputs = self._standardised(X)
        target = self._target(y)
        groups = likelihood_groups(inputs.places)
        if other is None:
            self._estimate(inputs, target, _starts(start, inputs.places), groups)
        else:
            self._estimate(inputs, target, [start], groups[:SHAPES])
        posterior = self._solved(inputs, target)
        self.features_, self.places_ = posterior.known.features, posterior.known.places
        self.effort_ = posterior.known.effort
        self.weights_ = posterior.weights
        self.reduction_ = posterior.reduction
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,) at X (n, features + 2), with columns as in `fit`."""
        inputs = self._standardised(np.asarray(X, np.float64))
        hyperparameters = self._hyperparameters
        plots = Inputs(self.features_, self.places_, self.effort_)
        mean = np.empty(len(inputs))
        variance = hyperparameters.variance(inputs) + hyperparameters.noise
        for part in chunks(len(mean), CHUNK // len(self.weights_)):
            shared = covariance(inputs[part], plots, hyperparameters)
            mean[part] = shared @ self.weights_
            if self.reduction_ is not None:
                variance[part] -= np.sum((shared @ self.reduction_) ** 2, axis=1)
        return self._richness(mean, np.maximum(variance, hyperparameters.noise))

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
        inducing = inputs[order[inducing_plots(inputs.places[order], self.inducing)]]
        same_features = np.array_equal(inducing.features, self.features_)
        if not same_features or len(inducing) != len(self.weights_):
            raise ModelError(
                f"these {len(y)} plots are not those that the process was fitted to, so they "
                "cannot be left out of it; give the table and the richness of the fit"
            )

    @property
    def _hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(self.found_, self.features_.shape[1])

    def _set_scales(self, X: np.ndarray, tails: NormalScores | None) -> None:
        """Set the scales of features and places, from plots X.

        Args:
            tails: the features that become normal scores; None: none of them.
        """
        self.tails_ = tails
        features = np.ma.masked_invalid(self._scored(X))
        self.centre_ = features.mean(axis=0).filled(0.0)
        self.scale_ = self._common(above_zero(features.std(axis=0).filled(0.0)))
        self.indicated_ = indicated(X[:, :-2])
        varies = (
            self.effort is not None and len(np.unique(features[:, self.effort].compressed())) > 1
        )
        self.area_ = self.effort if varies else None
        places = on_sphere(lonlat(X))
        self.middle_ = places.mean(axis=0)
        self.extent_ = float(above_zero(np.sqrt(np.sum(np.var(places, axis=0)))))
        self.frame_ = frame(self.middle_)

    def _scored(self, X: np.ndarray) -> np.ndarray:
        """Features (n, f) of X, normal scores in place of those that have them."""
        return X[:, :-2] if self.tails_ is None else self.tails_.transform(X[:, :-2])

    def _scores(self, X: np.ndarray) -> NormalScores:
        """Normal scores of features with heavy tails, but of the area and those of a group."""
        shares = np.asarray([] if self.shares is None else self.shares, int)
        kept = np.flatnonzero(np.bincount(shares)[shares] > 1).tolist()
        if self.effort is not None:
            kept.append(self.effort)
        return NormalScores(kept).fit(X[:, :-2])

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
        scaled = (self._scored(X) - self.centre_) / self.scale_
        features = np.where(np.isfinite(scaled), scaled, 0.0)
        effort = None if self.area_ is None else features[:, self.area_].copy()
        if self.indicated_ is not None and len(self.indicated_):
            features = np.hstack([features, ~np.isfinite(scaled[:, self.indicated_])])
        return Inputs(features, places, effort)

    def _choose(self, X: np.ndarray, y: np.ndarray) -> tuple[Hyperparameters, Inputs]:
        """Choose transform and normal scores by plots that are left out, and set the scales.

        Normal scores are kept where they lower the error of the expected response: they help where
        values are wrong or span decades, and cost accuracy where the response is linear in the
        feature.

        Returns:
            The hyperparameters of the choice, of a sample of the plots, and the inputs of all
            plots.
        """
        scores = self._scores(X)
        best: tuple[TransformName, Trial, NormalScores | None, Inputs] | None = None
        for tails in [scores, None] if len(scores.columns_) else [None]:
            self._set_scales(X, tails)
            inputs = self._standardised(X)
            trials = self._trials(inputs, y)
            name = best_of(trials)
            if best is None or trials[name].squared_error < best[1].squared_error:
                best = name, trials[name], tails, inputs
        assert best is not None
        name, trial, tails, inputs = best
        if tails is not self.tails_:
            self._set_scales(X, tails)
        self._set_transform(name, y)
        return trial.found, inputs

    def _trials(self, inputs: Inputs, y: np.ndarray) -> dict[TransformName, Trial]:
        """Try each transform on a sample of plots, with hyperparameters of its own."""
        sample = sample_of(inputs.places)
        judged, block = inputs[sample], blocks(inputs.places[sample], BLOCKS)
        held, shares = self._held(inputs), self._groups(inputs.features.shape[1])
        trials: dict[TransformName, Trial] = {}
        starts: list[Hyperparameters] = []
        for name in candidates(y) if self.counts else NO_TRANSFORM:
            self._set_transform(name, y)
            target = self._target(y[sample])
            parts = [(judged, target)]
            hyperparameters = likeliest(parts, self.prior, starts, FIRST_STEPS, held, shares)
            left_out = leave_out_exact(judged, target, hyperparameters, block)
            density = log_score(left_out, target) - np.log(self.sd_)
            density += TRANSFORMS[name].log_slope(y[sample])
            errors = self._richness(left_out.mean, left_out.variance) - y[sample]
            trials[name] = Trial(float(density.mean()), float(np.mean(errors**2)), hyperparameters)
            starts = [hyperparameters]
        return trials

    def _estimate(
        self,
        inputs: Inputs,
        target: np.ndarray,
        starts: Sequence[Hyperparameters],
        groups: Sequence[np.ndarray],
    ) -> None:
        """Set the hyperparameters, by the likelihood of groups of plots."""
        parts = [(inputs[rows], target[rows]) for rows in groups]
        held = self._held(inputs)
        shares = self._groups(inputs.features.shape[1])
        self.found_ = likeliest(parts, self.prior, starts, STEPS, held, shares).vector

    def _held(self, inputs: Inputs) -> dict[int, float]:
        usual = Hyperparameters.usual(inputs.features.shape[1], inputs.effort is not None)
        return usual.held(self.without, self.rigid)

    def _set_transform(self, name: TransformName, y: np.ndarray) -> None:
        self.transform_ = name
        transformed = TRANSFORMS[name].forward(y)
        self.mean_ = float(transformed.mean())
        self.sd_ = float(above_zero(transformed.std()))
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
        hyperparameters = Hyperparameters(self.found_, inputs.features.shape[1])
        variance = self.transform_ != "none"  # the mean of a count that is transformed needs it
        if len(target) <= self.inducing:
            return exact(inputs, target, hyperparameters, variance)
        chosen = inducing_plots(inputs.places, self.inducing)
        return through_inducing(inputs, target, hyperparameters, chosen, variance)


def gaussian_process(seed: int) -> GaussianProcess:
    """`GaussianProcess` with default hyperparameters, unfitted."""
    return GaussianProcess(seed=seed)


def _starts(start: Hyperparameters, places: np.ndarray) -> list[Hyperparameters]:
    """`start`, and the same with the shortest range of the field of location that plots can show.

    The likelihood of many plots often has two maxima: one in which the field has a long range, and
    one in which the product has it, and the field describes what neighbours share. Either can be
    the higher one. Few plots have one maximum and keep `start`.
    """
    short = shortest_range(places)
    if short is None:
        return [start]
    vector = start.vector.copy()
    vector[4] = np.log(short)
    return [Hyperparameters(vector, start.features), start]
