"""Write the site of the course: pages, figures, one style sheet and one script."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_text, writing_folder
from spatioformer.common.languages import LANGUAGES
from spatioformer.common.palette import css
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.learn.chapters import CHAPTERS, Chapter
from spatioformer.learn.facts import Facts, Language, Text
from spatioformer.learn.glossary import sorted_terms
from spatioformer.learn.prose import Block, check, parse, render, without_spanish
from spatioformer.learn.show import FOLDER, show
from spatioformer.learn.tools import Tools

HOME = Chapter("index", Text("Inicio", "Start"), lambda tools: Facts())
GLOSSARY = Chapter("glossary", Text("Glosario", "Glossary"), lambda tools: Facts())
HERE = files("spatioformer.learn")


@dataclass(frozen=True)
class Page:
    """A page in both languages; its file is NAME.html."""

    chapter: Chapter
    bodies: dict[Language, str]


def build(
    folder: str | Path,
    tools: Tools,
    *,
    language: Language = "es",
    chapters: Sequence[Chapter] = CHAPTERS,
    console: Console = SILENT,
) -> Path:
    """Write the site and return its first page.

    Args:
        folder: to write; an earlier site there is replaced.
        language: in which pages open, until the reader chooses.

    Raises:
        OutputError: the folder cannot be written, or holds something else than a site.
        ModelError: a model that the chapters need is not installed.
        CourseError: a text and its facts disagree, which is a defect of the course.
    """
    folder = Path(folder)
    check_replaceable(folder)
    with writing_folder(folder) as part:
        (part / FOLDER).mkdir()
        pages = [
            _page(part, chapter, tools)
            for chapter in console.track([HOME, *chapters], "course", len(chapters) + 1)
        ]
        pages.append(Page(GLOSSARY, dict.fromkeys(LANGUAGES, "")))
        for page in pages:
            write_text(part / f"{page.chapter.name}.html", _html(page, pages, language))
        write_text(part / "course.css", css() + _resource("page", "course.css"))
        write_text(part / "course.js", _resource("page", "course.js"))
    return folder / "index.html"


def check_replaceable(folder: Path) -> None:
    """Check that a folder is absent, empty, or an earlier site.

    Raises:
        OutputError: it holds something else.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)
    elif folder.exists() and not (folder / "course.js").is_file():
        raise OutputError(
            f"{folder} exists and is no site of the course; give another folder with -o"
        )


def texts(chapter: str) -> dict[Language, list[Block]]:
    """The prose of a chapter, in blocks."""
    return {each: parse(_resource("text", f"{chapter}.{each}.md")) for each in LANGUAGES}


def _page(site: Path, chapter: Chapter, tools: Tools) -> Page:
    facts = chapter.facts(tools)
    blocks = texts(chapter.name)
    if tools.spanish is None:
        blocks = {each: without_spanish(blocks[each]) for each in LANGUAGES}
    check(chapter.name, blocks, facts)

    def body(language: Language) -> str:
        def figure(name: str) -> str:
            return show(site, chapter.name, name, facts, language)

        return render(blocks[language], facts, language, figure)

    return Page(chapter, {each: body(each) for each in LANGUAGES})


def _html(page: Page, pages: list[Page], language: Language) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    place = pages.index(page)
    return environment.from_string(_resource("page", "page.html")).render(
        page=page.chapter,
        bodies=page.bodies,
        chapters=[other.chapter for other in pages],
        following=pages[place + 1].chapter if place + 1 < len(pages) else None,
        terms={each: sorted_terms(each) for each in LANGUAGES} if page.chapter is GLOSSARY else {},
        languages=LANGUAGES,
        language=language,
        version=__version__,
    )


def _resource(*names: str) -> str:
    return HERE.joinpath(*names).read_text(encoding="utf-8")
