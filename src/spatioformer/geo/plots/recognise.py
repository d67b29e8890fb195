"""Find what the columns of a plot table are, by their names and values.

`recognise` chooses only where one answer is plausible. Where several are, it asks: each `Question`
names the setting that answers it. Everything it chose, asked or could not use is in one result, so
that a program can print all of it at once.
"""

from collections.abc import Mapping

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.checks import parse_crs
from spatioformer.geo.plots.findings import Decision, Question, Recognised
from spatioformer.geo.plots.recognition import Recognition
from spatioformer.geo.plots.source import Source, quoted

__all__ = ["Decision", "Question", "Recognised", "find_columns", "recognise", "require_clear"]


def recognise(
    source: Source,
    *,
    crs: str | None = None,
    columns: Mapping[str, str] = {},
    decimal: str | None = None,
    counted: bool = False,
) -> Recognised:
    """Find what the columns of a table are.

    Args:
        source: table, from `files.open_source`.
        crs: CRS of the coordinates, if the user gives it.
        columns: names in `table.FIELDS` -> columns that the user gives; they are taken as they are.
        decimal: decimal sign of text columns, if the user gives it.
        counted: whether richness is counted from species data, so that no column is needed.

    Raises:
        PlotError: the file cannot be read as a table, or `crs` is unknown.
    """
    if crs is not None:
        parse_crs(crs)  # an unknown one is refused here, whatever the coordinates are
    work = Recognition(source, columns)
    if not work.columns or not work.columns[0].cells:
        work.result.problems.append(f"{source.path.name} has a header but no rows; add plots")
        return work.result
    work.file()
    work.given()
    work.places(crs)
    if not counted:
        work.richness()
    work.area()
    work.dates()
    work.names()
    work.rest()
    work.numbers(decimal)
    return work.result


def find_columns(
    source: Source, crs: object, date_order: str | None, decimal: str | None, counted: bool
) -> tuple[dict[str, str | None], object, list[str]]:
    """Columns and CRS of a table that is read without `columns`, and notes on what was found.

    Raises:
        PlotError: the table has faults or leaves questions open; all are named.
    """
    recognised = recognise(
        source, crs=None if crs is None else str(crs), decimal=decimal, counted=counted
    )
    require_clear(recognised, source, date_order)
    columns: dict[str, str | None] = {**recognised.columns}
    pairs = [f"{name} = {quoted(column)}" for name, column in recognised.columns.items()]
    if recognised.crs is not None:
        pairs.append(f"crs = {recognised.crs}")
    notes = [f"found: {', '.join(pairs)}"]
    return columns, crs if crs is not None else recognised.crs, notes


def require_clear(recognised: Recognised, source: Source, date_order: str | None) -> None:
    """Raise a PlotError that names all faults and open questions of a table, if it has any."""
    open_questions = [
        q for q in recognised.questions if q.key != "date_order" or date_order is None
    ]
    if recognised.problems or open_questions:
        parts = [*recognised.problems, *map(_sentence, open_questions)]
        raise PlotError(f"the columns of {source.path.name} are not clear: {'; '.join(parts)}")


def _sentence(question: Question) -> str:
    """A question as part of a message: the setting, its candidates, the reason."""
    if question.candidates:
        return f"set {question.key} to {' or '.join(question.candidates)} ({question.why})"
    remedy = " to one such as EPSG:32717" if question.key == "crs" else ""
    return f"set {question.key}{remedy} ({question.why})"
