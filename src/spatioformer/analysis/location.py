"""Effect of location: predictions of the same imagery at every place of the map.

The effect at a place is the prediction of the mean imagery there, minus its mean over all places
of the map. So it is what the coordinates alone add to a prediction. Places lie on a coarse grid
over the map.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from spatioformer.common.files import writing
from spatioformer.common.version import __version__
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.cog import cog, cog_profile
from spatioformer.geo.raster.opening import open_raster
from spatioformer.models.base import Model, OutsideExtent
from spatioformer.models.target import unit

Floats = NDArray[np.float64]

PLACES = 3000
"""Largest number of places of the map at which the effect is predicted."""

LONGEST = 96
"""Largest number of places along a side of the map."""

FILE = "location_effect.tif"

SAME = 1e-4
"""Largest range of the effect, as a share of the mean prediction, that is rounding of 32 bits."""


@dataclass(frozen=True)
class LocationEffect:
    """Effect of location on a coarse grid.

    Attributes:
        values: (y, x), species, NaN where nothing is mapped; the mean is 0.
        grid: of the values.
        mean: mean prediction of the mean imagery over all places, species.
    """

    values: Floats
    grid: Grid
    mean: float

    @property
    def varies(self) -> bool:
        """Whether the prediction depends on the place."""
        low, high = np.nanmin(self.values), np.nanmax(self.values)
        return bool(high - low > SAME * max(abs(self.mean), 1e-6))

    def to_json(self) -> dict[str, float | int | bool]:
        return {
            "varies": self.varies,
            "places": int(np.isfinite(self.values).sum()),
            "mean": self.mean,
            "min": float(np.nanmin(self.values)),
            "max": float(np.nanmax(self.values)),
            "sd": float(np.nanstd(self.values)),
        }


def mean_chip(store: ChipStore) -> NDArray[np.float32]:
    """A chip of mean imagery, (P, P, band): the mean of each band is that over all plots.

    A chip with the same value in all pixels would have no pattern, as no real chip has. So the
    pattern is that of the plot whose chip is nearest to the mean in each band's mean and standard
    deviation.
    """
    chips = np.asarray(store.chips, np.float64)
    means, sds = chips.mean(axis=(1, 2)), chips.std(axis=(1, 2))  # (n, band)
    statistics = np.concatenate([means, sds], axis=1)
    spread = statistics.std(axis=0)
    distances = ((statistics - statistics.mean(axis=0)) / np.where(spread > 0, spread, 1)) ** 2
    nearest = int(distances.sum(axis=1).argmin())
    return np.asarray(chips[nearest] + (means.mean(axis=0) - means[nearest]), np.float32)


def location_effect(model: Model, store: ChipStore, map_: Path) -> LocationEffect | None:
    """Effect of location at the mapped pixels of a raster; None where nothing is mapped.

    Covariates of the plots have the values that they have in a map.

    Args:
        store: the training plots, whose mean imagery is used.
        map_: path of the map; its pixels without a prediction have no effect.
    """
    with open_raster(map_) as source:
        fine = Grid.of(source)
        mapped = _coarse(source, LONGEST)
        if mapped.sum() > PLACES:
            shrunk = max(mapped.shape) * (PLACES / mapped.sum()) ** 0.5
            mapped = _coarse(source, max(1, int(shrunk)))
    if not mapped.any():
        return None
    height, width = mapped.shape
    scale = fine.height / height, fine.width / width
    rows, cols = ((n + 0.5) * s - 0.5 for n, s in zip(np.nonzero(mapped), scale, strict=True))
    values = np.full(mapped.shape, np.nan)
    values[mapped] = at_places(model, mean_chip(store), fine, rows, cols)
    grid = Grid(fine.crs, fine.transform @ Affine.scale(*scale[::-1]), height, width)
    mean = float(np.nanmean(values))
    return LocationEffect(values - mean, grid, mean)


def at_places(
    model: Model, chip: NDArray[np.float32], grid: Grid, rows: Floats, cols: Floats
) -> Floats:
    """Predictions (n,), species, of one chip (P, P, band) at places (n,), in pixels of a grid."""
    half = model.patch // 2
    steps = np.arange(-half, half + 1)
    lon, lat = grid.lonlat(
        rows[:, None, None] + steps[None, :, None], cols[:, None, None] + steps[None, None, :]
    )
    chips = np.broadcast_to(chip, (len(rows), *chip.shape))
    with warnings.catch_warnings():  # the map itself says which places are far from the plots
        warnings.simplefilter("ignore", OutsideExtent)
        return np.asarray(model.predict(chips, lon, lat), np.float64)


def _coarse(source, longest: int) -> NDArray[np.bool_]:
    """Whether there is a prediction at the middle of each cell of a coarse grid, (y, x)."""
    step = max(1.0, max(source.shape) / longest)
    shape = tuple(max(1, round(n / step)) for n in source.shape)
    return source.read_masks(1, out_shape=shape, resampling=Resampling.nearest) > 0


def write_effect(effect: LocationEffect, model: Model, out: Path) -> None:
    """Write the effect as a GeoTIFF of one band.

    Raises:
        OutputError: it cannot be written.
    """
    with (
        writing(out) as part,
        cog(part, out, cog_profile(effect.grid, 1, "float32", np.nan)) as raw,
    ):
        raw.write(effect.values.astype(np.float32), 1)
        raw.set_band_description(1, "effect of location on the prediction of the mean imagery")
        raw.set_band_unit(1, unit(model.facts.get("target_kind")))
        raw.update_tags(SOFTWARE=f"spatioformer {__version__}", MODEL=model.name)
        if model.facts.get("virtual"):
            raw.update_tags(VIRTUAL=model.facts["virtual"])
