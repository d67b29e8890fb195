"""Why a model predicts what it predicts at a place: its chip, attention on it, effect of location.

Of models without attention, occlusion shows how much the prediction falls when a pixel of the chip
is replaced by its usual value, the mean of that band over the plots (Zeiler & Fergus 2014).
"""

import base64
import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.analysis.location import at_places
from spatioformer.analysis.occlusion import occlusion
from spatioformer.analysis.years import imagery_of_map
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.base import Model
from spatioformer.report.ground import places
from spatioformer.viewer.catalogue import ALL, IMAGERY
from spatioformer.viewer.folder import RunFolder
from spatioformer.viewer.layers import Layer
from spatioformer.viewer.run import ViewedRun
from spatioformer.viewer.texts import text
from spatioformer.viewer.tiles import picture, png

Floats = NDArray[np.float64]

SIDE = 144
"""Least side of the enlarged picture of a chip, pixels."""

ELSEWHERE = 8
"""Largest number of other places at which the same imagery is predicted."""


def explain(run: ViewedRun, lon: float, lat: float, year: int | None) -> dict[str, Any]:
    """Content of `explain.json`.

    Args:
        lon, lat: degrees.
        year: of the imagery; None: that of the run's own map, which also stands for years whose
            imagery is not kept. The answer has the year of its chip.

    Raises:
        ImageryError: there is no imagery, or the chip around the place is not complete.
        ModelError: the model cannot be opened.
    """
    model = run.model
    path = None if year is None else imagery_of(run, year)
    shown = year if path is not None else None
    with Stack(path or own_imagery(run), model.bands) as stack:
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
        "year": shown,
        "note": None if shown == year else text(*(one.format(year=year) for one in NOT_KEPT)),
        "side": model.patch,
        "kind": kind,
        "unit": "share" if kind == "attention" else run.unit,
        "grid": shares.tolist(),
        "centre": [model.halo, model.halo],
        "location": {"places": _elsewhere(model, chip, grid, row, col)},
    }


NOT_KEPT = (
    "The imagery of {year} is not where it was when its map was made, so this is the imagery of "
    "the run's own map.",
    "Las imágenes de {year} no están donde estaban cuando se hizo su mapa; estas son las del mapa "
    "de la propia ejecución.",
)


def own_imagery(run: ViewedRun) -> Path:
    """The imagery of the run's own map.

    Raises:
        ImageryError: there is none.
    """
    if not (run.folder / IMAGERY).is_file():
        raise ImageryError(
            f"{run.folder} has no {IMAGERY}, from which a chip would be cut; run `spatioformer "
            "imagery` to make it"
        )
    return run.folder / IMAGERY


def imagery_of(run: ViewedRun, year: int) -> Path | None:
    """The imagery from which the map of a year was made; None: it is not kept.

    It is where the record of the maps of years says, or where the run put it.
    """
    map_ = run.map_of(year)
    assert map_ is not None  # the caller has checked the year
    return imagery_of_map(map_.path) or _of_sources(run, year)


def _of_sources(run: ViewedRun, year: int) -> Path | None:
    """What a run with sources keeps of a year, with all bands that its model needs; or None."""
    from spatioformer.run.sources import FOLDER, composite_path  # heavy

    kept = [composite_path(run.folder / FOLDER, year)]
    if run.imagery_year == year:
        kept.insert(0, run.folder / IMAGERY)
    for path in kept:
        with contextlib.suppress(ImageryError), Stack(path, run.model.bands):
            return path
    return None


def _sensitivity(
    run: ViewedRun, model: Model, chip: NDArray[np.float32], lon: Floats, lat: Floats
) -> tuple[str, Floats]:
    """Attention on each pixel (P, P), or where the model has none the effect of occlusion."""
    if model.attends is not None:
        shares = model.attends.attention(chip[None], lon[None], lat[None])
        if shares is not None:
            return "attention", shares
    return "occlusion", occlusion(model, chip, lon, lat, usual_values(run, model))


def usual_values(run: RunFolder, model: Model) -> Floats:
    """Mean of each band (band,) over the chips of the plots, in the model's order."""
    if "usual" not in run.memo:
        store = run.store
        means = np.asarray(store.chips, np.float64).mean(axis=(0, 1, 2))
        run.memo["usual"] = means[[store.bands.index(band) for band in model.bands]]
    return run.memo["usual"]


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
    model: Model, chip: NDArray[np.float32], grid: Grid, row: int, col: int
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
