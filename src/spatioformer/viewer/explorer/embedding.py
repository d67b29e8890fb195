"""Plots in two dimensions, by what the model takes from their imagery.

Shapes: n plots, K features.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.threads import limited_threads
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Model
from spatioformer.models.baselines import chip_statistics
from spatioformer.models.inside import networks_in, penultimate

Method = Literal["pca", "tsne"]
METHODS: tuple[Method, ...] = ("pca", "tsne")

MOST = {"pca": 4000, "tsne": 1000}
"""Largest number of plots; more are sampled. t-SNE of 1,000 takes some seconds."""

PERPLEXITY = 30.0

Floats = NDArray[np.float64]


def sample(count: int, method: Method) -> NDArray[np.int64]:
    """Rows of the plots that are shown: all, or evenly spaced ones of the table."""
    return np.linspace(0, count - 1, min(count, MOST[method])).round().astype(np.int64)


def plot_features(
    model: Model, store: ChipStore, rows: NDArray[np.int64]
) -> tuple[Floats, Literal["network", "imagery"]]:
    """Features (k, K) of plots, standardised, and where they come from.

    "network": the input of a network's head, of the network of a model that has one; "imagery":
    centre, mean and standard deviation of each band of the chip, without the location.
    """
    for _, network in networks_in(model):
        values = penultimate(network, store, rows)
        if values is not None:
            return _standardised(values), "network"
    statistics = chip_statistics(store.chips[rows], store.lon[rows], store.lat[rows])
    return _standardised(statistics[:, :-2]), "imagery"


def _standardised(values: NDArray[Any]) -> Floats:
    values = np.asarray(values, np.float64)
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def embed(features: Floats, method: Method) -> tuple[Floats, list[float]]:
    """Places (n, 2) of plots in the plane; the same features give the same places.

    Returns:
        The places, and for "pca" the shares of the variance along the two axes; empty for "tsne".
    """
    centred = features - features.mean(axis=0)
    if method == "pca" or len(features) < 4:
        return principal(centred)
    from sklearn.manifold import TSNE

    start = principal(centred)[0]
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    spread = start.std(axis=0)[0] or 1.0
    with limited_threads(1):
        tsne = TSNE(2, perplexity=perplexity, init=start / spread * 1e-4, random_state=0, n_jobs=1)
        return np.asarray(tsne.fit_transform(centred), np.float64), []


def principal(centred: Floats) -> tuple[Floats, list[float]]:
    """The two first principal components (n, 2), and their shares of the variance.

    Signs are such that the largest weight of each component is positive.
    """
    with limited_threads(1):
        left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    out, shares = np.zeros((len(centred), 2)), [0.0, 0.0]
    total = float((sizes**2).sum()) or 1.0
    for k in range(min(2, len(sizes))):
        sign = np.sign(right[k][np.abs(right[k]).argmax()]) or 1.0
        out[:, k] = left[:, k] * sizes[k] * sign
        shares[k] = float(sizes[k] ** 2 / total)
    return out, shares
