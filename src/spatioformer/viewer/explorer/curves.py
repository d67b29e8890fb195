"""The curve of a training from its training.csv, whatever was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NAME = "training.csv"
RATE = "learning_rate"


def training_curve(folder: Path) -> dict[str, Any] | None:
    """Columns of training.csv: `x` "epoch" or "step", `values` and `columns`; None without one.

    Returns:
        x, name of the first column; steps, its values; lines, name -> values. A column that is
        empty, and the learning rate, are left out.
    """
    path = folder / NAME
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError):
        return None
    if table.shape[1] < 2 or not len(table):
        return None
    first = str(table.columns[0])
    numbers = table.select_dtypes("number")
    lines = {
        str(name): [None if not np.isfinite(v) else float(v) for v in numbers[name]]
        for name in numbers.columns
        if name not in (first, RATE) and np.isfinite(numbers[name]).any()
    }
    return {"x": first, "steps": table[first].tolist(), "lines": lines}
