"""An outline at work: the pixels of a stack that it takes from the map, window by window."""

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.outline import Outline


class Limit:
    """Leaves out pixels outside an outline and counts them.

    Args:
        outline: None limits nothing.
    """

    def __init__(self, outline: Outline | None):
        self.outline = outline
        self._inside = 0
        self._outside = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        return () if self.outline is None else self.outline.notes

    def within(self, wanted: NDArray[np.bool_], window: Window, grid: Grid) -> NDArray[np.bool_]:
        """Those of the pixels (y, x) to predict that lie inside the outline."""
        if self.outline is None:
            return wanted
        inside = self.outline.inside(window, grid)
        self._inside += int(inside.sum())
        self._outside += int((wanted & ~inside).sum())
        return wanted & inside

    @property
    def facts(self) -> dict:
        """What the record of the imagery says, after the last window.

        Raises:
            ImageryError: no pixel lies inside the outline.
        """
        if self.outline is None:
            return {}
        if not self._inside:
            shown = [round(value, 3) for value in self.outline.region]
            raise ImageryError(
                f"no pixel of the imagery lies inside the outline {self.outline.title} (W, E, S, N "
                f"= {shown}); give the outline of the imagery's area, or correct its CRS"
            )
        return {"outline": self.outline.facts | {"pixels_outside": self._outside}}
