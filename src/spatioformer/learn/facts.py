"""What a chapter computes: numbers, pictures, tables and tables that a reader changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from spatioformer.common.languages import Language, Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THIN = "\u202f"  # narrow space that does not break a line


@dataclass(frozen=True)
class Number:
    """A number, and the digits after the point with which it is printed."""

    value: float
    digits: int = 0
    percent: bool = False

    def of(self, language: Language) -> str:
        """As the language writes it: 3,813.5 in English; 3 813,5 in Spanish."""
        scale = 100 if self.percent else 1
        written = f"{scale * self.value:,.{self.digits}f}".replace("-", "−")
        if language == "es":
            written = written.replace(",", THIN).replace(".", ",")
        return f"{written}{THIN}%" if self.percent else written


Value = str | Text | Number


def shown(value: Value, language: Language) -> str:
    """A value in a language."""
    return value if isinstance(value, str) else value.of(language)


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn once for each language.

    Attributes:
        alt: what it shows, for readers who do not see it.
        caption: what to look at.
    """

    draw: "Callable[[Language], Figure]"
    alt: Text
    caption: Text


@dataclass(frozen=True)
class Table:
    """A table; cells that are a `Number` are aligned to the right."""

    header: Sequence[Value]
    rows: Sequence[Sequence[Value]]
    caption: Text


@dataclass(frozen=True)
class Widget:
    """A table that the reader changes; page/course.js draws it.

    Attributes:
        kind: "softmax": probabilities of the next token at a temperature. "hidden": the same
            without one of the words. "attention": the pattern of a layer and head.
        data: JSON values; what each kind needs is written in page/course.js.
    """

    kind: Literal["softmax", "hidden", "attention"]
    data: Mapping[str, Any]
    caption: Text


Shown = Picture | Table | Widget


@dataclass(frozen=True)
class Facts:
    """Everything that the prose of a chapter may name."""

    values: dict[str, Value] = field(default_factory=dict)
    figures: dict[str, Shown] = field(default_factory=dict)

    def __or__(self, other: "Facts") -> "Facts":
        twice = (set(self.values) & set(other.values)) | (set(self.figures) & set(other.figures))
        assert not twice, f"computed twice: {twice}"
        return Facts(self.values | other.values, self.figures | other.figures)
