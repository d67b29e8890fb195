"""Each chapter as a Jupyter notebook in each language, from its prose and from cells/NAME.py.

Prose becomes Markdown. A number that the prose names stays a name, `cosine_queen`, which is a
variable of the code cell that follows. cells/NAME.py holds this code in cells:

| line | begins |
|---|---|
| `# %% setup` | the imports and models, before all prose |
| `# %% figure NAME` | what stands in place of the figure NAME |
| `# %% values` | code that comes after the first prose which names one of its variables |
| `# es: ...`, `# en: ...` | a comment of one language |

What has no cell is shown by `Lesson`, so a chapter without a file is a notebook too.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_text
from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.chapters import CHAPTERS, Chapter
from spatioformer.learn.facts import Language, Text
from spatioformer.learn.forms import TITLE
from spatioformer.learn.glossary import terms
from spatioformer.learn.prose import ANSWER, Block, choices, flat
from spatioformer.learn.texts import resource, resource_exists, texts

CELL = re.compile(r"^# %% (setup|values|figure \w+)\n", re.MULTILINE)
REMARK = re.compile(r"^( *)# (es|en): (.*)\n", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\(([\w.]+?)\.html(?:#(\w+))?\)")
PART = re.compile(r"^(?=##? )|(^```\n(?:\{\{ \w+ \}\}\n)+```$)", re.MULTILINE)
"""Where a section begins, or commands or what they print, which have names."""
FENCE = re.compile(r"```.*```", re.DOTALL)
INTRODUCTION = Text(
    "Cuaderno del curso de Spatioformer. Ejecute las celdas de arriba abajo. Un nombre como "
    "`{name}` en el texto es una variable de la celda de código que sigue. Cambie el código y "
    "ejecute otra vez.",
    "Notebook of the course of Spatioformer. Run the cells from top to bottom. A name such as "
    "`{name}` in the text is a variable of the next code cell. Change the code and run it again.",
)
TERMS = Text("Términos", "Terms")
YOURS = Text("answer = 1  # escriba aquí la suya", "answer = 1  # write yours here")

Cell = tuple[str, str]
"""Its kind, "markdown" or "code", and its source."""


@dataclass
class Cells:
    """The code of a chapter; `take` gives each cell once.

    Attributes:
        left: cells that no prose and no figure has asked for yet, by their first line.
    """

    setup: str = ""
    left: list[Cell] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, source: str) -> "Cells":
        parts = CELL.split(source)[1:]
        cells = list(zip(parts[::2], (code.strip() for code in parts[1::2]), strict=True))
        setup = "\n".join(code for kind, code in cells if kind == "setup")
        return cls(setup, [cell for cell in cells if cell[0] != "setup"], assigned(setup))

    def figure(self, name: str) -> str:
        """The code in place of a figure."""
        return self._take(f"figure {name}") or f'lesson.figure("{name}")'

    def values(self, names: Sequence[str]) -> Iterator[str]:
        """The code after prose that names values, where no cell has defined them."""
        for name in names:
            for cell in self.left:
                if cell[0] == "values" and name in assigned(cell[1]) - self.defined:
                    yield self._take(*cell)
                    break
        later = set.union(set(), *(assigned(code) for kind, code in self.left if kind != "values"))
        others = [name for name in names if name not in self.defined | later]
        if others:
            self.defined |= set(others)
            yield f"lesson.numbers({', '.join(json.dumps(name) for name in others)})"

    def _take(self, kind: str, code: str | None = None) -> str:
        for cell in self.left:
            if cell[0] == kind and code in (None, cell[1]):
                self.left.remove(cell)
                self.defined |= assigned(cell[1])
                return cell[1]
        return ""


def assigned(code: str) -> set[str]:
    """Names of the variables that a piece of code assigns, not those inside functions."""
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(code)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.comprehension):
            nodes += ast.iter_child_nodes(node)
    return names


def write_notebooks(folder: Path, chapters: Sequence[Chapter] = CHAPTERS) -> list[Path]:
    """Write NAME.es.ipynb and NAME.en.ipynb of each chapter, without outputs.

    Args:
        folder: absent or empty, so that no notebook that a student changed is replaced.

    Returns:
        The files.

    Raises:
        OutputError: the folder has something in it, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not empty; name a new folder for the notebooks")
    paths = []
    for chapter in chapters:
        for language in LANGUAGES:
            paths.append(folder / f"{chapter.name}.{language}.ipynb")
            write_text(paths[-1], as_json(cells_of(chapter.name, language)))
    return paths


def cells_of(chapter: str, language: Language) -> list[Cell]:
    """The cells of a notebook: ("markdown" or "code", source)."""
    cells, _ = compose(chapter, language)
    return cells


