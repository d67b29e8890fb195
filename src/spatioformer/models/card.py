"""Write the model card (README.md of a model folder): use, training data and limits.

A card is Markdown, and names of bands, classes and targets come from files: they are written so
that they show as they are, and make no link, picture or HTML.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spatioformer.models.target import unit


def model_card(
    facts: dict[str, Any],
    patch: int,
    bands: Sequence[str],
    about: Sequence[tuple[str, str]],
    caution: str,
) -> str:
    """The Markdown text of a model card.

    Args:
        facts: target, grain, training data and scores of the model.
        patch: side of a chip, pixels.
        bands: names of the bands, in the model's order.
        about: description of the model, pairs of a term and its text.
        caution: a warning that ends in "; ", or an empty string.
    """
    target = facts.get("target", "plant species richness")
    lines = [
        f"# {as_markdown(facts.get('name', 'Spatioformer model'))}",
        "",
        f"Predicts {as_markdown(target)} ({unit(facts.get('target_kind'))}) from chips of "
        f"{patch} x {patch} pixels and their longitude and latitude.",
        "",
        *(f"- {as_markdown(term)}: {as_markdown(text)}" for term, text in about),
        f"- Bands, in order: {', '.join(map(as_markdown, bands))}",
        *(
            f"- {label.replace('species', unit(facts.get('target_kind')))}: "
            f"{as_markdown(facts[key])}"
            for key, label in _CARD
            if facts.get(key) is not None
        ),
        "",
        "Limits: predictions hold for the plot size, region and years of the training plots; "
        f"{as_markdown(caution)}judge the model by its scores on held-out tiles (scores.csv beside "
        "this folder).",
        "",
        "Use: `spatioformer.load(folder).predict(chips, lon, lat)` or `spatioformer map FOLDER "
        "RASTER -o OUT.tif`.",
        "",
    ]
    return "\n".join(lines)


def as_markdown(value: object) -> str:
    """Text as Markdown that shows it as it is; of values that are no text, their `str`."""
    if not isinstance(value, str):
        return str(value)
    text = " ".join(value.replace("\0", "").splitlines())
    # An underscore between letters is none of emphasis, and names of bands are full of them.
    text = re.sub(r"([\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])|^[#+>-])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def arguments_in_words(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Readable arguments of a network: the number of edges, and rounded wavelengths."""
    readable = dict(arguments)
    if readable.get("edges"):
        readable["edges"] = f"{len(readable['edges'][0])} for each band"
    if readable.get("location"):
        wavelengths = readable["location"].get("wavelengths", ())
        readable["location"] = readable["location"]["name"]
        if wavelengths:
            in_degrees = ", ".join(f"{w:.3g}" for w in wavelengths)
            readable["location"] += f" (wavelengths of {in_degrees} degrees)"
    return readable


_CARD = (
    ("virtual", "Warning"),
    ("grain", "Grain"),
    ("plots", "Training plots"),
    ("plots_doi", "DOI of the training plots"),
    ("validation_plots", "Validation plots (tiles held out for early stopping)"),
    ("region", "Extent of the training plots (W, E, S, N)"),
    ("validation_rmse", "RMSE on the validation plots, species"),
    ("teacher", "Teacher (a model fitted to the plots)"),
    ("pixels", "Training pixels (without plots, predicted by the teacher)"),
    ("teacher_r2", "r2 of the distilled network against its teacher, on held-out pixels"),
    ("teacher_maps", "Note"),
    ("teacher_rmse", "RMSE against the teacher's predictions of held-out pixels, species"),
    ("recipe", "Training recipe"),
    ("epochs", "Training epochs; the weights are those of the best epoch"),
    ("seed", "Seed"),
)
