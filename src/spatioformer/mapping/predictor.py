"""Predict the layers of the map for one tile of imagery."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from rasterio.windows import Window

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_file, hash_value
from spatioformer.common.streams import family_seed
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.mapping.options import INTERVAL
from spatioformer.mapping.plan import UNIT
from spatioformer.models.base import Model
from spatioformer.models.store import load
from spatioformer.models.uncertainty import Uncertainty


@dataclass
class Tile:
    """A window of imagery with a margin of h pixels, the model's halo.

    Attributes:
        window: pixels to predict, without the margin.
        data: float32 (band, y + 2h, x + 2h).
        valid: bool (y + 2h, x + 2h), True where data holds values.
        wanted: bool (y, x), True where a prediction is wanted.
    """

    window: Window
    data: np.ndarray
    valid: np.ndarray
    wanted: np.ndarray


@dataclass
class Totals:
    """Sums over predicted pixels for the summary; tiles are added in the order of their numbers.

    `area` is theirs, `inside` that of the pixels inside the area of applicability, both in km2.
    """

    pixels: int = 0
    negative: int = 0
    area: float = 0.0
    mean: float = 0.0
    sd: float = 0.0
    inside: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, other: "Totals") -> None:
        for name in ("pixels", "negative", "area", "mean", "sd", "inside"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


@dataclass
class Predictor:
    """Computes the layers of tiles; threads of a process share one predictor.

    Attributes:
        layers: names of the layers, in the order of the result.
        samples: Monte Carlo dropout passes; 0 for none.
        step: k, pixels: one spread is computed for each k x k block.
        uncertainty: source of the layers in INTERVAL; None if none of them is requested.
    """

    model: Model
    layers: tuple[str, ...]
    samples: int
    step: int
    seed: int
    uncertainty: Uncertainty | None = None
    # Dropout draws from torch's global generator, so only one tile at a time may use it. It uses a
    # copy of the network, so that dropout stays off in the network that computes the means.
    _dropout: Lock = field(default_factory=Lock, repr=False)
    _sampler: Model | None = field(default=None, repr=False)

    def __post_init__(self):
        self.model.ready()
        if self.samples:
            self._sampler = copy.deepcopy(self.model)
        missing = [name for name in self.layers if name in INTERVAL]
        if missing and self.uncertainty is None:
            raise ModelError(
                f"the model has no measured uncertainty, which the layer {missing[0]!r} needs; "
                "evaluate it with `spatioformer run`, or leave the layer out"
            )
        if "sd" in self.layers and not self.samples:
            raise ModelError(
                "the layer 'sd' needs Monte Carlo dropout; give samples of 2 or more and a model "
                "with dropout, or leave the layer out"
            )

    @property
    def unit(self) -> int:
        """Side of the smallest tile, pixels: whole blocks of the spread, so that none spans two."""
        return spread_unit(self.step)

    def compute(self, grid: Grid, tile: Tile) -> tuple[Totals, np.ndarray | None]:
        """Predict one tile.

        Returns:
            Totals; layers, float32 (layer, y, x), NaN where nothing is predicted. The layers are
            None for a tile without any prediction.
        """
        if not tile.wanted.any():
            return Totals(), None
        lon, lat = _pixel_coordinates(grid, tile.window, self.model.halo)
        valid = tile.valid & np.isfinite(lon) & np.isfinite(lat)
        mean = self.model.predict_tile(tile.data, valid, lon, lat, wanted=tile.wanted)
        pixels = np.nonzero(np.isfinite(mean) & tile.wanted)
        if not pixels[0].size:
            return Totals(), None
        layers = {"mean": mean[pixels], "valid": np.ones(len(pixels[0]), np.float32)}
        if self.samples:
            layers["sd"] = self._spread(tile, valid, lon, lat, *pixels)
        if self.uncertainty is not None:
            if self.uncertainty.kind("sd" in layers) == "quantiles":
                inputs = tile.data, valid, lon, lat
                quantiles = self.model.quantile_pair
                assert quantiles is not None  # such intervals are calibrated on the quantiles
                layers["quantiles"] = quantiles.quantiles_tile(*inputs, wanted=tile.wanted)[pixels]
            layers |= self._interval(self.uncertainty, tile, layers, lon, lat, pixels)
        totals = _totals(layers, pixel_areas(grid, tile.window)[pixels])
        np.maximum(layers["mean"], 0, out=layers["mean"])
        out = np.full((len(self.layers), *mean.shape), np.nan, np.float32)
        for layer, name in zip(out, self.layers, strict=True):
            layer[pixels] = layers[name]
        return totals, out

    def _interval(
        self, uncertainty: Uncertainty, tile: Tile, layers, lon, lat, pixels
    ) -> dict[str, np.ndarray]:
        """The layers of INTERVAL at the predicted pixels, (n,) each."""
        h = self.model.halo
        centre = pixels[0] + h, pixels[1] + h
        return uncertainty.layers(
            layers["mean"],
            layers.get("sd"),
            tile.data[:, *centre].T,
            lon[centre],
            lat[centre],
            layers.get("quantiles"),
        )

    def _spread(self, tile: Tile, valid, lon, lat, rows, cols) -> np.ndarray:
        """Standard deviation (n,) at pixels of a tile, unit by unit.

        Each unit has its own seed, so that the spread does not depend on tiles or their order.
        """
        out = np.empty(len(rows), np.float32)
        unit, across = self.unit, tile.window.width // self.unit + 1
        number = rows // unit * across + cols // unit
        with self._dropout:
            for index in np.unique(number):
                member = np.nonzero(number == index)[0]
                row, col = np.multiply(divmod(int(index), across), unit)
                origin = tile.window.row_off + int(row), tile.window.col_off + int(col)
                seed = family_seed(self.seed, *origin)
                out[member] = self._unit_spread(
                    tile, valid, lon, lat, rows[member], cols[member], (row, col), seed
                )
        return out

    def _unit_spread(
        self, tile: Tile, valid, lon, lat, rows, cols, corner, seed: int
    ) -> np.ndarray:
        """Spread (n,) at pixels of one unit: each block has the value of its chosen pixel."""
        k, h = self.step, self.model.halo
        y, x = rows - corner[0], cols - corner[1]
        centre_distance = (y % k - (k - 1) / 2) ** 2 + (x % k - (k - 1) / 2) ** 2
        block = y // k * (self.unit // k + 1) + x // k
        order = np.lexsort((centre_distance, block))
        _, first, member = np.unique(block[order], return_index=True, return_inverse=True)
        chosen = order[first]
        inner = tuple(slice(edge, edge + self.unit) for edge in corner)
        outer = tuple(slice(edge, edge + self.unit + 2 * h) for edge in corner)
        wanted = np.zeros_like(tile.wanted[inner])
        wanted[y[chosen], x[chosen]] = True
        draws = self._sampler.draws if self._sampler is not None else None
        assert draws is not None  # `samples` is 0 for a model without draws
        sampled = draws.spread_tile(
            tile.data[:, *outer], valid[outer], lon[outer], lat[outer], wanted,
            samples=self.samples, seed=seed,
        )  # fmt: skip
        spread = np.empty(len(rows), np.float32)
        spread[order] = sampled[y[chosen], x[chosen]][member]
        return spread


def open_predictor(
    model: Model | str | Path,
    layers: tuple[str, ...] | None,
    samples: int,
    step: int,
    seed: int,
) -> Predictor:
    """Load a model if necessary and make its predictor.

    Args:
        model: a model or its folder.
        layers: names of layers; None: all that the model can produce with these samples.
        samples, step, seed: see `Predictor`.

    Raises:
        ModelError: the folder is not a model folder, or the model cannot produce one of the layers.
    """
    if isinstance(model, str | Path):
        loaded, folder = load(model), Path(model)
    else:
        loaded, folder = model, None
    if loaded.draws is None:
        samples = 0
    measured = folder if folder is not None and Uncertainty.is_in(folder) else None
    if layers is None:
        layers = ("mean", *["sd"] * (samples > 0), *(INTERVAL if measured is not None else ()))
    needs_uncertainty = any(name in INTERVAL for name in layers)
    uncertainty = None
    if measured is not None and needs_uncertainty:
        uncertainty = Uncertainty.load(measured)
    # An interval that was calibrated with a spread needs the spread in the map too.
    needs_spread = uncertainty is not None and uncertainty.kind(with_spread=True) == "spread"
    needed = samples if "sd" in layers or needs_spread else 0
    return Predictor(loaded, layers, needed, step, seed, uncertainty)


def identity(model: Model | str | Path) -> str:
    """Hash of a model's weights, settings and measured uncertainty."""
    if not isinstance(model, str | Path):
        return model.identity()
    return hash_value(_hashes(Path(model), ("*.json", "*.safetensors", "*.skops", "*.npz")))


