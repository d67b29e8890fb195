"""One chip as the explorer shows it: its picture, the attention over it, the effect of its pixels.

Shapes: P patch side, L layers, H heads, T tokens.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from spatioformer.analysis.occlusion import occlusion
from spatioformer.common.errors import ImageryError
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.raster.colours import colours_of
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.base import Model
from spatioformer.models.inside import patterns_of
from spatioformer.models.network import NetworkModel
from spatioformer.viewer.explorer.packing import packed
from spatioformer.viewer.explorer.picture import data_uri, stretched

Floats = NDArray[np.float64]
COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

MOST_WEIGHTS = 500_000
"""Largest number of attention weights of a chip that are sent; of more, no single weights are."""


@dataclass(frozen=True)
class Chip:
    """A chip and its place: pixels (P, P, band), raw values; lon, lat (P, P), degrees."""

    pixels: NDArray[np.float32]
    lon: Floats
    lat: Floats
    covariates: dict[str, NDArray[Any]] | None = None


def chip_of_plot(model: Model, store: ChipStore, row: int) -> Chip:
    """Chip of a plot, with its covariates.

    Raises:
        ImageryError: there is no such plot.
    """
    if not 0 <= row < len(store):
        raise ImageryError(f"plot number {row} does not exist; the run has {len(store):,}")
    rows = np.array([row])
    chips, lon, lat = model.plot_chips(store, rows)
    return Chip(chips[0], lon[0], lat[0], model.named_covariates(store, rows))


def chip_at(model: Model, imagery: Path, lon: float, lat: float) -> Chip:
    """Chip of imagery around a place; the covariates have their default values.

    Raises:
        ImageryError: the run has no imagery, or it has no complete chip there.
    """
    if not imagery.is_file():
        raise ImageryError("the run keeps no imagery, so only plots have chips; choose a plot")
    half = model.patch // 2
    with Stack(imagery, model.bands) as stack:
        row, col = (int(v) for v in stack.grid.pixel(np.array(lon), np.array(lat)))
        data, valid, _ = stack.read(Window(col, row, 1, 1), half)
        steps = np.arange(-half, half + 1)
        places = stack.grid.lonlat(row + steps[:, None], col + steps[None, :])
    if not valid.all():
        raise ImageryError(
            f"there is no complete chip at {lon:.4f}, {lat:.4f}; choose a place on mapped land"
        )
    return Chip(np.ascontiguousarray(data.transpose(1, 2, 0)), *places)


def stretch_of(store: ChipStore) -> tuple[list[int], Floats, Floats]:
    """Numbers of the bands that are shown, and the values shown as black and as full colour.

    Red, green and blue if the bands have such names, otherwise the first band in grey.
    """
    colours = colours_of(list(store.bands))
    has_all = all(colour in colours for colour in COLOURS)
    bands = [colours.index(colour) for colour in COLOURS] if has_all else [0]
    low, high = np.percentile(store.chips[..., bands].reshape(-1, len(bands)), (1, 99), axis=0)
    return bands, low, high


def explained_chip(
    model: Model,
    network: NetworkModel | None,
    chip: Chip,
    usual: Floats,
    stretch: tuple[list[int], Floats, Floats],
) -> dict[str, Any]:
    """Picture, attention and occlusion of a chip.

    Args:
        network: the network in the model whose attention is shown; None: it has none.
        usual: (band,), values of a hidden pixel.
        stretch: from `stretch_of`.

    Returns:
        picture; colours (whether in true colour); side; occlusion (P, P), species; `attention`,
        None for a model without attention between the inputs of a chip, else:
        weights (L, H, T, T), NaN rows are not computed; kinds (T,); names of the tokens that are
        no pixels; layers, their numbers; shares (T,), rollout, sum 1.
    """
    bands, low, high = stretch
    pixels = stretched(chip.pixels[..., bands], low, high)
    return {
        "picture": data_uri(pixels if len(bands) == 3 else pixels[..., 0]),
        "colours": len(bands) == 3,
        "side": len(pixels),
        "occlusion": packed(
            occlusion(model, chip.pixels, chip.lon, chip.lat, usual, chip.covariates)
        ),
        "attention": None if network is None else _attention(network, chip),
    }


def _attention(network: NetworkModel, chip: Chip) -> dict[str, Any] | None:
    covariates = None if network.covariates is None else chip.covariates
    patterns = patterns_of(network, chip.pixels, chip.lon, chip.lat, covariates)
    if patterns is None:
        return None
    names = [] if network.covariates is None else list(network.covariates.names)
    inputs = patterns.kinds.count("other")
    weights = patterns.weights
    return {
        "weights": packed(weights) if weights.size <= MOST_WEIGHTS else None,
        "kinds": patterns.kinds,
        "names": [*network.bands, *names][-inputs:] if inputs else [],
        "layers": patterns.layers,
        "heads": weights.shape[1],
        "shares": packed(patterns.rollout()),
    }


def attends(network: NetworkModel, chip: Chip) -> bool:
    """Whether a network has attention between the inputs of a chip."""
    covariates = None if network.covariates is None else chip.covariates
    return patterns_of(network, chip.pixels, chip.lon, chip.lat, covariates) is not None
