"""Which bands of a raster are red, green and blue, by their names."""

import re
from collections.abc import Sequence

from rasterio.enums import ColorInterp

_NAME = re.compile(r"(?:^|[^a-z])(red|green|blue)$", re.IGNORECASE)
_COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


def colours_of(names: Sequence[str | None]) -> list[ColorInterp]:
    """Colour interpretation of each band: the first red, green and blue; the others undefined.

    A name may have the name of its source in front, such as `sentinel2_red`. Unless all three
    colours are there, no band has one. A single band is grey.
    """
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        match = _NAME.search(name or "")
        if match:
            first.setdefault(match[1].lower(), i)
    if len(first) < len(_COLOURS):
        return [ColorInterp.gray, *[ColorInterp.undefined] * (len(names) - 1)]
    of_bands = {i: _COLOURS[colour] for colour, i in first.items()}
    return [of_bands.get(i, ColorInterp.undefined) for i in range(len(names))]
