"""The last words of a run in the terminal: a short table of scores, and where things lie."""

from pathlib import Path

import pandas as pd

from spatioformer.stages import STAGES


def print_summary(folder: Path, last: str = "report") -> None:
    """Scores of all models side by side (r2 and RMSE a split) and the paths of map and report.

    Args:
        last: the stage with which the run ended; what later stages left there may be out of date.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    done = list(STAGES)[: list(STAGES).index(last) + 1]
    if "evaluate" in done:
        console.print(_table(pd.read_csv(folder / "scores.csv"), Table))
    for stage, name in (("map", "map.tif"), ("report", "report.html")):
        if stage in done:
            console.print(f"{stage:<7}{folder / name}", soft_wrap=True, highlight=False)


def _table(scores: pd.DataFrame, table_type):
    splits = [s for s in dict.fromkeys(scores["split"]) if not s.startswith("curve-")]
    table = table_type(
        title="Held-out plots: r2 = 1 - SSE/SST, RMSE in species", title_justify="left"
    )
    table.add_column("model")
    for split in splits:
        table.add_column(f"{split} r2", justify="right")
        table.add_column("RMSE", justify="right")
    shown = scores[scores["split"].isin(splits)]
    for model, part in shown.groupby("model", sort=False):
        by_split = part.set_index("split")
        cells = []
        for split in splits:
            row = by_split.loc[split]
            cells += [f"{row['r2']:.3f}", f"{row['rmse']:.2f}"]
        table.add_row(model, *cells)
    return table
