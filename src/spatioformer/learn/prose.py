"""The prose of a chapter: Markdown with names of facts, turned into HTML.

| in the text | becomes |
|---|---|
| `{{ name }}` | the number or word of that name |
| `$formula$`, `$$formula$$` | a drawn formula, in the line or on its own |
| `::figure name` | the picture, table or widget of that name |
| `::answer` ... `::end` | an answer that the reader unfolds |
| `::spanish` ... `::end` | what needs the Spanish model; without it, a note that says so |

A line that begins with `::` stands alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from markdown_it import MarkdownIt

from spatioformer.common.formulas import svg
from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.facts import Facts, Language, Text, shown

NAME = re.compile(r"\{\{\s*(\w+)\s*\}\}")
DISPLAY, INLINE = re.compile(r"\$\$(.+?)\$\$", re.DOTALL), re.compile(r"\$([^$\n]+?)\$")
MARK = re.compile("\x02(\\d+)\x03")  # stands for finished HTML while Markdown is read
ANSWER = Text("Respuesta", "Answer")
ABSENT = Text(
    "Esta parte necesita el modelo en español, que se entrena con la Reina-Valera de 1909. No está "
    "instalada aquí: instale sword-text-sparv (en Debian y Ubuntu, apt-get install "
    "sword-text-sparv) y ejecute otra vez spatioformer learn, o dé un modelo suyo con --model.",
    "This part needs the Spanish model, which is trained on the Reina-Valera Bible of 1909. It is "
    "not installed here: install sword-text-sparv (on Debian and Ubuntu, apt-get install "
    "sword-text-sparv) and run spatioformer learn again, or give a model of yours with --model.",
)


class CourseError(Exception):
    """A defect of the course: its texts and its facts disagree. Not an error of the reader."""


@dataclass(frozen=True)
class Block:
    """A piece of a text: kind "text" has lines, "figure" a name, the others have blocks inside."""

    kind: str
    words: str = ""
    inside: list["Block"] = field(default_factory=list)


def parse(text: str) -> list[Block]:
    """Blocks of a text.

    Raises:
        CourseError: a line with `::` is not one of those above, or a block does not end.
    """
    stack: list[list[Block]] = [[]]
    opened: list[str] = []
    lines: list[str] = []

    def flush() -> None:
        if "".join(lines).strip():
            stack[-1].append(Block("text", "\n".join(lines)))
        lines.clear()

    for line in text.splitlines():
        if not line.startswith("::"):
            lines.append(line)
            continue
        flush()
        match line[2:].split():
            case ["figure", name]:
                stack[-1].append(Block("figure", name))
            case ["answer" | "spanish" as kind]:
                opened.append(kind)
                stack.append([])
            case ["end"] if opened:
                inside = stack.pop()
                stack[-1].append(Block(opened.pop(), inside=inside))
            case _:
                raise CourseError(f"{line!r} is no block")
    flush()
    if opened:
        raise CourseError(f"::{opened[-1]} has no ::end")
    return stack[0]


def without_spanish(blocks: Sequence[Block]) -> list[Block]:
    """The same blocks, with a note in place of those that need the Spanish model."""
    return [
        Block("absent")
        if block.kind == "spanish"
        else Block(block.kind, block.words, without_spanish(block.inside))
        for block in blocks
    ]


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from _flat(block.inside)


def figures(blocks: Sequence[Block]) -> list[str]:
    """Names of the figures, in their order."""
    return [block.words for block in _flat(blocks) if block.kind == "figure"]


def check(chapter: str, texts: dict[Language, list[Block]], facts: Facts) -> None:
    """Check that texts and facts agree.

    Raises:
        CourseError: a text names what is not computed, no text uses what is computed, or the
            languages show other figures or another order.
    """
    used: dict[Language, set[str]] = {}
    for language in LANGUAGES:
        blocks = list(_flat(texts[language]))
        used[language] = {name for block in blocks for name in NAME.findall(block.words)}
        for kind, names, given in (
            ("value", used[language], facts.values.keys()),
            ("figure", set(figures(texts[language])), facts.figures.keys()),
        ):
            if absent := sorted(names - given):
                raise CourseError(f"{chapter}.{language}.md names {kind} {absent}: not computed")
            if kind == "figure" and (unused := sorted(given - names)):
                raise CourseError(f"{chapter}.{language}.md does not show the figure {unused}")
    if unused := sorted(facts.values.keys() - set.union(*used.values())):
        raise CourseError(f"no text of {chapter} uses the value {unused}")
    shown_in = {language: figures(texts[language]) for language in LANGUAGES}
    if shown_in["es"] != shown_in["en"]:
        raise CourseError(f"the texts of {chapter} show other figures: {shown_in}")


def render(
    blocks: Sequence[Block], facts: Facts, language: Language, figure: Callable[[str], str]
) -> str:
    """HTML of a text.

    Args:
        figure: gives the HTML of a figure by its name.
    """
    parts = []
    for block in blocks:
        if block.kind == "text":
            parts.append(markdown(block.words, facts, language))
        elif block.kind == "figure":
            parts.append(figure(block.words))
        elif block.kind == "absent":
            parts.append(f'<p class="note">{escape(ABSENT.of(language))}</p>')
        else:
            inside = render(block.inside, facts, language, figure)
            if block.kind == "answer":
                summary = escape(ANSWER.of(language))
                inside = f"<details><summary>{summary}</summary>{inside}</details>"
            parts.append(inside)
    return "\n".join(parts)


def markdown(text: str, facts: Facts, language: Language) -> str:
    """HTML of Markdown with names and formulas.

    Names and formulas are put in after Markdown was read, so that a token such as `*` is itself.
    """
    finished: list[str] = []

    def keep(html: str) -> str:
        finished.append(html)
        return f"\x02{len(finished) - 1}\x03"

    def value(match: re.Match[str]) -> str:
        return keep(escape(shown(facts.values[match[1]], language)))

    text = NAME.sub(value, text)
    text = DISPLAY.sub(lambda m: keep(f'<span class="display">{svg(m[1])}</span>'), text)
    text = INLINE.sub(lambda m: keep(svg(m[1])), text)
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = html.replace("<table>", '<div class="wide"><table>').replace(
        "</table>", "</table></div>"
    )
    return MARK.sub(lambda match: finished[int(match[1])], html)
