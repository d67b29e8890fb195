"""What a look at files brings to light: decisions, questions and problems, all of them at once."""

from dataclasses import dataclass, field

from spatioformer.geo.plots.recognise import Decision, Question


@dataclass
class Findings:
    """Everything that is to be told about the files, in the order in which it was found.

    Attributes:
        decisions: what is set, and why: lines of a table.
        questions: what only the user can say, with the setting that answers it.
        problems: sentences with the value and the remedy.
    """

    decisions: list[Decision] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def decide(self, what: str, value: object, why: str) -> None:
        """Add a line to the table."""
        self.decisions.append(Decision(what, str(value), why))

    def ask(self, key: str, candidates: tuple[str, ...], why: str) -> None:
        """Add a question that the setting `key` answers."""
        self.questions.append(Question(key, candidates, why))

    def object(self, problem: str) -> None:
        """Add a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)
