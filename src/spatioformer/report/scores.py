"""The tables of scores: a row for each model, a group of columns for each split."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spatioformer.config.evaluation import SplitSection
from spatioformer.models.target import PROPORTION
from spatioformer.report import choice, findings
from spatioformer.report.findings import decimal
from spatioformer.report.results import Results

METRICS = {"r": 3, "r2": 3, "rmse": 2, "mae": 2, "bias": 2}
"""Columns of a split in the table of scores, and their decimals."""

ABREAST = 2
"""Largest number of splits side by side in one table."""


def score_tables(results: Results) -> dict[str, Any]:
    """Tables of scores, one row for each model, and the best model on each split."""
    splits = results.config.evaluate.splits
    tables = [results.scores(split) for split in splits]
    pairs = list(zip(splits, tables, strict=True))
    return {
        "tables": [
            _score_table(results, pairs[start : start + ABREAST])
            for start in range(0, len(pairs), ABREAST)
        ],
        "rankings": [
            findings.ranking(table, results.predicted(split), findings.where(split), results.mapped)
            for split, table in zip(splits, tables, strict=True)
        ]
        + choice.sentences(results),
        "ceiling": decimal(results.ceiling, 3) if results.virtual else None,
        "judged": results.judged.name,
        "in_space": results.judged.kind != "random",
    }


def _score_table(
    results: Results, splits: Sequence[tuple[SplitSection, pd.DataFrame]]
) -> dict[str, Any]:
    """One table with some splits side by side."""
    return {
        "heads": [
            {"name": split.name, "about": f"{_about(split)}, n = {table['n'].max():,}"}
            for split, table in splits
        ],
        "rows": [
            {
                "name": model,
                "note": findings.note(model, results.mapped, _role(results)),
                "cells": [_cells(table, model, _decimals(results)) for _, table in splits],
            }
            for model in results.models
        ]
        + choice.rows(results, [split.name for split, _ in splits], _decimals(results)),
    }


def _role(results: Results) -> str:
    return "it makes the map" if results.has_imagery else "it makes the predictions"


def _about(split: SplitSection) -> str:
    if split.kind == "column":
        return f"folds of the column {split.column}"
    if split.kind == "tiles":
        return f"{split.folds} folds of whole tiles of {findings.side(split)}"
    kinds = {
        "random": "at random",
        "knndm": "with the map's distances to the plots",
        "regions": "of whole regions",
    }
    return f"{split.folds} folds {kinds[split.kind]}"


def _decimals(results: Results) -> dict[str, int]:
    """`METRICS`; a proportion has two decimals more than a number of species."""
    more = 2 if results.unit == PROPORTION else 0
    return {name: digits + more * (name not in ("r", "r2")) for name, digits in METRICS.items()}


def _cells(table: pd.DataFrame, model: str, decimals: dict[str, int]) -> list[tuple[str, bool]]:
    """A model's numbers on one split as text, and whether each is the best in its column."""
    cells = []
    useful = bool(table["r2"].max() > 0)  # else the mean of all plots is better than every model
    for metric, digits in decimals.items():
        column = table[metric]
        # Highest r and r2, lowest errors, bias nearest to 0; a single model is not called best.
        merit = column if metric in ("r", "r2") else -column.abs()
        best = useful and len(merit) > 1 and bool(merit[model] == merit.max())
        cells.append((decimal(findings.score(table, model, metric), digits), best))
    return cells
