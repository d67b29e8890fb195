"""Figure of a training's losses, and writing of figures as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from spatioformer.common.files import writing
from spatioformer.common.style import ACCENT, MUTED, png, styled


@styled
def curve_picture(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Training and validation loss against steps."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    for key, colour, label in (
        ("training_loss", MUTED, "training (mean since the point before)"),
        ("validation_loss", ACCENT, "validation"),
    ):
        axes.plot(steps, [row[key] for row in rows], "o-", ms=3.5, color=colour, label=label)
    axes.set(xlabel="step", ylabel="nats a token")
    axes.legend()
    return figure


def write_picture(path: str | Path, figure: Figure) -> None:
    """Write a figure as a PNG file; no file remains if writing fails.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as part:
        part.write_bytes(png(figure))
