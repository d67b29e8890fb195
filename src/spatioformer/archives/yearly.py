"""One source in one year, on a window of the grid: scenes -> sun days -> composite."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.composites.deviations import deviations
from spatioformer.archives.composites.geomedian import geomedian
from spatioformer.archives.composites.reduce import reduce
from spatioformer.archives.indices import spectral_indices
from spatioformer.archives.items import Item
from spatioformer.archives.remote.access import NotCached, Unreachable
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.source import COUNT, Source
from spatioformer.common.errors import ImageryError

READERS = 8  # scenes read at once: they wait for the network


class FailedItems(ImageryError):
    """Items of a source that cannot be read.

    Attributes:
        reasons: the sentence for each item's id.
    """

    def __init__(self, reasons: dict[str, str]):
        super().__init__(next(iter(reasons.values())))
        self.reasons = reasons

    def __reduce__(self) -> tuple:
        return FailedItems, (self.reasons,)


def sun_day(item: Item) -> date:
    """The day of an item in the mean solar time of its centre, so that one overpass is one day."""
    west, _, east, _ = item.bbox
    middle = (west + (east + 360 if east < west else east)) / 2
    return (item.start + timedelta(hours=middle / 15)).date()


def days(items: Iterable[Item]) -> list[list[Item]]:
    """Items by sun day, in order; those of one day by id."""
    of_day: dict[date, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.id):
        of_day.setdefault(sun_day(item), []).append(item)
    return [of_day[day] for day in sorted(of_day)]


def mosaic(scenes: Sequence[np.ndarray]) -> np.ndarray:
    """One observation (band, y, x) from the scenes of a day, the first complete pixel of them.

    A pixel of which no scene has all bands takes those of the first scene that has one.
    """
    if len(scenes) == 1:
        return scenes[0]
    out = scenes[0].copy()
    for scene in scenes[1:]:
        have, new = np.isfinite(out), np.isfinite(scene)
        better = (new.all(axis=0) & ~have.all(axis=0)) | (new.any(axis=0) & ~have.any(axis=0))
        out[:, better] = scene[:, better]
    return out


def read_year(reader: SceneReader, items: Sequence[Item], window: Window) -> np.ndarray:
    """The bands of a source for a year: float32 (band, y, x), NaN where there is no data.

    Args:
        items: those of the year that touch the window.

    Raises:
        FailedItems: some cannot be read.
        ImageryError: none can be read, because the network or the cache does not give them.
    """
    source = reader.source
    observations = _observations(reader, items, window)
    if source.composite == "none":
        return _as_published(source, observations)
    return composite(source, observations)


def _observations(reader: SceneReader, items: Sequence[Item], window: Window) -> np.ndarray:
    """(time, band, y, x), a sun day each; of yearly collections one."""
    source = reader.source
    scenes = _read_all(reader, items, window)
    together = [list(items)] if source.composite == "none" else days(items)
    shape = (len(together), len(source.read), window.height, window.width)
    out = np.full(shape, np.nan, np.float32)
    for place, several in enumerate(together):
        if several:
            out[place] = mosaic([scenes.pop(item.id) for item in several])
    return out


def _read_all(reader: SceneReader, items: Sequence[Item], window: Window) -> dict[str, np.ndarray]:
    reasons: dict[str, str] = {}

    def read(item: Item) -> np.ndarray | None:
        try:
            return reader.read(item, window)
        except (Unreachable, NotCached):  # no other item could be read either
            raise
        except ImageryError as error:
            reasons[item.id] = str(error)
            return None

    remote = any(a.href.startswith("http") for item in items for a in item.assets.values())
    if remote and len(items) > 1:
        with ThreadPoolExecutor(min(READERS, len(items))) as pool:
            scenes = list(pool.map(read, items))
    else:
        scenes = [read(item) for item in items]
    if reasons:
        raise FailedItems({key: reasons[key] for key in sorted(reasons)})
    return {item.id: scene for item, scene in zip(items, scenes, strict=True) if scene is not None}


def _as_published(source: Source, observations: np.ndarray) -> np.ndarray:
    values = observations[0]
    wanted = values[: len(source.wanted)]
    if not source.section.indices:
        return wanted
    return np.concatenate([wanted, _indices(source, values)])


def composite(source: Source, observations: np.ndarray) -> np.ndarray:
    """The composite of observations (time, band, y, x): (band, y, x) as `Source.band_names`.

    Spectral indices are computed of each date and reduced as a band is; of a geometric median they
    are computed from its bands, because it keeps the relations between bands.
    """
    if not len(observations):
        observations = np.full((1, *observations.shape[1:]), np.nan, np.float32)
    wanted = observations[:, : len(source.wanted)]
    parts: list[np.ndarray] = []
    if source.composite == "geomedian":
        parts += _geometric(source, observations, wanted)
    elif source.composite != COUNT:
        parts.append(_reduced(source, observations, wanted))
    if source.section.count or source.composite == COUNT:
        parts.append(_complete(wanted)[None])
    return np.concatenate(parts).astype(np.float32, copy=False)


def _geometric(
    source: Source, observations: np.ndarray, wanted: np.ndarray
) -> Iterator[np.ndarray]:
    section = source.section
    enough = _complete(wanted) >= section.min_clear
    median = np.where(enough, geomedian(wanted), np.nan)
    yield median
    if section.indices:
        full = median
        if wanted.shape != observations.shape:  # with the bands that only the indices need
            enough_of_all = _complete(observations) >= section.min_clear
            full = np.where(enough_of_all, geomedian(observations), np.nan)
        yield _indices(source, full)
    if section.deviations:
        yield np.where(enough, deviations(wanted, median), np.nan)


def _reduced(source: Source, observations: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    section, how, values = source.section, source.composite, wanted
    if section.indices:
        each = np.stack([_indices(source, date) for date in observations])
        values = np.concatenate([wanted, each], axis=1)
    enough = np.isfinite(values).sum(axis=0) >= section.min_clear
    if how == "percentiles":
        percentiles = reduce(values, "percentiles", section.percentiles)
        return np.where(np.repeat(enough, len(section.percentiles), axis=0), percentiles, np.nan)
    return np.where(enough, reduce(values, how), np.nan)


def _complete(observations: np.ndarray) -> np.ndarray:
    """Number of observations with all bands at each pixel: (y, x)."""
    return np.isfinite(observations).all(axis=1).sum(axis=0)


def _indices(source: Source, values: np.ndarray) -> np.ndarray:
    named = {band.name: value for band, value in zip(source.read, values, strict=True)}
    return spectral_indices(named, source.section.indices, source.collection)
