"""Figures of a Vision Transformer's attention and position embeddings.

Shapes: n images, C channels, Y x X pixels, y x x patches.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from spatioformer.common.errors import OutputError
from spatioformer.common.files import writing

DPI = 130
INK, MUTED = "#22282b", "#6b7478"
AMOUNTS, DIFFERENCES = "cividis", "RdBu_r"  # both suitable for colour-blind readers
ACROSS = 10  # largest number of images in a row

styled = matplotlib.rc_context(
    {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED}
)
"""Decorator of functions that make figures."""


@styled
def draw_rollout(pixels: NDArray, shares: NDArray[np.floating], captions: Sequence[str]) -> Figure:
    """Figure of each image above its attention rollout.

    Args:
        pixels: (n, C, Y, X).
        shares: (n, y, x), from `VisionModel.attend`; all on one scale from 0.
        captions: (n,), written above the images.
    """
    across = min(len(pixels), ACROSS)
    bands = -(-len(pixels) // across)
    tall = pixels.shape[2] / pixels.shape[3]
    size = max(0.85, min(2.4, 8 / across))  # inches
    figure = Figure(
        (size * across + 0.9, bands * (2 * size * tall + 0.3) + 0.1),
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, hspace=0, wspace=0),
    )
    axes = figure.subplots(2 * bands, across, squeeze=False)
    scale = Normalize(0, float(shares.max()))
    for axis in axes.flat:
        axis.axis("off")
    for i, (image, share, caption) in enumerate(zip(pixels, shares, captions, strict=True)):
        band, column = divmod(i, across)
        _show(axes[2 * band, column], as_picture(image))
        axes[2 * band, column].set_title(caption, fontsize=9)
        extent = (0, image.shape[2], image.shape[1], 0)
        axes[2 * band + 1, column].imshow(
            share, cmap=AMOUNTS, norm=scale, interpolation="nearest", extent=extent
        )
    bar = figure.colorbar(ScalarMappable(scale, AMOUNTS), ax=axes, fraction=0.03, aspect=25)
    bar.set_label("rollout (1 = an even share)")
    return figure


@styled
def draw_position_similarity(similarity: NDArray[np.floating]) -> Figure:
    """Figure with a small map for every patch: cosine of its position embedding with all others.

    Args:
        similarity: (y, x, y, x), from `ViT.position_similarity`; -1 to 1.
    """
    rows, columns = similarity.shape[:2]
    side = 5.0 / max(rows, columns)  # inches a map
    figure = Figure((side * columns + 1.4, side * rows + 0.8), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(
        _mosaic(similarity), cmap=DIFFERENCES, vmin=-1, vmax=1, interpolation="nearest"
    )
    for axis, count, within in ((axes.xaxis, columns, columns), (axes.yaxis, rows, rows)):
        step = -(-count // 16)
        shown = np.arange(0, count, step)
        axis.set_ticks(shown * (within + 1) + (within - 1) / 2, labels=[str(i + 1) for i in shown])
        axis.set_tick_params(length=0)
    axes.set(xlabel="column of the patch", ylabel="row of the patch")
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.04)
    bar.set_label("cosine with the position embedding of every patch")
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; the suffix gives the format.

    Raises:
        OutputError: the file cannot be written, or the format is not supported.
    """
    kind = Path(path).suffix.removeprefix(".")
    if kind not in figure.canvas.get_supported_filetypes():
        raise OutputError(
            f"{path}: a picture cannot be written as {kind!r}; choose a .png, .svg or .pdf"
        )
    with writing(path) as part:
        figure.savefig(part, dpi=DPI)


def as_picture(image: NDArray) -> NDArray:
    """Convert an image (C, Y, X) for display: (Y, X, 3) for three channels, else their mean (Y, X).

    8-bit values stay the same; floats are scaled to 0-1 by their minimum and maximum.
    """
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / (high - low if high > low else 1.0)
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(0)


def _show(axes: Axes, picture: NDArray) -> None:
    axes.imshow(picture, cmap="gray", interpolation="nearest")


def _mosaic(similarity: NDArray[np.floating]) -> NDArray[np.floating]:
    """(y (y + 1) - 1, x (x + 1) - 1): one map a patch, with gaps of NaN between."""
    rows, columns = similarity.shape[:2]
    mosaic = np.full((rows, rows + 1, columns, columns + 1), np.nan)
    mosaic[:, :rows, :, :columns] = similarity.transpose(0, 2, 1, 3)  # (y, y', x, x')
    return mosaic.reshape(rows * (rows + 1), columns * (columns + 1))[:-1, :-1]
