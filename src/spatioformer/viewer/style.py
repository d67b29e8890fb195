"""Colour scales and the palette of the page; the palette is that of `common.style`."""

from functools import cache
from typing import Any

import numpy as np

from spatioformer.common import style

SCALES = ("viridis", "cividis", "magma", "RdBu", "greys")
"""Scales that the colour-blind can read: amounts, uncertainty, dissimilarity, differences."""

_MATPLOTLIB = {"greys": "gray"}


@cache
def scale(name: str) -> tuple[str, ...]:
    """256 colours of a scale as #rrggbb, from its low to its high end."""
    import matplotlib

    colours = matplotlib.colormaps[_MATPLOTLIB.get(name, name)](np.arange(256), bytes=True)
    return tuple("#" + bytes(colour[:3]).hex() for colour in colours)


@cache
def to_json() -> dict[str, Any]:
    """Content of `style.json`: `scales`, name -> 256 colours; `palette`, name -> colour."""
    names = ("INK", "MUTED", "NOTHING", "PALE", "ACCENT", "SEA", "MASKED", "BAD")
    palette = {name.lower(): getattr(style, name) for name in names}
    return {
        "scales": {name: list(scale(name)) for name in SCALES},
        "palette": palette | {"series": list(style.SERIES)},
    }
