"""Whether the values of a Sentinel-2 scene still carry the offset of 1,000 digital numbers.

Since processing baseline 04.00 (January 2022) a digital number is 10,000 x reflectance + 1,000.
Some catalogues have removed the 1,000 from their files, and what they state about it is wrong for
some items. The pixels decide where they can: dark surfaces (water, shadow, leaves in red light)
have reflectances near 0, so their numbers lie near 0 or near 1,000.

Source of the offset: Copernicus, Sentinel-2 Products Specification Document, 2021, RADIO_ADD_OFFSET
and BOA_ADD_OFFSET. The test on dark pixels is our own.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.archives.items import Item
from spatioformer.archives.remote import open_remote
from spatioformer.archives.remote.access import Access
from spatioformer.archives.source import Source

FIRST_BASELINE = 4.0
BASELINES = ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline")
VISIBLE, DARKEST = ("blue", "green", "red"), "swir2"
OFFSET = 1000
NEGATIVE = OFFSET - 100
"""A number below it would be a reflectance under -.01 if the offset were in the file."""
NEGATIVE_SHARE = 0.005
DARK, BRIGHT = 1400, 1700
"""Number of the darkest band, and of the brightest visible one, up to which a scene has dark land;
deserts, snow and clouds are brighter, and tell nothing."""
SAMPLE = 512  # side of the picture of a scene that is looked at, pixels
PIECE = 128


class Verdict(NamedTuple):
    """What was found about one item.

    Attributes:
        carried: whether the offset is taken to be in the file's numbers.
        claimed: what the catalogue says; None: nothing.
        seen: what the pixels say; None: nothing.
    """

    carried: bool
    claimed: bool | None
    seen: bool | None

    @property
    def disagree(self) -> bool:
        """Whether the catalogue and the pixels contradict each other."""
        return None not in (self.claimed, self.seen) and self.claimed != self.seen

    @property
    def unknown(self) -> bool:
        """Whether neither the catalogue nor the pixels say anything."""
        return self.claimed is None and self.seen is None


def carries_offset(item: Item, source: Source) -> bool:
    """Whether the numbers of an item carry the offset, by the source's rule `offset`."""
    return verdict(item, source).carried


def verdict(item: Item, source: Source) -> Verdict:
    """What is known about the offset of an item, and what follows by the source's rule."""
    rule = source.section.offset
    said = claimed(item, source.collection.offset_claim)
    if rule == "none":
        return Verdict(False, said, None)
    if rule == "metadata":
        return Verdict(bool(said), said, None)
    found = seen(item, source)
    carried = found if found is not None else bool(said)
    return Verdict(carried, said, found)


def claimed(item: Item, key: str | None) -> bool | None:
    """What the catalogue says: whether the numbers of an item carry the offset.

    Args:
        key: property that is true where the catalogue has removed the offset from its files.
    """
    properties = item.properties
    baseline = next((properties[name] for name in BASELINES if name in properties), None)
    removed = properties.get(key) if key is not None else None
    if removed is True:
        return False
    try:
        return float(str(baseline)) >= FIRST_BASELINE if baseline is not None else None
    except ValueError:
        return None


def seen(item: Item, source: Source) -> bool | None:
    """What the dark pixels of an item say: whether its numbers carry the offset; None: nothing."""
    numbers = {
        name: _sample(asset.href, asset.number, asset.nodata, source.access)
        for name in (*VISIBLE, DARKEST)
        if (asset := item.assets.get(name)) is not None
    }
    numbers = {name: values for name, values in numbers.items() if values.size}
    return judged(numbers)


def judged(numbers: dict[str, np.ndarray]) -> bool | None:
    """Whether digital numbers of bands, by name, carry the offset; None: they do not tell."""
    if not numbers:
        return None
    if any((values < NEGATIVE).mean() > NEGATIVE_SHARE for values in numbers.values()):
        return False
    dark = {name: float(np.percentile(values, 0.1)) for name, values in numbers.items()}
    visible = [value for name, value in dark.items() if name in VISIBLE]
    if visible and min(dark.values()) < DARK and max(visible) < BRIGHT:
        return True
    return None


@lru_cache(maxsize=4096)
def _sample(href: str, number: int, nodata: float | None, access: Access) -> np.ndarray:
    """Digital numbers from all over a file, without those that mean no data: 1-D."""
    with open_remote(href, access) as dataset:
        values = np.concatenate([part.ravel() for part in _parts(dataset, number)])
        missing = {0.0, nodata, dataset.nodatavals[number - 1]}
    for value in missing - {None}:
        values = values[values != value]
    return values


def _parts(dataset: DatasetReader, number: int) -> list[np.ndarray]:
    """A smaller picture of the whole band from an overview, or pieces of it without overviews."""
    height, width = dataset.shape
    if dataset.overviews(number) or max(height, width) <= SAMPLE:
        scale = max(1.0, max(height, width) / SAMPLE)
        shape = (max(1, round(height / scale)), max(1, round(width / scale)))
        return [dataset.read(number, out_shape=shape, resampling=Resampling.nearest)]
    rows, cols = (np.linspace(0, max(0, side - PIECE), 5).astype(int) for side in (height, width))
    pieces = [Window(c, r, min(PIECE, width), min(PIECE, height)) for r in rows for c in cols]
    return [dataset.read(number, window=piece) for piece in pieces]
