"""Spatioformer: maps of plant species richness from field plots and imagery.

`import spatioformer as sf` offers every public name; docs/python.md shows how they work together. A
name is imported when it is first used, so that `import spatioformer` stays fast.
"""

from typing import Any

from spatioformer.common.version import __version__

_DOORS = {
    "BufferedKFold": "spatioformer.evaluation.splits",
    "DistilledRegressor": "spatioformer.api.estimators",
    "ForestKrigingRegressor": "spatioformer.api.tabular_estimators",
    "ClosedFormStackRegressor": "spatioformer.api.tabular_estimators",
    "GaussianProcessRegressor": "spatioformer.api.tabular_estimators",
    "Imagery": "spatioformer.api.imagery",
    "KNNDM": "spatioformer.evaluation.knndm",
    "LazyImagery": "spatioformer.api.archives",
    "LeaveRegionOut": "spatioformer.evaluation.splits",
    "RandomKFold": "spatioformer.evaluation.splits",
    "SpatialBlockKFold": "spatioformer.evaluation.splits",
    "SpatioformerError": "spatioformer.common.errors",
    "SpatioformerRegressor": "spatioformer.api.estimators",
    "StackRegressor": "spatioformer.api.estimators",
    "cross_validate": "spatioformer.api.validation",
    "load": "spatioformer.models.store",
    "map_raster": "spatioformer.mapping",
    "plot": "spatioformer.api.plot",
    "predict_map": "spatioformer.api.maps",
    "project": "spatioformer.api.scenarios",
    "read_imagery": "spatioformer.api.reading",
    "read_plots": "spatioformer.api.plots",
    "run_config": "spatioformer.api.runs",
    "view": "spatioformer.viewer.notebook",
    "write_report": "spatioformer.api.runs",
}
__all__ = ["__version__", *sorted(_DOORS)]


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        from importlib import import_module

        module = import_module(_DOORS[name])
        return module if _DOORS[name].endswith(f".{name}") else getattr(module, name)
    raise AttributeError(f"module 'spatioformer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOORS])