def compose(chapter: str, language: Language) -> tuple[list[Cell], Cells]:
    """The cells of a notebook, and the code of cells/NAME.py with what no prose has asked for."""
    blocks = texts(chapter)[language]
    file = ("cells", f"{chapter}.py")
    code = Cells.of(_of_language(resource(*file), language) if resource_exists(*file) else "")
    names = [name for block in flat(blocks) for name in block.names()]
    opening = (
        "from spatioformer.learn.lesson import Lesson\n\n"
        f'lesson = Lesson("{chapter}", "{language}")'
    )
    introduction = INTRODUCTION.of(language).format(name=(names or ["x"])[0])
    cells = [("markdown", introduction), ("code", opening)]
    cells += [("code", code.setup)] if code.setup else []
    cells += _cells(blocks, code, language)
    return [*cells, *_terms(blocks, language)], code


def _cells(blocks: Sequence[Block], code: Cells, language: Language) -> Iterator[Cell]:
    for block in blocks:
        if block.kind == "figure":
            yield "code", code.figure(block.words)
        elif block.kind == "text":
            for section in filter(str.strip, filter(None, PART.split(block.words))):
                names = Block("text", section).names()
                if not FENCE.fullmatch(section.strip()):
                    yield "markdown", markdown(section, language)
                yield from (("code", cell) for cell in code.values(names))
        elif block.kind == "answer":
            yield from _folded(list(_cells(block.inside, code, language)), language)
        elif block.kind == "exercise":
            yield from _exercise(block, code, language)
        else:
            yield from _cells(block.inside, code, language)


def _folded(inside: Sequence[Cell], language: Language) -> Iterator[Cell]:
    """An answer that the reader unfolds, and then its code."""
    words = "\n\n".join(source for kind, source in inside if kind == "markdown")
    summary = f"<summary>{ANSWER.of(language)}</summary>"
    yield "markdown", f"<details>{summary}\n\n{words}\n\n</details>"
    yield from (cell for cell in inside if cell[0] == "code")


def _exercise(exercise: Block, code: Cells, language: Language) -> Iterator[Cell]:
    """The question with its choices, a cell that checks an answer, and the answer."""
    question, answer = (
        [block for block in exercise.inside if (block.kind == "answer") == is_answer]
        for is_answer in (False, True)
    )
    inside = list(_cells([block for block in question if block.kind != "hint"], code, language))
    words = [source for kind, source in inside if kind == "markdown"]
    listed = "\n".join(f"{i}. {markdown(c, language)}" for i, c in enumerate(choices(exercise), 1))
    title = TITLE.of(language).format(number=exercise.number)
    yield "markdown", "\n\n".join([f"**{title}**", *words, *([listed] if listed else [])])
    yield from (cell for cell in inside if cell[0] == "code")
    yield "code", f"{YOURS.of(language)}\nlesson.check({exercise.number}, answer)"
    yield from _cells(answer, code, language)


def markdown(text: str, language: Language) -> str:
    """Prose as Markdown of a notebook: values by their names, links to other notebooks."""

    def link(match: re.Match[str]) -> str:
        words, page, _ = match.groups()
        known = page in {chapter.name for chapter in CHAPTERS}
        return f"[{words}]({page}.{language}.ipynb)" if known else f"*{words}*"

    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", r"`\1`", text)
    return LINK.sub(link, text).strip()


def _terms(blocks: Sequence[Block], language: Language) -> Iterator[Cell]:
    """A last cell with the terms of the glossary that the chapter links."""
    linked = dict.fromkeys(
        match[3]
        for block in flat(blocks)
        for match in LINK.finditer(block.words)
        if match[2] == "glossary" and match[3]
    )
    entries = {term.identifier: term for term in terms()}
    lines = [
        f"- **{entries[each].name.of(language)}**: {entries[each].meaning.of(language)}"
        for each in linked
        if each in entries
    ]
    if lines:
        yield "markdown", f"## {TERMS.of(language)}\n\n" + "\n".join(lines)


def _of_language(source: str, language: Language) -> str:
    def remark(match: re.Match[str]) -> str:
        return f"{match[1]}# {match[3]}\n" if match[2] == language else ""

    return REMARK.sub(remark, source)


def as_json(cells: Sequence[Cell]) -> str:
    """A notebook of format 4.5 with outputs cleared; the same cells give the same text."""
    empty: dict[str, dict[str, Any]] = {
        "markdown": {},
        "code": {"execution_count": None, "outputs": []},
    }
    made = [
        {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
        }
        | empty[kind]
        for number, (kind, source) in enumerate(cells)
    ]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
