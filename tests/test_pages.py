"""README.md and docs/: their configurations are valid, their links and pictures exist."""

import re
from pathlib import Path

import pytest
import yaml

from spatioformer.config.schema import RunConfig

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/tutorials").glob("*.md")),
]


def test_the_configuration_of_the_readme_is_valid_and_short():
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```$", PAGES[0].read_text(encoding="utf-8"), re.M | re.S
    )
    config = RunConfig.model_validate(yaml.safe_load(block))
    assert [split.kind for split in config.evaluate.splits] == ["random", "tiles"]
    assert len(block.splitlines()) <= 11


def test_the_configuration_of_the_run_page_is_valid():
    text = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")
    of_sources, whole = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    config = RunConfig.model_validate(yaml.safe_load(whole))
    assert config.map.model == "auto"
    parts = {"plots": {"path": "plots.csv"}, **yaml.safe_load(of_sources)}
    assert RunConfig.model_validate(parts).map.every_year == tuple(range(2015, 2024))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_source_files_that_are_named_exist(page):
    for name in re.findall(
        r"`((?:src|tests|benchmarks|examples)/[\w/.-]+)`", page.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), name


def test_documents_that_the_code_names_exist():
    for folder in ("src", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                for name in re.findall(r"\bdocs/[\w/]+\.md\b", path.read_text(encoding="utf-8")):
                    assert (ROOT / name).exists(), f"{path} names {name}"


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M):
        yield re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_pages_lead_to_headings(page):
    for target, anchor in re.findall(r"\]\(([\w./]*\.md)#([^)]+)\)", page.read_text("utf-8")):
        assert anchor in set(anchors(page.parent / target)), f"{target}#{anchor}"
