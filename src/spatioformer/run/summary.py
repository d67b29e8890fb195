"""What the terminal shows at the end of a run: a short table of scores, and paths of results."""

from pathlib import Path

import pandas as pd

from spatioformer.run.stages import STAGES


def print_summary(folder: Path, last: str = "report") -> None:
    """Scores of all models side by side (r2 and RMSE a split) and the paths of map and report.

    Args:
        last: the stage with which the run ended; results of later stages may be out of date.
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
    # More than three splits with both figures do not fit a terminal of 80 columns.
    figures = ["r2", "rmse"] if len(splits) <= 3 else ["r2"]
    words = "r2 = 1 - SSE/SST" + (", RMSE in species" if "rmse" in figures else "")
    table = table_type(title=f"Held-out plots: {words}", title_justify="left")
    table.add_column("model", no_wrap=True)
    for split in splits:
        table.add_column(f"{split} r2", justify="right")
        if "rmse" in figures:
            table.add_column("RMSE", justify="right")
    shown = scores[scores["split"].isin(splits)]
    for model, part in shown.groupby("model", sort=False):
        by_split = part.set_index("split")
        cells = [
            f"{by_split.loc[split, figure]:.{3 if figure == 'r2' else 2}f}"
            for split in splits
            for figure in figures
        ]
        table.add_row(model, *cells)
    return table
