"""How far a mapped value may be off, and where nobody knows: intervals and applicability.

Calibrated on predictions of plots that the model did not learn from, held out as the run's most
map-like split holds them out; kept beside the model (`uncertainty.json`, `uncertainty.npz`, nothing
pickled) and laid over a map pixel by pixel. docs/evaluation.md has the methods.

`kinds.py`: the intervals there are; `crossfit.py`: how good each is; `known.py`: what is kept.
"""

from spatioformer.models.uncertainty.crossfit import CrossFitted
from spatioformer.models.uncertainty.kinds import KINDS
from spatioformer.models.uncertainty.known import Uncertainty, predictors
from spatioformer.models.uncertainty.plots import HeldOut, Predictions

__all__ = ["KINDS", "CrossFitted", "HeldOut", "Predictions", "Uncertainty", "predictors"]
