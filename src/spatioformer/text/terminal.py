"""Print results of the text commands as tables: plain text without colours, for any width."""

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from spatioformer.text.model import Reading
from spatioformer.text.senses import Senses
from spatioformer.tracing.terminal import print_matrix

BAR = 40  # width of the bar of the largest value, cells


def print_ranking(rows: Sequence[tuple[str, float]], percent: bool) -> None:
    """Print a name, a value and a bar a line; bars are relative to the largest value."""
    if not rows:
        return
    widest = max(cell_len(name) for name, _ in rows)
    largest = max(value for _, value in rows)
    for name, value in rows:
        shown = f"{value:7.2%}" if percent else f"{value:6.3f}"
        bar = "█" * round(BAR * max(value, 0.0) / largest) if largest > 0 else ""
        _print(f"{set_cell_size(name, widest)}  {shown}  {bar}")


def print_reading(reading: Reading, layer: int, head: int) -> None:
    """Print one head's scores and pattern: a row for each query token, a column for each key token.

    Args:
        layer, head: counted from 0.
    """
    above_diagonal = ~np.tri(len(reading.tokens), dtype=bool)
    hidden = above_diagonal if reading.causal else np.zeros_like(above_diagonal)
    where = f"layer {layer + 1}, head {head + 1}"
    _print(f"q·k / √d, {where}: rows look, columns are looked at")
    rows = [f"{i + 1:>3} {token}" for i, token in enumerate(reading.tokens)]
    print_matrix(rows, reading.tokens, reading.scores[layer, head], "{:.2f}", hidden)
    _print(f"softmax of each row, {where}")
    print_matrix(rows, reading.tokens, reading.weights[layer, head], "{:.2f}", hidden)


def print_senses(senses: Senses) -> None:
    """Print the sentences, the pairwise cosines and a summary."""
    names = [str(i + 1) for i in range(len(senses.senses))]
    for name, sense in zip(names, senses.senses, strict=True):
        label = f" [{sense.label}]" if sense.label else ""
        _print(f"{name:>3}{label} {sense.sentence}")
    _print("")
    _print(f"cosine of the vectors of {senses.word!r} in these sentences")
    rows = [f"{i + 1:>3} {sense.label}" for i, sense in enumerate(senses.senses)]
    print_matrix(rows, names, senses.cosines, "{:.2f}")
    if means := senses.within_and_between():
        _print(f"mean cosine: {means[0]:.3f} with the same label, {means[1]:.3f} with another")
        _print(
            f"the nearest other sentence has the same label in {senses.agreeing()} of {len(names)}"
        )


def _print(line: str) -> None:
    print(line.rstrip())
