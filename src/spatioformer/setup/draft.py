"""A configuration that is being written: its values, and for each the reason a person reads."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from spatioformer.setup.findings import Findings
from spatioformer.setup.yaml_text import commented

ORDER = ("name", "out", "title", "seed", "target", "plots", "imagery", "model", "train", "evaluate")
"""Keys of a configuration in the order of the file; others come after them."""


@dataclass
class Draft:
    """Values of a configuration with their reasons.

    Attributes:
        values: nested, as YAML holds them.
        comments: dotted key -> the comment beside it.
        hints: dotted key of a section -> lines of comment at its end.
        findings: the table of decisions, the questions and the problems.
    """

    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def put(self, key: str, value: Any, comment: str = "") -> None:
        """Set a value, with a comment for the file."""
        *parents, last = key.split(".")
        node = self.values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
        if comment:
            self.comments[key] = comment

    def decide(self, key: str, value: Any, why: str, shown: str = "", comment: str = "") -> None:
        """Set a value, with a reason for the table and, unless `comment` is given, for the file."""
        self.put(key, value, comment or why)
        self.findings.decide(key, shown or _shown(value), why)

    def hint(self, key: str, line: str) -> None:
        """Add a line of comment at the end of a section."""
        before = self.hints.get(key, "")
        self.hints[key] = f"{before}\n{line}" if before else line

    def text(self, head: Iterable[str]) -> str:
        """The YAML file, with lines of comment above it."""
        above = "".join(f"# {line}\n" for line in head)
        ordered = sorted(self.values, key=lambda key: ORDER.index(key) if key in ORDER else 99)
        values = {key: self.values[key] for key in ordered}
        return above + commented(values, self.comments, self.hints)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
