"""The bundled places of capitals of countries and territories.

`benchmarks/capitals.py` makes the file from GeoNames.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("capitals.csv")


@cache
def load_capitals() -> tuple[list[str], NDArray[np.float64]]:
    """Names (n), and lon and lat in degrees (n, 2)."""
    with open(FILE, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = np.array([(row["lon"], row["lat"]) for row in rows], np.float64)
    return [row["capital"] for row in rows], places
