"""Compare imagery with the training plots before mapping, and print warnings."""

import numpy as np

from spatioformer.common.progress import Console
from spatioformer.geo.extent import FAR_KM
from spatioformer.models.base import Model

FAR = 6.0  # training standard deviations between the two means
APART = 8.0  # ratio of the two standard deviations


def compare_scale(model: Model, pixels: np.ndarray, console: Console) -> list[str]:
    """Warn if the imagery's scale differs from the scale at the training plots.

    Args:
        pixels: float32 (n, band), a sample of the imagery's valid pixels.

    Returns:
        A sentence for each band that differs strongly; the sentences are printed too.
    """
    scaling = model.scaling
    if scaling is None or len(pixels) < 2:
        return []
    warnings = []
    for i, name in enumerate(model.bands):
        mean, sd = float(pixels[:, i].mean(dtype=np.float64)), float(pixels[:, i].std())
        old_mean, old_sd = scaling.band_mean[i], scaling.band_sd[i]
        if is_far(mean, sd, old_mean, old_sd):
            warnings.append(
                f"warning: band {name} has mean {mean:.4g} and standard deviation {sd:.4g} here, "
                f"and {old_mean:.4g} and {old_sd:.4g} at the training plots; check its scale"
            )
    for sentence in warnings:
        console.say(f"  {sentence}")
    return warnings


def is_far(mean: float, sd: float, plots_mean: float, plots_sd: float) -> bool:
    """Whether mean and standard deviation of a band are far from those at the training plots."""
    ratio = sd / plots_sd
    return abs(mean - plots_mean) > FAR * plots_sd or not 1 / APART <= ratio <= APART


def compare_extent(
    model: Model, region: tuple[float, float, float, float], console: Console
) -> str | None:
    """Print a note if corners of `region` (W, E, S, N, degrees) lie far outside the extent."""
    west, east, south, north = region
    corners = np.array([(x, y) for x in (west, east) for y in (south, north)])
    outside = model.km_outside(*corners.T)
    if outside < FAR_KM:
        return None
    sentence = (
        f"note: the map extends up to {outside:,.0f} km beyond the extent of the training plots, "
        f"W, E, S, N = {model.facts['region']}; predictions there are extrapolation"
    )
    console.say(f"  {sentence}")
    return sentence
