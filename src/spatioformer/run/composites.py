"""Composites of a run by year: written once, and again only where they would differ."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spatioformer.archives.answer import base_of, identity
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import item_path, write_year
from spatioformer.common.cache import Record
from spatioformer.common.files import hash_value
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.imagery import ImagerySection
from spatioformer.run.fingerprint import code_hash
from spatioformer.run.imagery import build_imagery
from spatioformer.run.outline import Places
from spatioformer.run.sources import composite_path

RECORD = "composites.json"
OF_ACCESS = {"years", "max_years", "endpoint", "hosts"}
"""Keys of a source that change no value of a composite of the same items."""


class Composites:
    """Composites in a folder, each with the statement of what it was made of.

    Args:
        folder: folder of the rasters and of the record.
        stack: the sources with their items.
        workers: windows computed at once; None: one a core.
        scheduler: as `write_year`.
        memory: limit of resident memory, GB.
    """

    def __init__(
        self,
        folder: Path,
        stack: SourceStack,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        memory: float = 2.0,
        console: Console = SILENT,
    ):
        self.folder, self.stack, self.console = folder, stack, console
        self._options: Mapping[str, Any] = {
            "workers": workers,
            "scheduler": scheduler,
            "memory": memory,
        }
        self._record = Record(folder / RECORD)

    def year(self, year: int) -> tuple[Path, dict[str, Any]]:
        """The composites of a year, written unless they are there, and facts about them.

        Raises:
            ImageryError: an item cannot be read, or no pixel has a value.
            OutputError: they cannot be written.
        """
        out, made_of = composite_path(self.folder, year), self._made_of(year)
        facts = self._record.facts(out)
        if self._record.matches(out, made_of) and facts and item_path(out).exists():
            return out, facts
        self._record.begin(out, made_of)
        facts = write_year(self.stack, year, out, console=self.console, **self._options)
        self._record.finish(out, facts)
        return out, facts

    def _made_of(self, year: int) -> str:
        """Hash of the settings, items and code that the composites of a year depend on."""
        grid = self.stack.grid
        return hash_value(
            [
                [grid.crs.to_wkt(), list(grid.transform[:6]), list(grid.shape)],
                [
                    [
                        source.section.model_dump(mode="json", exclude=OF_ACCESS),
                        str(replace(source.collection, endpoint="", hosts=())),
                        [
                            identity(item, base_of(source.section.endpoint))
                            for item in source.of_year(year)
                        ],
                    ]
                    for source in self.stack.sources
                ],
                code_hash(write_year),
            ]
        )


def imagery_of_year(
    section: ImagerySection,
    composite: Path,
    out: Path,
    console: Console = SILENT,
    *,
    masks: Path | None = None,
    offline: bool = False,
    places: Places | None = None,
) -> Path:
    """Imagery of a year with all bands and masks: the composite itself if there is nothing else.

    The masks are those of the map's year, so that maps of several years cover the same pixels.

    Args:
        masks, offline, places: as of `build_imagery`.

    Raises:
        ImageryError, OutputError: as `build_imagery`.
    """
    if not section.layers and not section.masks and not section.has_outline:
        return composite
    build_imagery(
        section, out, console, composite=composite, masks=masks, offline=offline, places=places
    )
    return out
