"""Panels: the arrays of a trace that are shown, with names, formulas and units.

Shapes: T tokens, D width, K head width, F hidden width of the MLP, N neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatioformer.nn.trace import Trace

Scale = Literal["signed", "share", "amount"]
"""Values around 0; shares from 0 to 1; or values in a unit of their own."""

Rows = list[list["Panel"]]
"""Panels in the order of the computation; those of one inner list stand side by side."""

NO_UNIT = "no unit"
DIRECTIONS = ("NW", "N", "NE", "W", "centre", "E", "SW", "S", "SE")


@dataclass(frozen=True)
class Panel:
    """One array to show.

    Attributes:
        title: what it is, in a few words.
        formula: how it is computed.
        values: (rows, columns); NaN where there is nothing. Or (rows, columns, 3), colours 0-1.
        rows: a name for each row.
        columns: a name for each column; None numbers them from 1.
        scale: how its colours are chosen.
        unit: label of its colour bar.
        kind: "matrix" shows cells, "bars" a bar for each row of one column, "image" a picture.
        cuts: rows and columns of patches into which an image is cut.
    """

    title: str
    formula: str
    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str] | None = None
    scale: Scale = "signed"
    unit: str = NO_UNIT
    kind: Literal["matrix", "bars", "image"] = "matrix"
    cuts: tuple[int, int] = (1, 1)

    @property
    def column_names(self) -> list[str]:
        if self.columns is not None:
            return list(self.columns)
        return [str(number) for number in range(1, self.values.shape[1] + 1)]


def vectors(title: str, formula: str, values: np.ndarray, names: Sequence[str]) -> Panel:
    """A panel of one vector for each token, (T, D)."""
    return Panel(title, formula, np.atleast_2d(values), names)


def ranking(
    title: str, formula: str, names: Sequence[str], shares: np.ndarray, unit: str, count: int
) -> Panel:
    """A panel of the `count` largest shares, largest first."""
    order = np.argsort(-shares, kind="stable")[:count]
    return Panel(
        title,
        formula,
        shares[order, None],
        [names[i] for i in order],
        [unit],
        "share",
        unit,
        "bars",
    )


def layer_panels(trace: Trace, layer: int, head: int, names: Sequence[str]) -> Rows:
    """Panels of one layer and head, both counted from 1, of a network with a row of tokens.

    Args:
        names: a name for each token.
    """
    name, h = f"layer{layer}", head - 1
    where = f"layer {layer}, head {head}"
    scores = trace[f"{name}.scores"][h]
    if trace.causal:
        scores = np.where(np.tri(len(names), dtype=bool), scores, np.nan)
    pattern = trace[f"{name}.pattern"][h]
    if trace.causal:
        pattern = np.where(np.tri(len(names), dtype=bool), pattern, np.nan)
    width = trace[f"{name}.queries"].shape[-1]
    mixed = trace[f"{name}.mixed"][:, h * width : head * width]
    reads = "softmax of each row, which then sums to 1"
    later = "; a token does not see later ones" if trace.causal else ""
    return [
        [
            vectors(f"Queries, {where}", "Q = W_Q x + b", trace[f"{name}.queries"][h], names),
            vectors("Keys", "K = W_K x + b", trace[f"{name}.keys"][h], names),
        ],
        [
            Panel("Scores", f"Q Kᵀ / √{width}{later}", scores, names, names, unit="q·k / √d"),
            Panel("Pattern", reads, pattern, names, names, "share", "share"),
        ],
        [
            vectors("Values", "V = W_V x + b", trace[f"{name}.values"][h], names),
            vectors("Mixture of the values", "pattern · V", mixed, names),
        ],
        *_after_attention(trace, layer, names),
    ]


def _after_attention(trace: Trace, layer: int, names: Sequence[str]) -> Rows:
    """Panels from the output of the attention to that of the layer, (T, D)."""
    name = f"layer{layer}"
    parts = {
        "attention": "Added by attention",
        "after_attention": "After attention",
        "hidden": "MLP, hidden layer",
        "mlp": "Added by the MLP",
        "output": f"Output of layer {layer}",
    }
    panels = []
    for part, title in parts.items():
        step = trace.steps[f"{name}.{part}"]
        panels.append(vectors(title, step.about, middle(step.values), names))
    return [panels[:2], panels[2:4], panels[4:]]


def neighbour_panels(trace: Trace, layer: int, head: int) -> Rows:
    """Panels of one layer and head of a dense network, at the pixel in the middle of the tile."""
    name, h = f"layer{layer}", head - 1
    scores, pattern = (middle(trace[f"{name}.{part}"][h]) for part in ("scores", "pattern"))
    side = round(len(scores) ** 0.5)
    names = neighbour_names(side)
    keys, values = (
        _window(trace[f"{name}.{part}"][h], side).reshape(side * side, -1)
        for part in ("keys", "values")
    )
    query = middle(trace[f"{name}.queries"][h])
    width = len(query)
    mixed = middle(trace[f"{name}.mixed"])[h * width : head * width]
    centre = ["centre"]
    offsets = [f"{i - side // 2:+d}" if i != side // 2 else "0" for i in range(side)]
    rows, columns = [f"row {o}" for o in offsets], [f"col {o}" for o in offsets]
    square = (side, side)
    where = f"layer {layer}, head {head}"
    return [
        [
            vectors(f"Query of the centre, {where}", "q = W_Q x + b", query, centre),
            vectors("Keys of the neighbours", "K = W_K x + b", keys, names),
        ],
        [
            Panel(
                "Scores of the neighbours",
                f"q K / √{width} + bias of the place",
                scores.reshape(square),
                rows,
                columns,
                unit="q·k / √d + bias",
            ),
            Panel(
                "Pattern",
                "softmax over the neighbours",
                pattern.reshape(square),
                rows,
                columns,
                "share",
                "share",
            ),
        ],
        [
            vectors("Values of the neighbours", "V = W_V x + b", values, names),
            vectors("Mixture of the values", "pattern · V", mixed, centre),
        ],
        *_after_attention(trace, layer, centre),
    ]


def neighbour_names(side: int) -> list[str]:
    """Names of side x side neighbours, row by row: compass points, or rows and columns."""
    if side == 3:
        return list(DIRECTIONS)
    half = side // 2
    return [
        f"{row:+d},{col:+d}" for row in range(-half, half + 1) for col in range(-half, half + 1)
    ]


def middle(field: np.ndarray) -> np.ndarray:
    """The middle of a field (y, x, D) as (D,); an array (T, D) stays."""
    if field.ndim < 3:
        return field
    return np.asarray(field[field.shape[0] // 2, field.shape[1] // 2])


def _window(field: np.ndarray, side: int) -> np.ndarray:
    """The side x side pixels around the middle of a field (y, x, K)."""
    top, left = ((n - side) // 2 for n in field.shape[:2])
    return field[top : top + side, left : left + side]
