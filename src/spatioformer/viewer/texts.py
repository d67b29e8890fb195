"""Titles and units of layers in English and Spanish."""

import re
from typing import Any

from spatioformer.viewer.layers import Look, Text


def text(en: str, es: str) -> Text:
    return {"en": en, "es": es}


NO_UNIT = text("", "")
UNITS = {
    "species": text("species", "especies"),
    "proportion": text("proportion", "proporción"),
}


def unit_text(unit: str) -> Text:
    """A unit of the target in both languages; another unit as it is."""
    return UNITS.get(unit, text(unit, unit))


def yearly(unit: Text) -> Text:
    return text(f"{unit['en']} a year", f"{unit['es']} al año")


_GRAINS = (
    (r"plot size not stated", "tamaño de las parcelas no declarado"),
    (r"plots of (\S+) m2", r"parcelas de \1 m²"),
    (r"plots of (\S+) to (\S+) m2, median (\S+)", r"parcelas de \1 a \2 m², mediana \3"),
)
"""What the facts of a model say of the plots' size, and the same in Spanish."""


def grain_text(grain: str | None) -> Text | None:
    """Size of the plots in both languages; other words, of a user's own model, as they are."""
    if grain is None:
        return None
    for english, spanish in _GRAINS:
        match = re.fullmatch(english, grain)
        if match:
            return text(grain.replace(" m2", " m²"), _comma_decimals(match.expand(spanish)))
    return text(grain, grain)


def _comma_decimals(spanish: str) -> str:
    return re.sub(r"(?<=\d)\.(?=\d)", ",", spanish)


def _class(value: int, en: str, es: str, colour: str) -> dict[str, Any]:
    return {"value": value, "title": dict(text(en, es)), "colour": colour}


APPLIES = (
    _class(
        0, "unlike all plots: do not trust", "distinto de todas las parcelas: no confiar", "#c8702a"
    ),
    _class(1, "like land with plots", "parecido a lugares con parcelas", "#1f6f5c"),
)
SIGNIFICANT = (
    _class(0, "no significant trend", "sin tendencia significativa", "#dcdfdf"),
    _class(1, "significant trend", "tendencia significativa", "#8a5a83"),
)


def map_looks(unit: Text, level: float) -> dict[tuple[str, ...], tuple[str, Look]]:
    """Bands of a map -> identifier and look of the layer that they make.

    Args:
        unit: of the target.
        level: nominal coverage of the intervals, 0-1.
    """
    share = f"{100 * level:g} %"

    def sure(en: str, es: str, colours: str = "cividis") -> Look:
        return Look("uncertainty", text(en, es), unit, "continuous", colours)

    return {
        ("mean",): (
            "mean",
            Look(
                "richness",
                text("Predicted richness", "Riqueza predicha"),
                unit,
                "continuous",
                "viridis",
            ),
        ),
        ("lower", "upper"): (
            "width",
            sure(f"Width of the {share} interval", f"Anchura del intervalo del {share}"),
        ),
        ("sd",): (
            "sd",
            sure(
                "Standard deviation of the model's draws",
                "Desviación típica de las simulaciones del modelo",
            ),
        ),
        ("lower",): (
            "lower",
            sure(
                f"Lower end of the {share} interval",
                f"Extremo inferior del intervalo del {share}",
                "viridis",
            ),
        ),
        ("upper",): (
            "upper",
            sure(
                f"Upper end of the {share} interval",
                f"Extremo superior del intervalo del {share}",
                "viridis",
            ),
        ),
        ("inside",): (
            "applies",
            Look(
                "applicability",
                text("Where the model applies", "Dónde es aplicable el modelo"),
                NO_UNIT,
                "classes",
                "",
                APPLIES,
            ),
        ),
        ("di",): (
            "dissimilarity",
            Look(
                "applicability",
                text(
                    "Dissimilarity to the nearest plot", "Disimilitud con la parcela más parecida"
                ),
                text("mean distances between plots", "distancias medias entre parcelas"),
                "continuous",
                "magma",
            ),
        ),
    }


def trend_looks(unit: Text) -> dict[str, Look]:
    """Layers of a trend over years: identifier, which is the band too -> look."""
    return {
        "slope": Look("change", text("Trend", "Tendencia"), yearly(unit), "diverging", "RdBu"),
        "significant": Look(
            "change",
            text("Significance of the trend", "Significación de la tendencia"),
            NO_UNIT,
            "classes",
            "",
            SIGNIFICANT,
        ),
    }


def change_look(name: str, unit: Text) -> Look:
    """Look of the difference of a scenario's map."""
    title = text(f"Change: {name}", f"Cambio: {name}")
    return Look("change", title, unit, "diverging", "RdBu")


def truth_look(unit: Text) -> Look:
    title = text("Simulated truth", "Verdad simulada")
    return Look("richness", title, unit, "continuous", "viridis")


PICTURES = {
    "true": Look("imagery", text("Imagery, true colour", "Imágenes, color natural"), kind="rgb"),
    "false": Look(
        "imagery",
        text("Imagery, false colour (near infrared)", "Imágenes, falso color (infrarrojo cercano)"),
        kind="rgb",
    ),
    "bands": Look("imagery", text("Imagery, first bands", "Imágenes, primeras bandas"), kind="rgb"),
}
"""Pictures of the imagery; `bands` where no band has a colour's name."""
