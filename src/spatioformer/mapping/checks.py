"""What is said about imagery before it is mapped."""

import numpy as np

from spatioformer.common.progress import Console
from spatioformer.geo.extent import FAR_KM
from spatioformer.models.base import Model

FAR = 6.0  # training standard deviations between two means
APART = 8.0  # ratio of two standard deviations


def compare_scale(bundle: Model, pixels: np.ndarray, console: Console) -> list[str]:
    """Say so when imagery is on another scale than the training plots' was.

    Args:
        pixels: float32 (n, band), a sample of the imagery's wanted pixels.

    Returns:
        A sentence for each band that is far off; said on the console too.
    """
    scaling = bundle.scaling
    if scaling is None or len(pixels) < 2:
        return []
    found = []
    for i, name in enumerate(bundle.bands):
        mean, sd = float(pixels[:, i].mean(dtype=np.float64)), float(pixels[:, i].std())
        old_mean, old_sd = scaling.band_mean[i], scaling.band_sd[i]
        if abs(mean - old_mean) > FAR * old_sd or not 1 / APART <= sd / old_sd <= APART:
            found.append(
                f"warning: band {name} has mean {mean:.4g} and standard deviation {sd:.4g} here, "
                f"{old_mean:.4g} and {old_sd:.4g} at the training plots; is it on the same scale?"
            )
    for sentence in found:
        console.say(f"  {sentence}")
    return found


def compare_extent(
    bundle: Model, region: tuple[float, float, float, float], console: Console
) -> str | None:
    """Say how far the corners of a region (W, E, S, N) lie outside the extent of the plots."""
    west, east, south, north = region
    corners = np.array([(x, y) for x in (west, east) for y in (south, north)])
    outside = bundle.km_outside(*corners.T)
    if outside < FAR_KM:
        return None
    sentence = (
        f"note: the map reaches up to {outside:,.0f} km outside the extent of the training plots, "
        f"W, E, S, N = {bundle.facts['region']}; predictions there are extrapolation"
    )
    console.say(f"  {sentence}")
    return sentence
