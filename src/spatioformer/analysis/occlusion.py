"""Occlusion sensitivity: how much a prediction changes when one pixel of its chip is hidden.

Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", ECCV.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.models.base import Model, OutsideExtent

Floats = NDArray[np.float64]


def occlusion(
    model: Model,
    chip: NDArray[np.float32],
    lon: Floats,
    lat: Floats,
    usual: Floats,
    covariates: Mapping[str, Any] | None = None,
) -> Floats:
    """Prediction of a chip minus that with each pixel hidden: (P, P), species.

    A hidden pixel has usual values. A positive value says that the pixel raises the prediction.

    Args:
        chip: (P, P, band), raw values.
        lon, lat: (P, P), degrees.
        usual: (band,), such as the mean over the chips of the plots.
        covariates: as of `Model.predict`.
    """
    side = len(chip)
    chips = np.repeat(chip[None], side**2 + 1, axis=0)  # the last one is whole
    pixels = np.arange(side**2)
    chips[pixels, pixels // side, pixels % side] = usual
    lon, lat = (np.broadcast_to(place, chips.shape[:3]) for place in (lon, lat))
    with warnings.catch_warnings():  # the map itself says which places are far from the plots
        warnings.simplefilter("ignore", OutsideExtent)
        predictions = np.asarray(model.predict(chips, lon, lat, covariates), np.float64)
    return (predictions[-1] - predictions[:-1]).reshape(side, side)
