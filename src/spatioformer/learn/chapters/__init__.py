"""The chapters in their order, and the function that computes the facts of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from spatioformer.learn.chapters import answers, attention, patches, places, played, words
from spatioformer.learn.chapters import map as own_map
from spatioformer.learn.facts import Facts, Text
from spatioformer.learn.tools import Tools


@dataclass(frozen=True)
class Chapter:
    """A chapter.

    Attributes:
        name: of its page NAME.html, and of its prose text/NAME.es.md and text/NAME.en.md.
        title: in the list of chapters.
        facts: computes all that its prose names.
    """

    name: str
    title: Text
    facts: Callable[[Tools], Facts]


def together(*parts: Callable[[Tools], Facts]) -> Callable[[Tools], Facts]:
    """Facts of several functions."""

    def facts(tools: Tools) -> Facts:
        return reduce(or_, (part(tools) for part in parts))

    return facts


CHAPTERS = (
    Chapter("words", Text("1. Palabras", "1. Words"), together(words.facts, answers.words)),
    Chapter(
        "attention",
        Text("2. Atención", "2. Attention"),
        together(attention.facts, played.sentence, answers.attention),
    ),
    Chapter("patches", Text("3. Parches", "3. Patches"), together(patches.facts, answers.patches)),
    Chapter(
        "places",
        Text("4. Lugares", "4. Places"),
        together(places.facts, played.place, answers.places),
    ),
    Chapter("map", Text("5. Tu mapa", "5. Your map"), together(own_map.facts, answers.own_map)),
)
