"""What the page says of the choice of the mapped model, where its scores chose it."""

from collections.abc import Mapping, Sequence
from typing import Any

from spatioformer.config.learning import AUTO
from spatioformer.report import findings
from spatioformer.report.findings import decimal, title
from spatioformer.report.results import Results


def rows(
    results: Results, splits: Sequence[str], metrics: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The row of the choice in a table of scores; none where the configuration names the model.

    Args:
        splits: names of the splits of the table.
        metrics: columns of a split, and their decimals.
    """
    if results.choice.empty:
        return []
    cells = [
        [
            (decimal(findings.score(results.choice, split, metric), digits), False)
            for metric, digits in metrics.items()
        ]
        for split in splits
    ]
    note = "the choice of the mapped model, scored on tiles that had no part in it"
    return [{"name": AUTO, "note": note, "cells": cells}]


def sentences(results: Results) -> list[list[str]]:
    """What the choice means for the scores of the mapped model: a paragraph, or none."""
    if results.choice.empty:
        return []
    made = "map" if results.has_imagery else "predictions"
    figures = "; ".join(
        f"{decimal(results.mapped_r2(split))} {findings.where(split)} "
        f"(alone {decimal(results.r2(results.mapped, split))})"
        for split in results.config.evaluate.splits
    )
    return [
        [
            f"The scores chose {title(results.mapped)} for the {made}, so its own scores may be "
            f"too good. With each tile scored by choices that it had no part in, r2 is {figures}."
        ]
    ]
