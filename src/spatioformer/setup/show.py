"""Print what was decided, and say what is open: one table, one list."""

import shlex
from collections.abc import Iterable, Sequence

from spatioformer.common.progress import Console
from spatioformer.config.messages import MOST_PROBLEMS, escaped
from spatioformer.geo.plots.recognise import Decision, Question
from spatioformer.setup.yaml_text import scalar

LONGEST_KEY, LONGEST_VALUE = 16, 25  # characters of the first columns, in a terminal of 80


def print_table(title: str, decisions: Iterable[Decision], console: Console) -> None:
    """Print a table with a line a decision on stdout: setting, value, reason."""
    if console.quiet:
        return
    from rich import box
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", max_width=LONGEST_VALUE, overflow="fold")
    table.add_column("why", overflow="fold")
    for decision in decisions:  # Text: names of columns may look like markup
        cells = (escaped(decision.value, 600), escaped(decision.why, 600))
        table.add_row(Text(_on_lines(decision.what)), *map(Text, cells))
    RichConsole().print(table)


def _on_lines(key: str) -> str:
    """A key without the parts that all its neighbours have, on two lines if it is long."""
    short = escaped(key.removeprefix("plots.columns.").removeprefix("imagery."))
    return short if len(short) <= LONGEST_KEY else short.replace(".", ".\n  ")


def option_of(question: Question) -> str:
    """The option of the command line that answers a question."""
    if not question.candidates:
        value = _PLACEHOLDERS.get(question.key.rpartition(".")[2], "VALUE")
    elif question.key == "plots.crs":
        value = question.candidates[0]
    else:
        value = shlex.quote(as_yaml(question.key, question.candidates[0]))
    return f"--crs {value}" if question.key == "plots.crs" else f"--set {question.key}={value}"


def as_yaml(key: str, answer: str) -> str:
    """An answer as `--set` reads it: names of columns are text, also those like 2014 or "# S"."""
    return scalar(answer) if key.startswith("plots.columns.") else answer


_PLACEHOLDERS = {"crs": "EPSG:...", "lon": "COLUMN", "lat": "COLUMN", "richness": "COLUMN"}


def in_words(question: Question) -> str:
    """A question with its candidates and an option that answers it, on one line."""
    candidates = [escaped(candidate, 80) for candidate in question.candidates]
    choice = f" ({' or '.join(candidates)})" if candidates else ""
    return f"{question.key}{choice}: {question.why}; answer with {option_of(question)}"


def open_points(
    source: str, questions: Sequence[Question], problems: Sequence[str], end: str
) -> str:
    """A message that lists everything that is open, a line each.

    Args:
        source: what was looked at.
        end: the last words of the first line, such as "run.yaml is not written".
    """
    counts = [
        f"{len(items)} {word}{'s' * (len(items) > 1)}"
        for items, word in ((problems, "problem"), (questions, "question"))
        if items
    ]
    lines = [*problems, *(in_words(question) for question in questions)]
    rest = len(lines) - MOST_PROBLEMS
    shown = [f"  {' '.join(line.split())}" for line in lines[:MOST_PROBLEMS]]
    if rest > 0:
        shown.append(f"  and {rest:,} more")
    return "\n".join([f"{' and '.join(counts)} about {source}, so {end}:", *shown])
