"""The chapters in their order, and the function that computes the facts of each."""

from collections.abc import Callable
from dataclasses import dataclass

from spatioformer.learn.chapters import attention, patches, places, words
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


CHAPTERS = (
    Chapter("words", Text("1. Palabras", "1. Words"), words.facts),
    Chapter("attention", Text("2. Atención", "2. Attention"), attention.facts),
    Chapter("patches", Text("3. Parches", "3. Patches"), patches.facts),
    Chapter("places", Text("4. Lugares", "4. Places"), places.facts),
    Chapter("map", Text("5. Tu mapa", "5. Your map"), own_map.facts),
)
