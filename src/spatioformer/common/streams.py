"""Registry of random streams: every draw that starts from a seed and a number names itself here.

Two draws with the same (seed, number) would use the same random bits and so depend on each other.
A number never changes, because every seeded result would change with it; new streams take the next
free number. Benchmarks outside the package use 10 to 12.
"""

from enum import IntEnum, unique

import numpy as np


@unique
class Stream(IntEnum):
    """What is drawn; used as `generator(seed, Stream.SURVEY)`."""

    FLORA = 0
    """Soil, species and provinces of a virtual flora."""
    FLORA_PLOTS = 1
    """Places and counts of the plots in a virtual flora."""
    PREDICTION_POINTS = 2
    """Pixels that represent the map when folds are compared with it."""
    UNCERTAINTY_PLOTS = 3
    """Plots that the area of applicability of the map's uncertainty is fitted on."""
    IMPORTANCE_PLOTS = 4
    """Held-out plots that the forest behind predictor weights is fitted on."""
    SURVEY = 5
    """Pixels and candidate sites of a survey design."""
    ERROR_GROUPS = 6
    """Groups of plots that the correlation of errors is estimated from."""
    IMPORTANCE_SHUFFLES = 7
    """Shuffles of permutation importance."""
    SENSITIVITY_DIRECTIONS = 8
    """Directions in which location sensitivity moves the plots."""
    DRIVERS_PLOTS = 9
    """Plots over which drivers averages dependence, sensitivity and attention."""
    RANGE_PLOTS = 13
    """Plots that the range of the residuals' correlation is estimated from."""
    CHOICE_SAMPLES = 14
    """Bootstrap samples of tiles that score the choice of the map's model."""
    VERDICT = 15
    """Blocks and pairs of held-out plots that the verdict on a map is made from."""
    MAP_PAIRS = 16
    """Pairs of mapped pixels whose predictions the verdict compares."""
    EXAMPLE_LAND = 17
    """The invented landscape of `spatioformer example`."""
    EXAMPLE_PLACES = 18
    """Dates, noise and places without a count in its files."""


FAMILIES = {
    "training.richness": "(epoch): order and turns of plots; (epoch, rank): torch's dropout",
    "text.training": "(step): windows of text in a batch",
    "vision.training": "(epoch): torch's order, jitter and dropout",
    "mapping.predictor": "(row, column) of a unit of pixels: dropout samples of its spread",
    "evaluation.clusters": "(clusters, start): beginning of k-means",
}
"""Module -> the numbers behind the seed in its family of streams, and what they draw.

A family counts through epochs or places instead of having one number, so its low members use the
same bits as a `Stream`. Other numbers would change every seeded result, so this stays.
"""


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """The random generator of a named stream."""
    return np.random.default_rng([seed, int(stream)])


def family_generator(seed: int, *member: int) -> np.random.Generator:
    """The random generator of one member of a family in FAMILIES."""
    return np.random.default_rng([seed, *member])


def family_seed(seed: int, *member: int) -> int:
    """A seed of 32 bits for one member of a family, for generators that take one integer."""
    return int(np.random.SeedSequence([seed, *member]).generate_state(1)[0])
