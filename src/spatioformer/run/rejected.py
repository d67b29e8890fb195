"""Rows that a stage rejects, in a file of its own; the runner joins these files."""

from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.files import writing
from spatioformer.common.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd


def write_rows(table: "pd.DataFrame", path: Path) -> None:
    """Write the rows that a stage rejected as CSV.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as part:
        write_csv(table, part)
