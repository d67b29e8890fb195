"""Spatioformer: maps of plant species richness from field plots and imagery.

The public doors are `load` (a model bundle), `map_raster` (a wall-to-wall map) and
`spatioformer.run.stages` (the seven steps of a run). They are imported when first used, so that
`import spatioformer` stays fast.
"""

from typing import Any

__version__ = "0.1.0"

_DOORS = {"load": "spatioformer.models.store", "map_raster": "spatioformer.mapping"}
__all__ = ["__version__", *sorted(_DOORS)]


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        from importlib import import_module

        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'spatioformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOORS])
