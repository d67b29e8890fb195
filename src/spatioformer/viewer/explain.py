"""Why a model predicts what it predicts at a place: its chip, attention on it, effect of location.

Of models without attention, occlusion shows how much the prediction falls when a pixel of the chip
is replaced by its usual value, the mean of that band over the plots (Zeiler & Fergus 2014).
"""

import base64
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.analysis.location import at_places
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.base import Model, OutsideExtent
from spatioformer.report.ground import places
from spatioformer.viewer.catalogue import ALL, IMAGERY
from spatioformer.viewer.layers import Layer
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.tiles import picture, png

Floats = NDArray[np.float64]

SIDE = 144
"""Least side of the enlarged picture of a chip, pixels."""

ELSEWHERE = 8
"""Largest number of other places at which the same imagery is predicted."""


def explain(run: ViewedRun, lon: float, lat: float) -> dict[str, Any]:
    """Content of `explain.json`; the imagery is that of the run's own map.

    Args:
        lon, lat: degrees.

    Raises:
        ImageryError: there is no imagery, or the chip around the place is not complete.
        ModelError: the model cannot be opened.
    """
    if not (run.folder / IMAGERY).is_file():
        raise ImageryError(
            f"{run.folder} has no {IMAGERY}, from which a chip would be cut; run `spatioformer "
            "imagery` to make it"
        )
    model = run.model
    with Stack(run.folder / IMAGERY, model.bands) as stack:
        row, col = (int(v) for v in stack.grid.pixel(np.array(lon), np.array(lat)))
        data, valid, _ = stack.read(Window(col, row, 1, 1), model.halo)
        grid = stack.grid
    if not valid.all() or not grid.holds(np.array(row), np.array(col)):
        raise ImageryError(
            f"the chip of {model.patch} x {model.patch} pixels at lon {lon:g}, lat {lat:g} is not "
            "complete in the imagery; choose a place with data around it"
        )
    chip = np.moveaxis(data, 0, -1)  # (P, P, band)
    steps = np.arange(-model.halo, model.halo + 1)
    place = grid.lonlat(row + steps[:, None], col + steps[None, :])
    kind, shares = _sensitivity(run, model, chip, *place)
    return {
        "chip": _data_uri(run, chip, model.bands),
        "side": model.patch,
        "kind": kind,
        "unit": "share" if kind == "attention" else run.unit,
        "grid": shares.tolist(),
        "centre": [model.halo, model.halo],
        "location": {"places": _elsewhere(run, model, chip, grid, row, col)},
    }


def _sensitivity(
    run: ViewedRun, model: Model, chip: NDArray[np.float32], lon: Floats, lat: Floats
) -> tuple[str, Floats]:
    """Attention on each pixel (P, P), or where the model has none the effect of occlusion."""
    if model.attends is not None:
        shares = model.attends.attention(chip[None], lon[None], lat[None])
        if shares is not None:
            return "attention", shares
    return "occlusion", occlusion(model, chip, lon, lat, usual_values(run, model))


def usual_values(run: ViewedRun, model: Model) -> Floats:
    """Mean of each band (band,) over the chips of the plots, in the model's order."""
    if "usual" not in run.memo:
        store = run.store
        means = np.asarray(store.chips, np.float64).mean(axis=(0, 1, 2))
        run.memo["usual"] = means[[store.bands.index(band) for band in model.bands]]
    return run.memo["usual"]


def occlusion(
    model: Model, chip: NDArray[np.float32], lon: Floats, lat: Floats, usual: Floats
) -> Floats:
    """Prediction less that with the pixel replaced by usual values, for each pixel: (P, P).

    Args:
        chip: (P, P, band); lon, lat: (P, P), degrees.
        usual: (band,).
    """
    side = model.patch
    chips = np.repeat(chip[None], side**2 + 1, axis=0)  # the last one is whole
    pixels = np.arange(side**2)
    chips[pixels, pixels // side, pixels % side] = usual
    east, north = (np.broadcast_to(part, (len(chips), side, side)) for part in (lon, lat))
    with warnings.catch_warnings():  # the map itself says which places are far from the plots
        warnings.simplefilter("ignore", OutsideExtent)
        predictions = np.asarray(model.predict(chips, east, north), np.float64)
    return (predictions[-1] - predictions[:-1]).reshape(side, side)


def _data_uri(run: ViewedRun, chip: NDArray[np.float32], bands: list[str]) -> str | None:
    """The chip as a PNG with the colours of the imagery's layer; None where it has other bands."""
    layers = run.catalogue.layers
    layer = next((layers[n] for n in ("imagery-true", "imagery-bands") if n in layers), None)
    shown = None if layer is None else _bands_shown(layer, bands)
    if layer is None or shown is None:
        return None
    pixels = picture(np.moveaxis(chip[..., shown], -1, 0), layer.legend)
    scale = -(-SIDE // len(pixels))
    enlarged = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    return "data:image/png;base64," + base64.b64encode(png(enlarged)).decode()


def _bands_shown(layer: Layer, bands: list[str]) -> list[int] | None:
    """Positions in the chip of the bands that a picture shows."""
    raster = layer.rasters[ALL]
    with Stack(raster.path) as stack:
        names = stack.bands
    wanted = [names[raster.bands[band] - 1] for band in layer.bands]
    return [bands.index(name) for name in wanted] if set(wanted) <= set(bands) else None


def _elsewhere(
    run: ViewedRun, model: Model, chip: NDArray[np.float32], grid: Grid, row: int, col: int
) -> list[dict[str, Any]]:
    """Predictions of the same chip here, and at the most important named places of the map."""
    names, place = places()
    rows, cols = grid.pixel(place[:, 0], place[:, 1])
    inside = np.flatnonzero(grid.holds(rows, cols))[:ELSEWHERE]
    rows, cols = np.append(row, rows[inside]), np.append(col, cols[inside])
    values = at_places(model, chip, grid, rows.astype(np.float64), cols.astype(np.float64))
    lon, lat = grid.lonlat(rows, cols)
    shown = [None, *(names[i] for i in inside.tolist())]
    return [
        {"name": name, "lon": x, "lat": y, "value": value}
        for name, x, y, value in zip(
            shown, lon.tolist(), lat.tolist(), values.tolist(), strict=True
        )
    ]
