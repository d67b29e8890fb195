"""How far a mapped value may be off, and where nobody knows: intervals and applicability.

Calibrated on predictions of plots that the model did not learn from, held out as the run's most
map-like split holds them out; kept beside the model (`uncertainty.json`, `uncertainty.npz`, nothing
pickled) and laid over a map pixel by pixel. docs/evaluation.md has the methods.

`kinds.py`: the intervals there are; `crossfit.py`: how good each is; `known.py`: what is kept.
"""

from spatioformer.uncertainty.crossfit import CrossFitted
from spatioformer.uncertainty.kinds import KINDS
from spatioformer.uncertainty.known import Uncertainty, predictors
from spatioformer.uncertainty.plots import HeldOut, Predictions

__all__ = ["KINDS", "CrossFitted", "HeldOut", "Predictions", "Uncertainty", "predictors"]
