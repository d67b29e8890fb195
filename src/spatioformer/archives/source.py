"""A source of the configuration with all that is known about its collection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from spatioformer.archives.collections import Band, Collection, QualityMask, chosen_bands
from spatioformer.archives.indices import needed_bands
from spatioformer.archives.items import Item
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ConfigError
from spatioformer.config.archives import STATIC, SourceSection

DEVIATIONS = ("smad", "emad", "bcmad")
COUNT = "count"


@dataclass(frozen=True)
class Source:
    """A source, its collection, and the items found for each year.

    Attributes:
        items: items of each year, in the order of their times; those without a year under STATIC.
    """

    section: SourceSection
    collection: Collection
    access: Access
    items: Mapping[int, tuple[Item, ...]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Beginning of messages."""
        return f"source {self.section.name}"

    @property
    def composite(self) -> str:
        """How the dates of a year become one value."""
        default = "geomedian" if self.collection.kind == "scenes" else "none"
        return self.section.composite or default

    @property
    def resampling(self) -> str | None:
        """How scenes come onto the grid; None: by the sizes of the pixels."""
        default = "mode" if self.collection.kind == "classes" else None
        return self.section.resampling or default

    @cached_property
    def wanted(self) -> tuple[Band, ...]:
        """The bands that the configuration names, or the collection's default ones.

        Raises:
            ConfigError: the collection lacks one.
        """
        return chosen_bands(self.section, self.collection)

    @cached_property
    def read(self) -> tuple[Band, ...]:
        """The bands to read: the wanted ones, then those that only the indices need."""
        names = [band.name for band in self.wanted]
        needed = needed_bands(self.section.indices, self.collection) if self.section.indices else ()
        by_name = {band.name: band for band in self.collection.bands}
        return (*self.wanted, *(by_name[name] for name in needed if name not in names))

    @property
    def masks(self) -> tuple[QualityMask, ...]:
        """The quality bands; of yearly composites none are read."""
        return self.collection.masks if self.collection.kind == "scenes" else ()

    def masks_of(self, item: Item, band: Band) -> list[QualityMask]:
        """The quality bands that say which pixels of a band of an item are clear."""
        return [
            mask
            for mask in self.masks
            if mask.applies(item.properties) and (not mask.bands or band.name in mask.bands)
        ]

    def spoils(self, mask: QualityMask) -> tuple[str, ...]:
        """Classes of a quality band that are not clear.

        Raises:
            ConfigError: the configuration names a class that no quality band has.
        """
        chosen = self.section.spoils
        if chosen is None:
            return mask.spoils
        classes = {name for other in self.masks for name in other.classes}
        strange = [name for name in chosen if name not in classes]
        if strange:
            raise ConfigError(
                f"{self.owner}: `spoils` names the class {strange[0]!r}, and "
                f"{self.collection.name} has {', '.join(sorted(classes)) or 'no quality band'}"
            )
        # A quality band of which no class is named keeps its own rule: saturation beside clouds.
        if not set(chosen) & set(mask.classes):
            return mask.spoils
        return tuple(name for name in chosen if name in mask.classes)

    @property
    def band_names(self) -> list[str]:
        """Names of the bands that a year gives: NAME_red, NAME_red_p10, NAME_NDVI, NAME_count."""
        names = [band.name for band in self.wanted] + list(self.section.indices)
        if self.composite == "count":
            names = []
        elif self.composite == "percentiles":
            names = [f"{name}_p{share:g}" for name in names for share in self.section.percentiles]
        elif self.composite == "geomedian" and self.section.deviations:
            names += DEVIATIONS
        if self.section.count or self.composite == "count":
            names.append(COUNT)
        return [f"{self.section.name}_{name}" for name in names]

    @property
    def credit(self) -> dict[str, str]:
        """Who is to be credited, and what the licence is, for JSON."""
        collection = self.collection
        return {
            "source": self.section.name,
            "title": collection.title,
            "licence": collection.licence,
            "attribution": collection.attribution,
            "citation": collection.citation,
        }

    def of_year(self, year: int) -> tuple[Item, ...]:
        """Items of a year; those of a source without years are the same in every year."""
        return self.items[STATIC] if STATIC in self.items else self.items[year]

    def without(self, failed: frozenset[str]) -> "Source":
        """The same source without the items of these ids."""
        items = {
            year: tuple(item for item in several if item.id not in failed)
            for year, several in self.items.items()
        }
        return replace(self, items=items)
