"""Refuse bands that are in another unit than at the training plots."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatioformer.common.errors import ImageryError
from spatioformer.mapping.checks import is_far
from spatioformer.models.base import Model

NEAR = 3.0
"""Training standard deviations between the two means, at most, after a conversion."""
ALIKE = 4.0
"""Ratio of the two standard deviations, at most, after a conversion."""


@dataclass(frozen=True)
class Conversion:
    """A mistake in units: value in the model's unit = value in the raster x scale + offset.

    Attributes:
        words: what the values look like.
    """

    words: str
    scale: float = 1.0
    offset: float = 0.0


CONVERSIONS = (
    Conversion("kelvin where the model learned degrees Celsius", 1, -273.15),
    Conversion("degrees Celsius where the model learned kelvin", 1, 273.15),
    Conversion("degrees Fahrenheit where the model learned degrees Celsius", 5 / 9, -160 / 9),
    *(
        Conversion(f"{factor:g} times the unit that the model learned", 1 / factor)
        for factor in (10.0, 100.0, 1000.0, 10000.0)
    ),
    *(
        Conversion(f"a {words} of the unit that the model learned", factor)
        for factor, words in (
            (10.0, "tenth"),
            (100.0, "hundredth"),
            (1000.0, "thousandth"),
            (10000.0, "ten-thousandth"),
        )
    ),
)


def check_units(model: Model, pixels: np.ndarray, imagery: Path) -> None:
    """Refuse a band that is far from the training plots, and near them in another unit.

    A band that no conversion brings near them is accepted: a scenario may be extreme. The map stage
    prints a warning about it.

    Args:
        pixels: float32 (n, band), a sample of the scenario's valid pixels.
        imagery: path of the raster, for the message.

    Raises:
        ImageryError: the values look like those of another unit.
    """
    scaling = model.scaling
    if scaling is None or len(pixels) < 2:
        return
    for i, band in enumerate(model.bands):
        mean, sd = float(pixels[:, i].mean(dtype=np.float64)), float(pixels[:, i].std())
        plots = scaling.band_mean[i], scaling.band_sd[i]
        if not is_far(mean, sd, *plots):
            continue
        likely = _likely(mean, sd, *plots)
        if likely is not None:
            raise ImageryError(
                f"band {band} of {imagery} has mean {mean:.4g} and standard deviation {sd:.4g}, "
                f"and {plots[0]:.4g} and {plots[1]:.4g} at the training plots: this looks like "
                f"{likely.words}; convert it, in a scenario file with {_remedy(likely)} of its "
                "layer"
            )


def _likely(mean: float, sd: float, plots_mean: float, plots_sd: float) -> Conversion | None:
    """The conversion after which the band is nearest to the training plots; None: none is near."""

    def distance(conversion: Conversion) -> float:
        shift = abs(mean * conversion.scale + conversion.offset - plots_mean) / plots_sd
        spread = sd * abs(conversion.scale) / plots_sd
        near = shift <= NEAR and 1 / ALIKE <= spread <= ALIKE
        return shift + abs(float(np.log(spread))) if near else np.inf

    nearest = min(CONVERSIONS, key=distance)
    return nearest if np.isfinite(distance(nearest)) else None


def _remedy(conversion: Conversion) -> str:
    """The keys of a layer that convert it."""
    keys = []
    if conversion.scale != 1:
        keys.append(f"`scale: {conversion.scale:.6g}`")
    if conversion.offset:
        keys.append(f"`offset: {conversion.offset:.6g}`")
    return " and ".join(keys)
