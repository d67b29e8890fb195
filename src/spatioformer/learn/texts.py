"""The files of the course that come with the package: prose, code of notebooks, pages."""

from importlib.resources import files

from spatioformer.common.languages import LANGUAGES
from spatioformer.learn.facts import Language
from spatioformer.learn.prose import Block, parse

HERE = files("spatioformer.learn")


def resource(*names: str) -> str:
    """Text of a file of the course, by its folders and name."""
    return HERE.joinpath(*names).read_text(encoding="utf-8")


def resource_exists(*names: str) -> bool:
    return HERE.joinpath(*names).is_file()


def texts(chapter: str) -> dict[Language, list[Block]]:
    """The prose of a chapter, in blocks."""
    return {each: parse(resource("text", f"{chapter}.{each}.md")) for each in LANGUAGES}
