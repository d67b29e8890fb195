"""The layers of a run folder: which rasters it has, and what each of their bands shows."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from spatioformer.analysis.scenarios.change import BANDS as CHANGE_BANDS
from spatioformer.analysis.years.trend import BANDS as TREND_BANDS
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import read_json
from spatioformer.geo.raster.colours import colours_of
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.viewer import texts
from spatioformer.viewer.folder import MAP
from spatioformer.viewer.layers import Floats, Layer, Look, Text, legend_of, span_of
from spatioformer.viewer.rasters import Raster, coarse, opened, register

IMAGERY, TREND, CHANGE, TRUTH = (*("imagery.tif", "trend.tif", "change.tif", "virtual/truth.tif"),)
ALL = "all"
"""The year of a layer without years, and of the run's own map."""

_YEAR = re.compile(r"map_(\d{1,4})")
_INFRARED = re.compile(r"(?:^|[^a-z])(nir|nir08|near_?infrared|b8|b08)$", re.IGNORECASE)


@dataclass
class Catalogue:
    """Layers of a run by identifier, and why rasters of it were left out."""

    layers: dict[str, Layer] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path, make: Callable[[Path], list[Layer]]) -> None:
        """Add the layers of a raster that the run may lack; a note where it cannot be used."""
        if not path.is_file():
            return
        try:
            for layer in make(path):
                self.layers.setdefault(layer.id, layer)
        except ImageryError as error:
            self.notes.append(f"left out: {error}")


def catalogue_of(run: Path, unit: str, level: float) -> Catalogue:
    """Find and check the rasters of a run folder.

    Args:
        run: its folder, with a map.
        unit: of the target.
        level: nominal coverage of the map's intervals, 0-1.

    Raises:
        ImageryError: the map cannot be read, or has no mean.
    """
    words = texts.unit_text(unit)
    catalogue = Catalogue()
    rasters: dict[int | str, Raster] = {ALL: _map(run / MAP)}
    folders = [run / "years", *sorted(path.parent for path in run.glob(f"*/{TREND}"))]
    trend = next((folder for folder in folders if (folder / TREND).is_file()), None)
    rasters |= _years(trend or folders[0], catalogue.notes)  # a single year has no trend
    for bands, (name, look) in texts.map_looks(words, level).items():
        shown = {year: r for year, r in rasters.items() if set(bands) <= r.bands.keys()}
        if ALL in shown:
            catalogue.layers[name] = _numbers(name, look, shown, bands)
    if trend is not None:
        catalogue.add(trend / TREND, lambda path: _trend(path, words))
    for folder in sorted(path.parent for path in run.glob(f"*/{CHANGE}")):
        catalogue.add(folder / CHANGE, lambda path: [_change(path, words)])
    catalogue.add(run / TRUTH, lambda path: [_single("truth", texts.truth_look(words), path)])
    catalogue.add(run / IMAGERY, _pictures)
    return catalogue


def _map(path: Path) -> Raster:
    raster = register(path, bands_of)
    if "mean" not in raster.bands:
        raise ImageryError(
            f"{path} has no band described as the mean; map again with `spatioformer run`"
        )
    return raster


def _years(folder: Path, notes: list[str]) -> dict[int | str, Raster]:
    """Maps of single years; a year whose map cannot be read is left out with a note."""
    rasters: dict[int | str, Raster] = {}
    for path in sorted(folder.glob("map_*.tif")):
        match = _YEAR.fullmatch(path.stem)
        if match:
            try:
                rasters[int(match[1])] = _map(path)
            except ImageryError as error:
                notes.append(f"left out: {error}")
    return rasters


def _numbers(
    name: str,
    look: Look,
    rasters: Mapping[int | str, Raster],
    bands: tuple[str, ...],
    trust: tuple[str, int] = ("inside", 1),
) -> Layer:
    """A layer of numbers; its legend is that of the first raster.

    Args:
        trust: band that says where the model applies, if the rasters have it, and its value there.
    """
    first = rasters.get(ALL, next(iter(rasters.values())))
    span = span_of(rasters, bands)
    if look.kind == "classes":
        span = (0.0, 1.0)
    band, applies = trust
    has_trust = all(band in raster.bands for raster in rasters.values())
    layer = Layer(name, look, rasters, bands, span, span, band if has_trust else None, applies)
    with opened(first.path) as dataset:
        values = layer.combine(coarse(dataset, tuple(first.bands[b] for b in bands)))
    legend = legend_of(values, look.kind, span)
    return replace(layer, legend=legend)


def _single(name: str, look: Look, path: Path, band: int = 1) -> Layer:
    raster = register(path, {name: band})
    return _numbers(name, look, {ALL: raster}, (name,))


def _trend(path: Path, unit: Text) -> list[Layer]:
    titles = [title for title, _ in TREND_BANDS.values()]

    def bands(dataset: DatasetReader) -> dict[str, int]:
        ends = [(text or "").rsplit(", ", 1)[-1] for text in dataset.descriptions]
        return {
            name: ends.index(title) + 1
            for name, title in zip(TREND_BANDS, titles, strict=True)
            if title in ends
        }

    raster = register(path, bands)
    return [
        _numbers(name, look, {ALL: raster}, (name,))
        for name, look in texts.trend_looks(unit).items()
        if name in raster.bands
    ]


def _change(path: Path, unit: Text) -> Layer:
    """The difference of a scenario's map; hatched where the scenario is unlike all plots."""
    name = path.parent.name
    summary = path.with_name("project.json")
    if summary.is_file():
        name = str(read_json(summary).get("scenario", name))
    numbers = {band: number for number, band in enumerate(CHANGE_BANDS, start=1)}
    raster = register(path, {"change": numbers["change"], "outside": numbers["outside"]})
    look = texts.change_look(name, unit)
    slug = re.sub(r"[^a-z0-9]+", "-", path.parent.name.lower()).strip("-") or "scenario"
    return _numbers(f"change-{slug}", look, {ALL: raster}, ("change",), ("outside", 0))


def _pictures(path: Path) -> list[Layer]:
    """Pictures of the imagery in true and in false colour, or of its first bands."""
    chosen: dict[str, tuple[str, ...]] = {}

    def bands(dataset: DatasetReader) -> dict[str, int]:
        names = list(dataset.descriptions)
        colours = colours_of(names)
        order = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        if all(colour in colours for colour in order):
            red, green, blue = (colours.index(colour) + 1 for colour in order)
            chosen["true"] = ("red", "green", "blue")
            roles = {"red": red, "green": green, "blue": blue}
            infrared = next((i for i, n in enumerate(names, 1) if _INFRARED.search(n or "")), None)
            if infrared is not None:
                chosen["false"] = ("nir", "red", "green")
                roles["nir"] = infrared
            return roles
        count = 3 if dataset.count >= 3 else 1
        chosen["bands"] = tuple(f"b{i}" for i in range(1, count + 1))
        return {f"b{i}": i for i in range(1, count + 1)}

    raster = register(path, bands)
    layers = []
    with opened(path) as dataset:
        for name, used in chosen.items():
            values = coarse(dataset, tuple(raster.bands[band] for band in used))
            stretch = tuple(_stretch(band) for band in values)
            look = texts.PICTURES[name]
            layers.append(Layer(f"imagery-{name}", look, {ALL: raster}, used, legend=stretch))
    return layers


def _stretch(band: Floats) -> tuple[float, float]:
    """Values shown as black and as full colour: percentiles 1 and 99."""
    values = band[np.isfinite(band)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)
