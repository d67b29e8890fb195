"""Print the summary of a finished run: a table of scores and the paths of the results."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd

from spatioformer.common.files import read_json
from spatioformer.evaluation.verdict import in_words
from spatioformer.models.target import unit
from spatioformer.run.source_stages import ORDER


def print_summary(
    folder: Path,
    last: str = "report",
    log: Callable[[str], None] | None = None,
    stages: Collection[str] = ORDER,
) -> None:
    """Print r2 and RMSE of all models on each split, the verdict, and the paths of the results.

    Args:
        folder: folder of the run.
        last: last stage of the run; results of later stages may be out of date, so they are left
            out.
        log: gets the printed text, without escape codes.
        stages: those that the run has.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(record=log is not None)
    done = [name for name in ORDER[: ORDER.index(last) + 1] if name in stages]
    if "evaluate" in done:
        kind = read_json(folder / "plots.json").get("target_kind")
        console.print(_table(pd.read_csv(folder / "scores.csv"), Table, unit(kind)))
    outputs = (("map", "map.tif"), ("years", "years/trend.tif"), ("report", "report.html"))
    if "report" in done and (folder / VERDICT).exists():
        for line in _verdict(read_json(folder / VERDICT)):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    for stage, name in outputs:
        if stage in done and (folder / name).exists():  # not every run has a map and a trend
            console.print(f"{stage:<7}{folder / name}", soft_wrap=True, highlight=False)
    if log is not None:
        log(console.export_text())


VERDICT = "verdict.json"


def _verdict(content: dict[str, Any]) -> list[str]:
    """The verdict on the map, and the numbers that it rests on."""
    made = in_words(content["verdict"], mapped=content.get("mapped", True))
    lines, unit_name = [f"verdict: {made}"], content["unit"]
    skill = content["skill"]
    if skill is None:
        return [*lines, "  the model that makes the predictions was not scored"]
    if skill["r2"] is not None:
        lines.append(
            f"  held-out plots (split {content['split']}): r2 {skill['r2']:.2f}, 90 % interval "
            f"{skill['r2_low']:.2f} to {skill['r2_high']:.2f}; typical error "
            f"{skill['mae']:.3g} {unit_name}"
        )
    if skill["apart"]:  # neither unknown nor 0
        lines.append(
            f"  places whose predictions differ by less than {skill['apart']:.3g} {unit_name} "
            "cannot be told apart"
        )
    return lines


def _table(scores: pd.DataFrame, table_type, unit_name: str):
    """Table of `rich` with one row for each model."""
    splits = [s for s in dict.fromkeys(scores["split"]) if not s.startswith("curve-")]
    # More than three splits with both scores do not fit into 80 columns.
    score_names = ["r2", "rmse"] if len(splits) <= 3 else ["r2"]
    definition = "r2 = 1 - SSE/SST" + (f", RMSE in {unit_name}" if "rmse" in score_names else "")
    table = table_type(title=f"Held-out plots: {definition}", title_justify="left")
    table.add_column("model", no_wrap=True)
    for split in splits:
        table.add_column(f"{split}\nr2", justify="right")
        if "rmse" in score_names:
            table.add_column("\nRMSE", justify="right")
    shown = scores[scores["split"].isin(splits)]
    digits = {"r2": 3, "rmse": 2 if unit_name == "species" else 3}
    for model, part in shown.groupby("model", sort=False):
        by_split = part.set_index("split")
        cells = [
            f"{by_split.loc[split, name]:.{digits[name]}f}"
            for split in splits
            for name in score_names
        ]
        table.add_row(model, *cells)
    return table
