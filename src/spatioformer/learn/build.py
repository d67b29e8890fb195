"""Write the site of the course, or its slides: pages, figures, models, style sheets, scripts."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_text, writing_folder
from spatioformer.common.languages import LANGUAGES
from spatioformer.common.palette import css
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.learn.chapters import CHAPTERS, Chapter
from spatioformer.learn.facts import Facts, Language, Text
from spatioformer.learn.forms import form
from spatioformer.learn.glossary import sorted_terms
from spatioformer.learn.pdf import find_chromium, print_pdf
from spatioformer.learn.prose import check, render, without_spanish
from spatioformer.learn.show import FOLDER, MODELS, show
from spatioformer.learn.slides import Deck, instructions
from spatioformer.learn.texts import resource, texts
from spatioformer.learn.tools import Tools

HOME = Chapter("index", Text("Inicio", "Start"), lambda tools: Facts())
GLOSSARY = Chapter("glossary", Text("Glosario", "Glossary"), lambda tools: Facts())
PAGE, SLIDES = "page.html", "slides.html"
SCRIPTS = (
    *("transformer.js", "tokenizer.js", "widgets.js", "sentence.js", "place.js", "exercises.js"),
    "course.js",
)
"""In the order in which a page reads them; a class is used after it is read."""
OF_SLIDES = ("slides.css", "slides.js")

SHORTENED = Text(
    "Esta página se calculó con modelos que se entrenaron solo unos segundos, o con pocas "
    "parcelas, así que aprendieron poco. El comando spatioformer learn los entrena bien.",
    "This page was computed with models that were trained for a few seconds only, or on few plots, "
    "so they learned little. The command spatioformer learn trains them well.",
)


@dataclass(frozen=True)
class Page:
    """A page in both languages; its file is NAME.html."""

    chapter: Chapter
    bodies: dict[Language, str]
    template: str = PAGE


def build(
    folder: str | Path,
    tools: Tools,
    *,
    language: Language = "es",
    chapters: Sequence[Chapter] = CHAPTERS,
    slides: bool = False,
    console: Console = SILENT,
) -> Path:
    """Write the site and return its first page.

    Args:
        folder: to write; an earlier site there is replaced.
        language: in which pages open, until the reader chooses.
        slides: chapters are slides for a teacher, and also PDF files where Chromium is installed.

    Raises:
        OutputError: the folder cannot be written, or holds something else than a site.
        ModelError: a model that the chapters need is not installed.
        CourseError: a text and its facts disagree, which is a defect of the course.
    """
    folder = Path(folder)
    check_replaceable(folder)
    with writing_folder(folder) as part:
        for name in (FOLDER, MODELS):
            (part / name).mkdir()
        pages = [
            _page(part, chapter, tools, SLIDES if slides and chapter is not HOME else PAGE)
            for chapter in console.track([HOME, *chapters], "course", len(chapters) + 1)
        ]
        pages.append(Page(GLOSSARY, dict.fromkeys(LANGUAGES, "")))
        browser = find_chromium() if slides else None
        if slides:
            for each in LANGUAGES:
                pages[0].bodies[each] += instructions(chapters, each, with_pdf=browser is not None)
        for page in pages:
            write_text(part / f"{page.chapter.name}.html", _html(page, pages, language))
        write_text(part / "course.css", css() + resource("page", "course.css"))
        for name in (*SCRIPTS, *(OF_SLIDES if slides else ())):
            write_text(part / name, resource("page", name))
        if browser is not None:
            _print(part, pages, browser, console)
    return folder / "index.html"


def _print(site: Path, pages: list[Page], browser: str, console: Console) -> None:
    """A PDF of each chapter in each language."""
    chapters = [page for page in pages if page.template == SLIDES]
    files = [(page, language) for page in chapters for language in LANGUAGES]
    for page, language in console.track(files, "PDF", len(files)):
        # A page opens in the language of its file, so each language is printed from one of its own.
        opened = site / f"{page.chapter.name}.{language}.html"
        write_text(opened, _html(page, pages, language))
        print_pdf(browser, opened, opened.with_suffix(".pdf"))
        opened.unlink()


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


def _page(site: Path, chapter: Chapter, tools: Tools, template: str) -> Page:
    facts = chapter.facts(tools)
    blocks = texts(chapter.name)
    if tools.spanish is None:
        blocks = {each: without_spanish(blocks[each]) for each in LANGUAGES}
    check(chapter.name, blocks, facts)

    def body(language: Language) -> str:
        def figure(name: str) -> str:
            return show(site, chapter.name, name, facts, language)

        note = ""
        if tools.shortened and chapter is not HOME:
            note = f'<p class="note">{escape(SHORTENED.of(language))}</p>'
        if template == SLIDES:
            return Deck(facts, language, figure, note).add(blocks[language]).html()
        return note + render(blocks[language], facts, language, figure, form(facts, language))

    return Page(chapter, {each: body(each) for each in LANGUAGES}, template)


def _html(page: Page, pages: list[Page], language: Language) -> str:
    environment = Environment(
        loader=FunctionLoader(partial(resource, "page")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    place = pages.index(page)
    more = OF_SLIDES if page.template == SLIDES else ()
    return environment.get_template(page.template).render(
        page=page.chapter,
        bodies=page.bodies,
        chapters=[other.chapter for other in pages],
        following=pages[place + 1].chapter if place + 1 < len(pages) else None,
        terms={each: sorted_terms(each) for each in LANGUAGES} if page.chapter is GLOSSARY else {},
        languages=LANGUAGES,
        styles=[name for name in ("course.css", *more) if name.endswith(".css")],
        scripts=[name for name in (*SCRIPTS, *more) if name.endswith(".js")],
        language=language,
        version=__version__,
    )
