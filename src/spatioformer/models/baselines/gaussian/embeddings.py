"""Which features are one thing, such as the 64 bands of an embedding.

With independent length scales, the process of 64 bands has 8 + 2 x 192 hyperparameters, and
overfits some hundred plots (docs/models.md, "Embeddings"). So the length scales of one embedding
scatter around a common one, which is estimated too (partial pooling: Gelman et al. 2013, "Bayesian
Data Analysis", chapter 5; `Hyperparameters.prior_precision`). The plots decide how far they differ.
"""

import re
from collections.abc import Sequence

MANY = 32
"""Numbered bands of one name from which they are taken for one thing."""

_NUMBERED = re.compile(r"(.*?)[0-9]+")


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
    return {stem: numbered for stem, numbered in places.items() if len(numbered) >= MANY}


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
