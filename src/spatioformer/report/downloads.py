"""The figures of a report as files: PNG, SVG, and the data of each as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spatioformer.common.files import write_text, writing
from spatioformer.report.picture import Picture

FIGURES = "figures"
"""Folder of the files, beside the page; the page links to them and does not need them."""

SUFFIXES = (".png", ".svg", ".csv")


def pictures_in(content: Any) -> Iterator[Picture]:
    """All pictures in nested dicts and sequences, in order."""
    if isinstance(content, Picture):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from pictures_in(value)
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        for value in content:
            yield from pictures_in(value)


def write_figures(folder: Path, pictures: Iterable[Picture]) -> None:
    """Write NAME.png, NAME.svg and NAME.csv of each picture; remove those of a former report.

    Raises:
        OutputError: a file cannot be written.
    """
    written = set()
    for picture in pictures:
        files = [folder / f"{picture.name}{suffix}" for suffix in SUFFIXES]
        for path, content in zip(files[:2], (picture.png, picture.svg), strict=True):
            with writing(path) as part:
                part.write_bytes(content)
        write_text(files[2], as_csv(picture.data))
        written.update(files)
    if folder.is_dir():
        for path in set(folder.iterdir()) - written:
            if path.suffix in SUFFIXES:
                path.unlink()


def as_csv(table: pd.DataFrame) -> str:
    """The table as CSV: numbers with six significant digits, missing values empty.

    `DataFrame.to_csv` with a `float_format` writes the same, but takes five times as long.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(table.columns)
    rows.writerows(zip(*(_cells(column) for _, column in table.items()), strict=True))
    return text.getvalue()


def _cells(column: "pd.Series[Any]") -> list[Any]:
    if column.dtype.kind == "f":
        numbers = column.tolist()
        written = ("%.6g " * len(numbers) % tuple(numbers)).split()
        return ["" if number == "nan" else number for number in written]
    missing = column.isna()
    return (column.astype(object).where(~missing, "") if missing.any() else column).tolist()
