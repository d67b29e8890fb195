"""The page that goes with a model: what a reader must know before using it, in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatioformer.bundle import Bundle


def model_card(bundle: "Bundle") -> str:
    """What a reader must know before using the model, in words."""
    facts = bundle.facts
    arguments = ", ".join(f"{k} {v}" for k, v in bundle.network.config.items())
    size = sum(p.numel() for p in bundle.network.parameters())
    scaled = "none; raw values go in"
    if bundle.scaling:
        scaled = "bands and target standardised by the training plots"
    lines = [
        f"# {facts.get('name', 'Spatioformer model')}",
        "",
        f"Predicts {facts.get('target', 'plant species richness')} (species) from chips of "
        f"{bundle.patch} x {bundle.patch} pixels and their longitude and latitude.",
        "",
        f"- Network: {type(bundle.network).__name__} ({arguments}), {size:,} parameters",
        f"- Bands, in order: {', '.join(bundle.bands)}",
        f"- Normalisation: {scaled}",
        *(f"- {label}: {facts[key]}" for key, label in _CARD if facts.get(key) is not None),
        "",
        "Limits: predictions hold for the plot size, region and years of the training plots; "
        "the Monte Carlo spread is the network's own doubt and understates the true error; "
        "judge the model by its scores on held-out tiles (scores.csv beside this folder).",
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
    ("epochs", "Epochs trained; the best one kept"),
    ("seed", "Seed"),
)
