"""The prose of a chapter: Markdown with names of facts, turned into HTML.

| in the text | becomes |
|---|---|
| `{{ name }}` | the number or word of that name |
| `$formula$`, `$$formula$$` | a drawn formula, in the line or on its own |
| `::figure name` | the picture, table or widget of that name |
| `::answer` ... `::end` | an answer that the reader unfolds |
| `::spanish` ... `::end` | what needs the Spanish model; without it, a note that says so |
| `::exercise NAME TOLERANCE` ... `::end` | an exercise, whose answer is the number of that name |
| `::choice words` | in an exercise: a choice; NAME is then the number of the right one, from 1 |
| `::hint words` | in an exercise: what a reader is told after a wrong answer |

A line that begins with `::` stands alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape

from markdown_it import MarkdownIt

from spatioformer.common.formulas import svg
from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.facts import Facts, Language, Number, Text, shown

NUMBER = re.compile(r"\d+(\.\d+)?")
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
    """A piece of a text.

    Attributes:
        kind: "text" has lines, "figure" and "exercise" a name, "choice" and "hint" a line.
        inside: the blocks of an "answer", "spanish" or "exercise".
        number: of an exercise in its chapter, from 1.
        tolerance: of an exercise, in the unit in which its answer is printed.
    """

    kind: str
    words: str = ""
    inside: list["Block"] = field(default_factory=list)
    number: int = 0
    tolerance: float = 0.0

    def names(self) -> list[str]:
        """Names of the values in the words of the block, each once."""
        return list(dict.fromkeys(NAME.findall(self.words)))


def parse(text: str) -> list[Block]:
    """Blocks of a text.

    Raises:
        CourseError: a line with `::` is not one of those above, or a block does not end.
    """
    stack: list[list[Block]] = [[]]
    opened: list[Block] = []
    lines: list[str] = []
    exercises = 0

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
            case ["choice" | "hint" as kind, *words] if words:
                stack[-1].append(Block(kind, " ".join(words)))
            case ["answer" | "spanish" as kind]:
                opened.append(Block(kind))
                stack.append([])
            case ["exercise", name, tolerance] if NUMBER.fullmatch(tolerance):
                exercises += 1
                opened.append(Block("exercise", name, [], exercises, float(tolerance)))
                stack.append([])
            case ["end"] if opened:
                inside = stack.pop()
                stack[-1].append(replace(opened.pop(), inside=inside))
            case _:
                raise CourseError(f"{line!r} is no block")
    flush()
    if opened:
        raise CourseError(f"::{opened[-1].kind} has no ::end")
    return stack[0]


def without_spanish(blocks: Sequence[Block]) -> list[Block]:
    """The same blocks, with a note in place of those that need the Spanish model."""
    return [
        Block("absent")
        if block.kind == "spanish"
        else replace(block, inside=without_spanish(block.inside))
        for block in blocks
    ]


def flat(blocks: Sequence[Block]) -> Iterator[Block]:
    """All blocks, also those inside others."""
    for block in blocks:
        yield block
        yield from flat(block.inside)


def figures(blocks: Sequence[Block]) -> list[str]:
    """Names of the figures, in their order."""
    return [block.words for block in flat(blocks) if block.kind == "figure"]


def exercises(blocks: Sequence[Block]) -> list[Block]:
    """The exercises, in their order."""
    return [block for block in flat(blocks) if block.kind == "exercise"]


def check(chapter: str, texts: dict[Language, list[Block]], facts: Facts) -> None:
    """Check that texts and facts agree.

    Raises:
        CourseError: a text names what is not computed, no text uses what is computed, or the
            languages show other figures or another order.
    """
    used: dict[Language, set[str]] = {}
    for language in LANGUAGES:
        blocks = list(flat(texts[language]))
        used[language] = {name for block in blocks for name in block.names()}
        used[language] |= {block.words for block in exercises(texts[language])}
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
    _check_exercises(chapter, {each: exercises(texts[each]) for each in LANGUAGES}, facts)


def _check_exercises(chapter: str, given: dict[Language, list[Block]], facts: Facts) -> None:
    asked = {
        language: [(each.words, each.tolerance, len(choices(each))) for each in given[language]]
        for language in LANGUAGES
    }
    if asked["es"] != asked["en"]:
        raise CourseError(f"the texts of {chapter} have other exercises: {asked}")
    for each in [*given["es"], *given["en"]]:
        kinds = [block.kind for block in each.inside]
        if not ({"text", "hint", "answer"} <= set(kinds) and kinds.count("hint") == 1):
            raise CourseError(
                f"exercise {each.number} of {chapter} lacks a question, hint or answer"
            )
        value, count = facts.values[each.words], len(choices(each))
        if not isinstance(value, Number) or (count and value.value not in range(1, count + 1)):
            raise CourseError(f"{each.words} of {chapter} is no number, or none of the choices")


def choices(exercise: Block) -> list[str]:
    """What the reader of an exercise chooses among; empty: the reader gives a number."""
    return [block.words for block in exercise.inside if block.kind == "choice"]


def hint(exercise: Block) -> str:
    """What the reader of an exercise is told after a wrong answer."""
    return next(block.words for block in exercise.inside if block.kind == "hint")


def render(
    blocks: Sequence[Block],
    facts: Facts,
    language: Language,
    figure: Callable[[str], str],
    exercise: Callable[[Block, str, str], str],
) -> str:
    """HTML of a text.

    Args:
        figure: gives the HTML of a figure by its name.
        exercise: gives the HTML of an exercise, from that of its question and of its answer.
    """

    def inner(blocks: Sequence[Block]) -> str:
        return render(blocks, facts, language, figure, exercise)

    parts = []
    for block in blocks:
        if block.kind == "text":
            parts.append(markdown(block.words, facts, language))
        elif block.kind == "figure":
            parts.append(figure(block.words))
        elif block.kind == "absent":
            parts.append(f'<p class="note">{escape(ABSENT.of(language))}</p>')
        elif block.kind == "exercise":
            kept = [each for each in block.inside if each.kind not in ("choice", "hint", "answer")]
            answers = [each for each in block.inside if each.kind == "answer"]
            parts.append(exercise(block, inner(kept), inner(answers)))
        elif block.kind == "answer":
            summary = escape(ANSWER.of(language))
            inside = inner(block.inside)
            parts.append(f"<details><summary>{summary}</summary>{inside}</details>")
        else:
            parts.append(inner(block.inside))
    return "\n".join(parts)


def markdown(text: str, facts: Facts, language: Language, *, inline: bool = False) -> str:
    """HTML of Markdown with names and formulas; `inline`: of a heading or sentence alone.

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
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    html = parser.renderInline(text) if inline else parser.render(text)
    html = html.replace("<table>", '<div class="wide"><table>').replace(
        "</table>", "</table></div>"
    )
    return MARK.sub(lambda match: finished[int(match[1])], html)
