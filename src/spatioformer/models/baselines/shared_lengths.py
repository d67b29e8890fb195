"""A Gaussian process of many features that are one thing, such as the 64 bands of an embedding.

With independent length scales, the process of 64 bands has 6 + 2 x 192 hyperparameters, and
overfits some hundred plots (docs/models.md, "Embeddings"). Here the length scales of one embedding
scatter around a common one, which is a parameter too (partial pooling: Gelman et al. 2013,
"Bayesian Data Analysis", chapter 5). The plots decide how far they differ.
"""

import re
from collections.abc import Sequence

import numpy as np

from spatioformer.models.baselines.gaussian import (
    GaussianProcess,
    Group,
    Hyperparameters,
    minimum,
    misfit,
)

MANY = 32
"""Numbered bands of one name from which they are taken for one thing."""

SCATTER = 0.5
"""Standard deviation of the logarithms of an embedding's length scales around the common one."""

_NUMBERED = re.compile(r"(.*?)[0-9]+")


class SharedLengths(GaussianProcess):
    """Gaussian process in which groups of features share their unit and a common length scale.

    The features of a group are divided by their common standard deviation, not each by its own. So
    a number of an embedding that hardly varies in a region does not count as much as the others.

    Args:
        shares: group of each feature, from 0 without gaps.
        inducing, prior, seed: as of `GaussianProcess`.
    """

    def __init__(
        self,
        shares: Sequence[int] = (),
        inducing: int = 4000,
        prior: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(inducing, prior, seed)
        self.shares = shares

    def _scales(self, sds: np.ndarray) -> np.ndarray:
        shares = np.asarray(self.shares, np.int64)
        variances = np.bincount(shares, sds**2) / np.bincount(shares)
        return np.sqrt(variances)[shares]

    def _likeliest(self, groups: Sequence[Group]) -> Hyperparameters:
        return likeliest_of_groups(groups, self.prior, np.asarray(self.shares, np.int64))


def likeliest_of_groups(
    groups: Sequence[Group], prior: float, shares: np.ndarray
) -> Hyperparameters:
    """Maximum a posteriori estimate, with length scales around those of groups of features.

    Parameters are the offsets of `Hyperparameters.usual` in standard deviations of the prior: 6 of
    the variances and ranges, then of each group's l_2 and l_3 (sd 1), then of each feature's l_2
    and l_3 (sd SCATTER; 0 where a group has one feature).

    Args:
        groups, prior: as of `gaussian.likeliest`.
        shares: int (f,), group of each feature.
    """
    usual = Hyperparameters.usual(len(shares)).vector
    common = np.concatenate([np.arange(6), 6 + shares, 7 + shares.max() + shares])
    count = common.max() + 1
    scatter = np.tile(np.where(np.bincount(shares)[shares] > 1, SCATTER, 0.0), 2)

    def whole(offsets: np.ndarray) -> Hyperparameters:
        vector = usual + offsets[common]
        vector[6:] += scatter * offsets[count:]
        return Hyperparameters(vector)

    def loss(offsets: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = prior / 2 * offsets @ offsets, prior * offsets
        for group in groups:
            group_value, slope = misfit(*group, whole(offsets))
            value = value + group_value
            gradient[:count] += np.bincount(common, slope)
            gradient[count:] += scatter * slope[6:]
        return value, gradient

    return whole(minimum(loss, np.zeros(count + len(scatter))))


def embeddings_among(names: Sequence[str]) -> dict[str, list[int]]:
    """Places of the bands that are numbered under one name, MANY or more: A00, A01, ... A63.

    Returns:
        The name without the number -> the places, in order.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        match = _NUMBERED.fullmatch(name)
        if match:
            places.setdefault(match.group(1), []).append(place)
    return {stem: found for stem, found in places.items() if len(found) >= MANY}


def shares_of(covariates: Sequence[str], bands: Sequence[str], statistics: int) -> list[int] | None:
    """Group of each feature of a tabular model; None if no bands or covariates are an embedding.

    Args:
        covariates, bands: names, in the order of the features.
        statistics: features of each band: 3, or 1 of chips of one pixel.

    Returns:
        For the covariates, then for all bands' first statistic, their second, and so on. The
        statistics of an embedding have a group each.
    """
    blocks = [covariates, *[bands] * statistics]
    if not any(map(embeddings_among, blocks)):
        return None
    shares: list[int] = []
    count = 0
    for names in blocks:
        first = {
            place: places[0] for places in embeddings_among(names).values() for place in places
        }
        groups: dict[int, int] = {}
        for place in range(len(names)):
            key = first.get(place, place)
            if key not in groups:
                groups[key] = count
                count += 1
            shares.append(groups[key])
    return shares
