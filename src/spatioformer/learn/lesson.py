"""What the notebooks of the course open: a chapter's models, its numbers and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TypeVar

from spatioformer.common.errors import ArgumentError
from spatioformer.common.files import user_cache
from spatioformer.common.languages import LANGUAGES
from spatioformer.common.progress import Console
from spatioformer.learn.chapters import CHAPTERS
from spatioformer.learn.exercises import check, exercise_of
from spatioformer.learn.facts import Facts, Language, shown
from spatioformer.learn.prose import ABSENT, flat
from spatioformer.learn.show import show_alone
from spatioformer.learn.texts import texts
from spatioformer.learn.tools import Tools, spanish_model

T = TypeVar("T")


@dataclass(frozen=True)
class Display:
    """HTML that a notebook shows."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


class Lesson:
    """A chapter with its models.

    Args:
        chapter: its name, such as "words".
        language: of what is shown, "es" or "en".

    Raises:
        ArgumentError: there is no such chapter or language.
    """

    def __init__(self, chapter: str, language: Language = "es"):
        chapters = {each.name: each for each in CHAPTERS}
        for given, known in ((chapter, chapters), (language, LANGUAGES)):
            if given not in known:
                raise ArgumentError(f"{given!r} is not in the course; give one of {list(known)}")
        self.chapter, self.language = chapters[chapter], language

    @cached_property
    def tools(self) -> Tools:
        """The models of the course; the first time, some are trained and kept."""
        return open_tools(Console())

    @cached_property
    def facts(self) -> Facts:
        """All numbers and figures of the chapter, as its page shows them."""
        return self.chapter.facts(self.tools)

    def numbers(self, *names: str) -> None:
        """Print values of the chapter; without the Spanish corpus, say which need it.

        Raises:
            ArgumentError: the chapter has no such value.
        """
        for name in names:
            value = self._of(self.facts.values, name)
            text = ABSENT.of(self.language) if value is None else shown(value, self.language)
            print(f"{name} = {text}")

    def figure(self, name: str) -> Display:
        """A figure of the chapter; without the Spanish corpus, a note where it needs it.

        Raises:
            ArgumentError: the chapter has no such figure.
        """
        if self._of(self.facts.figures, name) is None:
            return Display(f"<p>{escape(ABSENT.of(self.language))}</p>")
        return Display(show_alone(name, self.facts, self.language))

    def check(self, number: int, answer: float | str) -> None:
        """Print whether an answer to an exercise is right, else a hint.

        Args:
            number: of the exercise in the chapter, from 1.
            answer: as `exercises.check` takes it.

        Raises:
            ArgumentError: there is no such exercise, or the answer is no number.
        """
        name = self.chapter.name
        exercise = exercise_of(name, number, self.language)
        if self._of(self.facts.values, exercise.words) is None:
            print(ABSENT.of(self.language))
            return
        print(check(name, number, answer, language=self.language, facts=self.facts))

    def _of(self, known: Mapping[str, T], name: str) -> T | None:
        in_prose = {
            word
            for block in flat(texts(self.chapter.name)["en"])
            for word in (block.words, *block.names())
        }
        if name not in known and (self.tools.spanish is not None or name not in in_prose):
            raise ArgumentError(
                f"the chapter {self.chapter.name} has no {name!r}; give one of {sorted(known)}"
            )
        return known.get(name)


def open_tools(console: Console) -> Tools:
    """The models, in the user's cache folder, as `spatioformer learn` has them."""
    cache = user_cache() / "learn"
    return Tools(spanish_model(cache, console), cache, console)
