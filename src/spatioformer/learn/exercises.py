"""Exercises of the chapters, whose answers are computed: a check for terminals and notebooks.

    >>> from spatioformer.learn.exercises import check
    >>> check("attention", 1, 4, language="en")  # doctest: +SKIP
    Right.

page/exercises.js checks answers in the page by the same rules.
"""

import math
import re
from dataclasses import dataclass
from functools import cache
from numbers import Real

from spatioformer.common.errors import ArgumentError
from spatioformer.common.files import user_cache
from spatioformer.common.languages import LANGUAGES
from spatioformer.common.progress import Console
from spatioformer.learn.chapters import CHAPTERS
from spatioformer.learn.facts import Facts, Language, Number, Text, shown
from spatioformer.learn.prose import ABSENT, NAME, Block, choices, exercises, hint
from spatioformer.learn.texts import texts
from spatioformer.learn.tools import Tools, spanish_model

ROUNDING = 1e-9  # of an answer that must be exact
RIGHT, WRONG = Text("Correcto.", "Right."), Text("No. Pista: {hint}", "No. Hint: {hint}")


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and a sentence that says so."""

    right: bool
    sentence: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.sentence


def check(
    chapter: str,
    number: int,
    answer: float | str,
    *,
    language: Language = "es",
    facts: Facts | None = None,
) -> Verdict:
    """Check an answer to an exercise.

    Args:
        chapter: its name, such as "attention".
        number: of the exercise in its chapter, from 1.
        answer: a number, or its text as a person writes it ("0,37"); of a percentage, 37 stands
            for 37 %; of choices, the number of the choice, from 1.
        language: of the sentence.
        facts: of the chapter; None: compute them once, with the models of this machine.

    Raises:
        ArgumentError: there is no such chapter, exercise or choice, the answer is no number, or the
            exercise needs the Spanish model, which is absent.
    """
    exercise = exercise_of(chapter, number, language)
    values = _readings_of(answer)
    count = len(choices(exercise))
    if count and values[0] not in range(1, count + 1):
        raise ArgumentError(
            f"exercise {number} of {chapter} has the choices 1 to {count}; give one of them "
            f"instead of {answer!r}"
        )
    facts = _facts(chapter) if facts is None else facts
    if exercise.words not in facts.values:
        raise ArgumentError(f"exercise {number} of {chapter}: {ABSENT.of(language)}")
    if any(is_right(exercise, value, facts) for value in values):
        return Verdict(True, RIGHT.of(language))
    return Verdict(False, WRONG.of(language).format(hint=_hint(exercise, facts, language)))


def is_right(exercise: Block, value: float, facts: Facts) -> bool:
    """Whether a number, in the unit in which the answer is printed, is within the tolerance."""
    return abs(value - expected(exercise, facts)) <= exercise.tolerance + ROUNDING


def expected(exercise: Block, facts: Facts) -> float:
    """The answer, in the unit in which it is printed: a percentage is 0 to 100."""
    answer = facts.values[exercise.words]
    assert isinstance(answer, Number), "checked when the course is built"
    return answer.value * (100 if answer.percent else 1)


def readings(text: str) -> list[float]:
    """Numbers that a text may mean; "1,500" is 1.5 in Spanish and 1500 in English.

    Returns:
        One number or two; none: the text is no number.
    """
    plain = re.sub(r"[\s%]", "", text).replace("−", "-")
    if not re.fullmatch(r"[-+]?(\d+([.,]\d+)*|[.,]\d+)", plain):
        return []
    signs = re.findall(r"[.,]", plain)
    numbers = []
    if len(signs) == 1 or (len(set(signs)) == 2 and signs.count(signs[-1]) == 1):
        whole, _, part = plain.rpartition(signs[-1])
        numbers.append(float(f"{re.sub('[.,]', '', whole)}.{part}"))
    if re.fullmatch(r"[-+]?\d{1,3}(([.]\d{3})*|(,\d{3})*)", plain) or not signs:
        numbers.append(float(re.sub("[.,]", "", plain)))
    return numbers


def _readings_of(answer: float | str) -> list[float]:
    if isinstance(answer, str):
        numbers = readings(answer)
    else:
        is_number = isinstance(answer, Real) and not isinstance(answer, bool)
        numbers = [float(answer)] if is_number and math.isfinite(answer) else []
    if not numbers:
        raise ArgumentError(f"{answer!r} is no number; give an answer such as 0.37 or '0,37'")
    return numbers


def exercise_of(chapter: str, number: int, language: Language) -> Block:
    """An exercise of a chapter.

    Raises:
        ArgumentError: there is no such chapter, language or exercise.
    """
    names = [each.name for each in CHAPTERS]
    for given, known in ((chapter, names), (language, LANGUAGES)):
        if given not in known:
            raise ArgumentError(f"{given!r} is not in the course; give one of {list(known)}")
    blocks = exercises(texts(chapter)[language])
    if number not in range(1, len(blocks) + 1):
        raise ArgumentError(
            f"{chapter} has the exercises 1 to {len(blocks)}; give one of them instead of {number}"
        )
    return blocks[number - 1]


@cache
def _facts(chapter: str) -> Facts:
    """Facts of a chapter, with the models of this machine."""
    folder, console = user_cache() / "learn", Console()
    tools = Tools(spanish_model(folder, console), folder, console)
    (facts,) = (each.facts(tools) for each in CHAPTERS if each.name == chapter)
    return facts


def _hint(exercise: Block, facts: Facts, language: Language) -> str:
    """Words of the hint, as plain text."""
    words = NAME.sub(lambda match: shown(facts.values[match[1]], language), hint(exercise))
    return words.replace("*", "")
