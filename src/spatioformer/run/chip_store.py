"""What the chips stages of all runs share: rejected plots, chips without plots, their message."""

from pathlib import Path

import pandas as pd

from spatioformer.common.errors import PlotError
from spatioformer.common.files import read_json
from spatioformer.geo.chips import UNLABELLED
from spatioformer.geo.unlabelled import cut_unlabelled
from spatioformer.run.context import RunContext
from spatioformer.run.rejected import write_rows


def teach_elsewhere(run: RunContext, is_measured: bool) -> None:
    """Cut chips of land without plots, on which a distilled network is taught.

    Args:
        is_measured: whether plots state values of bands, so that they may lie outside the imagery.

    Raises:
        ImageryError, OutputError: as `cut_unlabelled`.
    """
    if is_measured:
        run.console.say(
            "  note: a distilled network is taught on the land of the imagery alone; if plots lie "
            "outside it, choose another model (map.model: gaussian-process)"
        )
    cut_unlabelled(
        run.folder / "imagery.tif",
        run.config.model.patch,
        run.folder / "chips" / UNLABELLED,
        console=run.console,
    )


def chips_message(run: RunContext, plots: int, lost: int, years: str = "") -> str:
    """The line that says what a chips stage did.

    Args:
        plots, lost: number of plots, and of those without a chip.
        years: what is said of the years of the imagery.
    """
    note = f", {lost} plot{'s' * (lost > 1)} without a chip" if lost else ""
    return f"{plots - lost:,} chips of {run.config.model.patch} pixels a side{years}{note}"


def reject(run: RunContext, lost: pd.DataFrame) -> None:
    """List the plots without a chip, and refuse too many of them.

    Raises:
        PlotError: they and the rows that the plots stage rejected exceed plots.max_rejected.
    """
    texts = lost[["source_line", "plot_id", "reason", "lon", "lat", "richness"]].astype(str)
    texts["source_file"], texts["stage"] = Path(run.config.plots.path).name, "chips"
    columns = ["source_file", "source_line", "plot_id", "reason", "stage", "lon", "lat", "richness"]
    write_rows(texts[columns], run.rejected("chips"))
    summary, limit = read_json(run.folder / "plots.json"), run.config.plots.max_rejected
    share = (summary["rejected"] + len(lost)) / max(summary["read"], 1)
    if len(lost) and share > limit:
        raise PlotError(
            f"{share:.0%} of the {summary['read']} plot rows cannot be used, more than the "
            f"{limit:.0%} that plots.max_rejected allows (most often: {lost['reason'].mode()[0]}); "
            f"see {run.folder / 'rejected.csv'}, then correct the table or raise the limit"
        )
