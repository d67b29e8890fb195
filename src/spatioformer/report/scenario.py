"""The picture of a scenario: today, the scenario, their difference, and dissimilarity."""

from pathlib import Path
from typing import Any

import numpy as np

from spatioformer.common import style
from spatioformer.common.files import writing
from spatioformer.report.bands import Band, read_band
from spatioformer.report.maps import Panel, draw_panels, robust_limits, symmetric_limits
from spatioformer.report.picture import VIRTUAL

DIFFERENCE = "RdBu"
"""Red for fewer species, white for 0, blue for more; safe for the colour-blind."""


def draw_scenario(
    change: Path,
    numbers: dict[str, int],
    out: Path,
    *,
    name: str,
    unit: str,
    threshold: float,
    virtual: bool,
) -> dict[str, Any]:
    """Write the four maps as PNG and SVG.

    Args:
        change: the raster of `analysis.scenarios.write_change`; large ones are read decimated.
        numbers: band -> its number in the raster.
        out: path of the PNG; the SVG lies beside it.
        name: of the scenario.
        unit: of the map.
        threshold: dissimilarity index above which a pixel is outside the area of applicability.
        virtual: whether the plots are simulated, which the picture then says.

    Returns:
        Limits of the colour bars, by band.

    Raises:
        OutputError: a file cannot be written.
    """
    bands = {b: read_band(change, n) for b, n in numbers.items()}
    panels = _panels(bands, name, unit, threshold)
    figure = draw_panels(panels, bands["change"].frame)
    if virtual:
        style.stamp(figure, VIRTUAL)
    for path, content in zip((out, out.with_suffix(".svg")), style.files(figure), strict=True):
        with writing(path) as part:
            part.write_bytes(content)
    names = ("today", "scenario", "change", "di")
    return {band: panel.limits for band, panel in zip(names, panels, strict=True)}


def _panels(bands: dict[str, Band], name: str, unit: str, threshold: float) -> list[Panel]:
    values = {band: raster.values for band, raster in bands.items()}
    with np.errstate(invalid="ignore"):
        outside = values["outside"] > 0.5
        sure = float(np.nanmean(values["rise"] + values["fall"]))
    amounts = robust_limits(values["today"], values["scenario"])
    title = name if len(name) <= 40 else f"{name[:39]}…"
    return [
        Panel("Today", values["today"], amounts, unit),
        Panel(f"Scenario: {title}", values["scenario"], amounts, unit),
        Panel(
            "Difference, scenario less today",
            values["change"],
            symmetric_limits(values["change"]),
            f"difference, {unit}; larger than its\ninterval in {sure:.1%} of the pixels",
            DIFFERENCE,
            outside,
        ),
        Panel(
            "Dissimilarity of the scenario to the plots",
            values["di"],
            (0.0, robust_limits(values["di"])[1]),
            f"dissimilarity index; outside above {threshold:.2g}",
            "cividis",
        ),
    ]
