"""The page that goes with a model: what a reader must know before using it, in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatioformer.models.store import TrainedModel


def model_card(bundle: "TrainedModel") -> str:
    """What a reader must know before using the model, in words."""
    facts = bundle.facts
    lines = [
        f"# {facts.get('name', 'Spatioformer model')}",
        "",
        f"Predicts {facts.get('target', 'plant species richness')} (species) from chips of "
        f"{bundle.patch} x {bundle.patch} pixels and their longitude and latitude.",
        "",
        *(f"- {term}: {text}" for term, text in bundle.about),
        f"- Bands, in order: {', '.join(bundle.bands)}",
        *(f"- {label}: {facts[key]}" for key, label in _CARD if facts.get(key) is not None),
        "",
        "Limits: predictions hold for the plot size, region and years of the training plots; "
        f"{bundle.caution}judge the model by its scores on held-out tiles (scores.csv beside this "
        "folder).",
        "",
        "Use: `spatioformer.load(folder).predict(chips, lon, lat)` or `spatioformer map FOLDER "
        "RASTER -o OUT.tif`.",
        "",
    ]
    return "\n".join(lines)


_CARD = (
    ("virtual", "Warning"),
    ("grain", "Grain"),
    ("plots", "Training plots"),
    ("validation_plots", "Validation plots (tiles held out for early stopping)"),
    ("region", "Extent of the training plots (W, E, S, N)"),
    ("validation_rmse", "RMSE on the validation plots, species"),
    ("teacher", "Taught by (which learned from the plots)"),
    ("pixels", "Pixels without plots that it was taught on"),
    ("teacher_rmse", "RMSE against what the teacher says of held-out pixels, species"),
    ("epochs", "Epochs trained; the best one kept"),
    ("seed", "Seed"),
)
