"""Terms of the report and what they mean, for readers who do not know them."""

from spatioformer.evaluation.verdict import INTERVAL
from spatioformer.report.results import Results

Term = tuple[str, str]


def glossary(results: Results) -> list[Term]:
    """Terms that the report of this run uses, in the order of the alphabet."""
    terms = dict(GENERAL)
    kinds = {split.kind for split in results.config.evaluate.splits}
    terms |= {term: text for term, text, kind in OF_SPLITS if kind in kinds}
    if results.uncertainty is not None:
        terms |= OF_INTERVALS
    if results.has_imagery:
        terms |= OF_MAPS
    if results.virtual:
        terms |= OF_VIRTUAL
    return sorted(terms.items(), key=lambda term: term[0].lower())


GENERAL = {
    "bias": "Mean of predicted minus observed: above 0, the model predicts too much.",
    "fold": ("A part of the plots, predicted by a model that was trained on the other parts."),
    "held-out plot": "A plot that the model was not trained on when it predicted it.",
    "interval of r2": (
        f"The range in which r2 lies in {INTERVAL:.0%} of new samples of groups of neighbouring "
        "plots (block bootstrap)."
    ),
    "MAE": "Mean absolute error: by how much a prediction is wrong on average.",
    "r": "Pearson's correlation of predictions and observations, −1 to 1; it ignores bias.",
    "r2": (
        "Share of the variation among the plots that the predictions explain: 1 − SSE/SST. 1 is "
        "perfect; 0 is as good as the mean of all plots; below 0 is worse than the mean."
    ),
    "RMSE": "Root mean squared error: like MAE, but large errors count more.",
    "smallest difference that counts": (
        "The quantile (90% for 90% intervals) of |e1 − e2| over pairs of held-out plots, where e "
        "is predicted − observed. Two places whose predictions differ by less cannot be told apart."
    ),
    "split": "A way to divide the plots into folds.",
}
OF_SPLITS = (
    ("random folds", "Plots drawn at random. Close neighbours stay together seldom, so the scores "
     "are too good for a map of land far from plots.", "random"),
    ("tiles", "Squares of land; all plots of a square are in the same fold.", "tiles"),
    ("kNNDM", "Folds whose plots lie as far from training plots as the map's pixels lie from "
     "plots (Linnenbrink et al. 2024).", "knndm"),
    ("regions", "Groups of neighbouring plots; each is predicted from the others.", "regions"),
)  # fmt: skip
OF_INTERVALS = {
    "area of applicability": (
        "Land whose conditions are like those of the plots (Meyer & Pebesma 2021). Elsewhere no "
        "held-out plot shows how large the error is."
    ),
    "coverage": "Share of held-out plots whose count lies inside their interval.",
    "CRPS": "Continuous ranked probability score: error of a whole distribution; small is good.",
    "dissimilarity index": (
        "Distance of a place's conditions from those of the nearest plot, divided by the mean "
        "distance between plots."
    ),
    "interval": "Two numbers between which the count of a new plot lies with a stated probability.",
    "interval score": "Width of the interval plus a penalty for plots outside it; small is good.",
}
OF_MAPS = {
    "chip": "The square of pixels around a place that the model looks at.",
    "mask": "A raster that says where no prediction is wanted, such as water.",
    "standard deviation (of the network)": (
        "How much the predictions of a network differ when parts of it are switched off at random "
        "(Monte Carlo dropout). It is not the error of the map."
    ),
}
OF_VIRTUAL = {
    "noise ceiling": "The r2 that a perfect map would have, because counts of plots are noisy.",
    "virtual flora": "Simulated plants, whose true richness is known at every pixel.",
}
