"""The verdict on a map in a few words, and the errors that it rests on, in English and Spanish."""

from typing import Any

import numpy as np

from spatioformer.evaluation.verdict import CARE, REFUSE, USE
from spatioformer.viewer.layers import Text
from spatioformer.viewer.texts import text, unit_text

LEVELS: dict[str, str] = {USE: "use", CARE: "care", REFUSE: "do-not-use"}
"""Verdict of a run -> its name in `run.json`."""

SENTENCES: dict[str, Text] = {
    USE: text("Use this map.", "Use este mapa."),
    CARE: text("Use this map with care here.", "Use este mapa con cuidado."),
    REFUSE: text(
        "Do not use this map to tell places apart.",
        "No use este mapa para distinguir un lugar de otro.",
    ),
}
UNJUDGED = text(
    "The run has no verdict on this map.", "La ejecución no tiene un veredicto sobre este mapa."
)


def to_json(verdict: dict[str, Any], unit: str) -> dict[str, Any]:
    """Level and sentences of a verdict; the first sentence decides, the others give the errors.

    Args:
        verdict: content of verdict.json, empty where a run has none.
        unit: of the target.
    """
    made = str(verdict.get("verdict"))
    sentence = dict(SENTENCES.get(made, UNJUDGED))
    skill = verdict.get("skill") or {}
    mae, apart = (float(skill.get(name) or np.nan) for name in ("mae", "apart"))
    units = unit_text(unit)
    if np.isfinite(mae):
        sentence["en"] += (
            f" A prediction misses a plot that the model had not seen by {_size(mae)} "
            f"{units['en']} on average."
        )
        sentence["es"] += (
            f" Una predicción se aparta de una parcela que el modelo no había visto en "
            f"{_comma(mae)} {units['es']} de media."
        )
    if np.isfinite(apart):
        sentence["en"] += (
            f" Two places whose predictions differ by less than {_size(apart)} {units['en']} "
            "cannot be told apart."
        )
        sentence["es"] += (
            f" No se pueden distinguir dos lugares cuyas predicciones difieren en menos de "
            f"{_comma(apart)} {units['es']}."
        )
    return {"level": LEVELS.get(made), "sentence": sentence}


def _size(value: float) -> str:
    """A number with two significant digits; whole ones from 10 on, never as a power of ten."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def _comma(value: float) -> str:
    return _size(value).replace(".", ",")