def weights_hash(folder: str | Path) -> str:
    """Hash of the weights in a model folder; for a single file, the hash of that file."""
    hashes = _hashes(Path(folder), ("model.safetensors", "model.skops"))
    return next(iter(hashes.values())) if len(hashes) == 1 else hash_value(hashes)


def _hashes(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Map from file to hash of its content, for a model and its members."""
    paths = {path for pattern in patterns for path in folder.rglob(pattern)}
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def spread_unit(step: int) -> int:
    """Side of the smallest tile, pixels, for spread blocks of side `step`: a multiple near UNIT."""
    return step * max(1, UNIT // step)


def _pixel_coordinates(grid: Grid, window: Window, halo: int) -> tuple[np.ndarray, np.ndarray]:
    """lon, lat (y + 2h, x + 2h) of the pixel centres, degrees; infinite outside the projection."""
    rows = np.arange(window.row_off - halo, window.row_off + window.height + halo)
    cols = np.arange(window.col_off - halo, window.col_off + window.width + halo)
    with np.errstate(invalid="ignore"):  # the remainder of an infinite longitude is invalid
        return grid.lonlat(rows[:, None], cols[None, :])


def _totals(layers: dict[str, np.ndarray], areas: np.ndarray) -> Totals:
    """Totals of predicted pixels (n,) and their areas (n,), km2."""
    mean = layers["mean"]
    return Totals(
        pixels=len(mean),
        negative=int((mean < 0).sum()),
        area=float(areas.sum()),
        mean=float(mean.sum(dtype=np.float64)),
        sd=float(layers["sd"].sum(dtype=np.float64)) if "sd" in layers else 0.0,
        inside=float(areas @ layers["inside"]) if "inside" in layers else 0.0,
        low=float(mean.min()),
        high=float(mean.max()),
    )
