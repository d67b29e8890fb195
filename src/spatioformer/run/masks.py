"""The masks of a configuration as class rasters on disk with the codes to exclude."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spatioformer.common.cache import Record
from spatioformer.common.errors import ConfigError
from spatioformer.common.files import hash_value
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.archives import MaskSourceSection
from spatioformer.config.imagery import ImagerySection, MaskSection, RasterSection
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.classes import spread_windows
from spatioformer.geo.raster.layers import Layer, OpenLayer, open_layer
from spatioformer.geo.raster.stack import Mask
from spatioformer.run.fingerprint import code_hash

RECORD = "masks.json"


def layer_of(section: RasterSection | MaskSection, trust: Trust) -> Layer:
    """The layer that a section of the configuration describes."""
    values = section.model_dump(exclude={"exclude", "legend", "path"})
    layer = Layer(path=Path(section.path), trust=trust, **values)
    return Mask(layer, ()).layer if isinstance(section, MaskSection) else layer


def read_masks(
    section: ImagerySection,
    grid: Callable[[], Grid],
    folder: Path,
    *,
    offline: bool = False,
    console: Console = SILENT,
) -> tuple[list[Mask], list[dict[str, Any]]]:
    """The masks of a section; those of archives are written into `folder` first.

    Args:
        grid: gives the grid of the imagery; called only if there is a mask of an archive.

    Returns:
        The masks, and the facts of each that comes from an archive.

    Raises:
        ConfigError: a collection, legend or class is not known, or codes do not fit the legend.
        ImageryError: a raster cannot be read.
        OutputError: a mask cannot be written.
    """
    masks, facts = [], []
    for number, mask in enumerate(section.masks):
        if isinstance(mask, MaskSourceSection):
            folder.mkdir(parents=True, exist_ok=True)
            out = folder / f"mask_{number}_{mask.title}.tif"
            of_mask = _written(mask, number, section, grid(), out, offline, console)
            facts.append(of_mask)
            codes = tuple(int(code) for code in of_mask["excluded"])
            masks.append(Mask(Layer(out, mask.title), codes))
        else:
            masks.append(local_mask(mask, Trust(section.trust, section.folder), number))
    return masks, facts


def _written(
    mask: MaskSourceSection,
    number: int,
    section: ImagerySection,
    grid: Grid,
    out: Path,
    offline: bool,
    console: Console,
) -> dict[str, Any]:
    """Write a mask of an archive unless it is there, and return the facts about it."""
    from spatioformer.archives.masks import write_mask

    year = section.map_year
    values = [mask.model_dump(mode="json"), section.collections, year]
    place = [grid.crs.to_wkt(), list(grid.transform[:6]), list(grid.shape)]
    made_of = hash_value([values, place, code_hash(write_mask)])
    record = Record(out.parent / RECORD)
    if record.matches(out, made_of) and (facts := record.facts(out)):
        return dict(facts)
    record.begin(out, made_of)
    facts = write_mask(mask, number, section, grid, year, out, offline=offline, console=console)
    record.finish(out, facts)
    return facts


def check_mask(mask: MaskSection | MaskSourceSection, number: int, extra: str | None) -> None:
    """Check the names of a mask without reading any file.

    Raises:
        ConfigError: a collection, legend or class is not known.
    """
    if isinstance(mask, MaskSection):
        codes_of(mask, number)
        return
    from spatioformer.archives.masks import candidate_years, mask_collection

    owner = f"imagery.masks[{number}] ({mask.title})"
    collection, legend = mask_collection(mask, extra, owner)
    legend.excluded(mask.exclude, owner)
    candidate_years(mask, collection, None)


def local_mask(mask: MaskSection, trust: Trust, number: int) -> Mask:
    """A mask from the user's own raster; with a legend, its codes are compared with the legend.

    Raises:
        ConfigError: the legend or a class is not known, or the raster holds other codes.
        ImageryError: the raster cannot be read.
    """
    layer, codes = layer_of(mask, trust), codes_of(mask, number)
    if mask.legend is None:
        return Mask(layer, codes)
    from spatioformer.archives.legends import legend_of

    owner = f"imagery.masks[{number}] ({mask.name})"
    legend = legend_of(mask.legend, owner)
    if layer.nodata is None:
        layer = replace(layer, nodata=legend.nodata)
    with open_layer(layer) as opened:
        legend.check_codes(_sampled(opened, owner), f"{owner}: {mask.path}")
    return Mask(layer, codes)


def codes_of(mask: MaskSection, number: int) -> tuple[int, ...]:
    """Codes of the classes that a mask excludes; with a legend, also that of pixels without class.

    Raises:
        ConfigError: the legend or a class is not known.
    """
    if mask.legend is None:
        return tuple(code for code in mask.exclude if isinstance(code, int))
    from spatioformer.archives.legends import legend_of

    owner = f"imagery.masks[{number}] ({mask.name})"
    legend = legend_of(mask.legend, owner)
    return tuple(sorted({*legend.excluded(mask.exclude, owner), legend.nodata}))


def _sampled(opened: OpenLayer, owner: str) -> set[int]:
    """Codes in windows spread over a raster."""
    codes: set[int] = set()
    for window in spread_windows(*opened.grid.shape):
        with opened.readable():
            classes, valid = opened.values.read_classes(window)
        values = np.unique(classes[valid])
        broken = values[values != np.round(values)]
        if broken.size:
            raise ConfigError(
                f"{owner}: {opened.layer.path} holds values like {broken[0]:g}, not classes; give "
                "a class raster"
            )
        codes.update(int(value) for value in values)
    return codes
