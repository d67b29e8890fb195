"""Scores, folds, applicability and intervals: numpy in, numpy out; no torch, no files.

Usable with any scikit-learn model: `from spatioformer.evaluation import KNNDM,
AreaOfApplicability`. Names are imported at first use, so that the package imports quickly. See
docs/evaluation.md.
"""

from typing import Any

_EXPORTS = {
    "applicability": ("AreaOfApplicability", "ExpectedError"),
    "choice": ("Choice", "choice_shares", "scores_of_choice"),
    "conformal": (
        "Conformal",
        "ConformalRegressor",
        "LocalConformal",
        "QuantilePair",
        "RegionConformal",
    ),
    "counts": ("count_bounds", "dispersion"),
    "distances": ("NeighbourDistances", "neighbour_distances"),
    "intervals": (
        "calibration_curve",
        "crps",
        "ensemble_bounds",
        "interval_scores",
        "interval_scores_by",
        "quantile_bins",
    ),
    "knndm": ("KNNDM",),
    "metrics": ("pearson", "scores"),
    "regions": ("Regions",),
    "units": ("overlapping", "sites"),
    "splits": (
        "BufferedKFold",
        "DegenerateFolds",
        "LeaveRegionOut",
        "RandomKFold",
        "SpatialBlockKFold",
        "Splitter",
    ),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"spatioformer.evaluation.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'spatioformer.evaluation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
