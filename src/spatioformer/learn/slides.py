"""Slides of a chapter for a teacher, made from its prose and figures.

A heading begins a slide. A figure has a slide of its own, at full size. Formulas, lists, tables,
code and bold sentences of the prose stand on the slide; the other prose is its speaker notes. The
questions of exercises are slides too, whose answer appears on the next key press.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from markdown_it import MarkdownIt

from spatioformer.learn.chapters import Chapter
from spatioformer.learn.facts import Facts, Language, Text
from spatioformer.learn.prose import ABSENT, Block, choices, hint, markdown

BOLD = re.compile(r"\*\*(.{25,}?)\*\*", re.DOTALL)  # a sentence, and not a number or a word
QUESTION = re.compile(r"\*\*\d+\.\*\*")
SENTENCE = re.compile(r"(?<=[.?!])\s+")
DISPLAY = 'class="display"'  # of a formula on its own
LEAD = 240  # characters of a paragraph that stands on a slide as a whole
SHOWN = {"bullet_list_open", "ordered_list_open", "table_open", "fence"}

KEYS = Text(
    "Estas páginas son diapositivas. Las flechas pasan de una a otra, N muestra las notas para "
    "quien enseña, y el botón de abajo a la derecha cambia la lengua. La respuesta de un ejercicio "
    "aparece con la tecla siguiente.",
    "These pages are slides. The arrows lead from one to the next, N shows the notes for the "
    "teacher, and the button at the bottom right changes the language. The answer of an exercise "
    "appears with the next key press.",
)
PRINT = Text(
    "Para un PDF, imprima la página desde un navegador y elija «guardar como PDF»: una diapositiva "
    "por página.",
    "For a PDF, print the page from a browser and choose “save as PDF”: one slide a page.",
)


@dataclass
class Slide:
    """A slide.

    Attributes:
        kind: "title", "section", "figure" or "question"; a class of page/slides.css.
        title: HTML.
        body: HTML of what stands on it.
        notes: Markdown of the speaker notes.
    """

    kind: str
    title: str
    body: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Deck:
    """The slides of a chapter in a language.

    Args:
        figure: gives the HTML of a figure by its name.
        note: HTML for the first slide.
    """

    def __init__(
        self, facts: Facts, language: Language, figure: Callable[[str], str], note: str = ""
    ):
        self.facts, self.language, self.figure, self.note = facts, language, figure, note
        self.slides: list[Slide] = []

    def add(self, blocks: Sequence[Block]) -> "Deck":
        """Append the slides of blocks of the prose."""
        for block in blocks:
            if block.kind == "text":
                for kind, words in pieces(block.words):
                    self._piece(kind, words)
            elif block.kind == "figure":
                self._room("figure").body.append(self.figure(block.words))
            elif block.kind == "answer":
                answer = "".join(self._html(each) for each in block.inside)
                self.slides[-1].body.append(f'<div class="answer">{answer}</div>')
            elif block.kind == "exercise":
                self._exercise(block)
            elif block.kind == "absent":
                self._room("section").body.append(self._html(block))
            else:
                self.add(block.inside)
        return self

    def _exercise(self, exercise: Block) -> None:
        """A slide with the question, its choices and, hidden, the answer; the hint is a note."""
        question = [block for block in exercise.inside if block.kind in ("text", "figure")]
        body = [f"<p><strong>{exercise.number}.</strong></p>", *map(self._html, question)]
        if listed := "".join(f"<li>{self._inline(words)}</li>" for words in choices(exercise)):
            body.append(f"<ol>{listed}</ol>")
        self.slides.append(Slide("question", self.slides[-1].title, body, [hint(exercise)]))
        self.add([block for block in exercise.inside if block.kind == "answer"])

    def _html(self, block: Block) -> str:
        if block.kind == "figure":
            return self.figure(block.words)
        if block.kind == "absent":
            return f'<p class="note">{escape(ABSENT.of(self.language))}</p>'
        return self._markdown(block.words) + "".join(self._html(each) for each in block.inside)

    def html(self) -> str:
        """All slides as elements of a page."""
        return "\n".join(self._section(each) for each in self.slides if each.body or each.notes)

    def _piece(self, kind: str, words: str) -> None:
        if kind == "heading_open":
            level = len(words) - len(words.lstrip("#"))
            title = self._inline(words.strip("# \n"))
            self.slides.append(Slide("title" if level == 1 else "section", title))
        elif QUESTION.match(words):
            self.slides.append(Slide("question", self.slides[-1].title, [self._markdown(words)]))
        elif kind in SHOWN or words.startswith("$$"):
            self._room("section").body.append(self._markdown(words))
        else:
            slide = self.slides[-1]
            slide.notes.append(words)
            for sentence in BOLD.findall(words):
                slide = self._room("section") if slide.kind == "figure" else slide
                slide.body.append(f'<p class="key">{self._inline(sentence)}</p>')

    def _room(self, kind: str) -> Slide:
        """The last slide if it has room, else a new one with its title."""
        last = self.slides[-1]
        alone = "figure" in (kind, last.kind)
        if last.kind in ("title", "question") or (alone and last.body):
            last = Slide(kind, last.title)
            self.slides.append(last)
        elif kind == "figure":
            last.kind = kind
        return last

    def _section(self, slide: Slide) -> str:
        notes = "".join(self._markdown(words) for words in slide.notes)
        body = "".join(slide.body)
        if slide.notes and all(DISPLAY in html for html in slide.body):
            body = f'<div class="lead">{self._markdown(lead(slide.notes[0]))}</div>{body}'
        if slide is self.slides[0]:
            body += self.note
        heading = "h1" if slide.kind == "title" else "h2"
        return (
            f'<section class="slide {slide.kind}"><{heading}>{slide.title}</{heading}>'
            f'<div class="frame"><div class="content">{body}</div></div>'
            f'<div class="notes" hidden>{notes}</div></section>'
        )

    def _markdown(self, words: str) -> str:
        return markdown(words, self.facts, self.language)

    def _inline(self, words: str) -> str:
        return markdown(words, self.facts, self.language, inline=True)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Paragraphs, headings, lists and tables of Markdown: the kind of token, and the words."""
    lines = text.splitlines()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.level == 0 and token.map is not None:
            yield token.type, "\n".join(lines[token.map[0] : token.map[1]]).strip()


def lead(paragraph: str) -> str:
    """A paragraph, or its first sentence if it is long."""
    return paragraph if len(paragraph) <= LEAD else SENTENCE.split(paragraph, maxsplit=1)[0]


def instructions(chapters: Sequence[Chapter], language: Language, *, with_pdf: bool) -> str:
    """HTML for the first page: the keys, and the PDF files or how to print."""
    links = " · ".join(
        f'<a href="{chapter.name}.{language}.pdf">{escape(chapter.title.of(language))}</a>'
        for chapter in chapters
    )
    print_ = f"PDF: {links}" if with_pdf else escape(PRINT.of(language))
    return f"<p>{escape(KEYS.of(language))}</p><p>{print_}</p>"
