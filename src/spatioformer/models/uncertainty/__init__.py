"""Prediction intervals and the area of applicability of a model.

Both are calibrated on held-out predictions of the run's most map-like split. They are saved in the
model folder (`uncertainty.json` and `uncertainty.npz`, nothing pickled) and computed for each pixel
of a map. docs/evaluation.md describes the methods.

`plots.py`: held-out predictions; `kinds.py`: the kinds of interval; `widening.py` and `harder.py`:
how much wider they are outside the area of applicability; `crossfit.py`: their scores on held-out
folds; `known.py`: the calibrated uncertainty of a model, saved and loaded.
"""

from spatioformer.models.uncertainty.crossfit import CrossFitted
from spatioformer.models.uncertainty.kinds import KINDS
from spatioformer.models.uncertainty.known import Uncertainty, predictors
from spatioformer.models.uncertainty.plots import HeldOut, Predictions

__all__ = ["KINDS", "CrossFitted", "HeldOut", "Predictions", "Uncertainty", "predictors"]
