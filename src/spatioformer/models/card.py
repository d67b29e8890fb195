"""The model card: what a reader must know before using a model, in words."""

from collections.abc import Sequence
from typing import Any


def model_card(
    facts: dict[str, Any],
    patch: int,
    bands: Sequence[str],
    about: Sequence[tuple[str, str]],
    caution: str,
) -> str:
    """The Markdown text of a model's README.md.

    Args:
        facts: target, grain, training data and figures of the model.
        patch: side of a chip, pixels.
        about: what the model consists of, terms and text.
        caution: a warning that ends in "; ", or nothing.
    """
    lines = [
        f"# {facts.get('name', 'Spatioformer model')}",
        "",
        f"Predicts {facts.get('target', 'plant species richness')} (species) from chips of "
        f"{patch} x {patch} pixels and their longitude and latitude.",
        "",
        *(f"- {term}: {text}" for term, text in about),
        f"- Bands, in order: {', '.join(bands)}",
        *(f"- {label}: {facts[key]}" for key, label in _CARD if facts.get(key) is not None),
        "",
        "Limits: predictions hold for the plot size, region and years of the training plots; "
        f"{caution}judge the model by its scores on held-out tiles (scores.csv beside this "
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
