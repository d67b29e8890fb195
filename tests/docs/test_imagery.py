"""The pages about archives hold the tables of the package, and their configurations are valid."""

import re
from pathlib import Path

import pytest
import yaml

from spatioformer.archives.collections import chosen_bands, collection_of
from spatioformer.archives.rows import rows_of
from spatioformer.config.archives import SourceSection
from spatioformer.config.imagery import ImagerySection
from tests.helpers.docs import extension

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "imagery.md").read_text(encoding="utf-8")
PREDICTORS = DOCS / "predictors.md"


def blocks_of(page: str) -> list:
    """The YAML of a page."""
    return [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    ]


BLOCKS = blocks_of(PAGE)


def test_the_tables_are_those_of_the_package():
    """If not: python docs/_ext/archive_tables.py"""
    assert extension("archive_tables").filled(PAGE) == PAGE
    page = PREDICTORS.read_text(encoding="utf-8")
    assert extension("archive_tables").filled(page, PREDICTORS) == page


def test_the_keys_of_a_source_are_all_there():
    (part,) = re.findall(r"^## Keys of a source$(.*?)^## ", PAGE, re.M | re.S)
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    named = {key for cell in cells for key in re.findall("`([a-z_]+)`", cell)}
    assert named == set(SourceSection.model_fields)


@pytest.mark.parametrize("block", BLOCKS, ids=[str(i) for i in range(len(BLOCKS))])
def test_every_configuration_is_valid(block, tmp_path):
    place = {"region": [147, 148, -43, -42]}
    if isinstance(block, list):
        block = {"sources": block}
    if "imagery" in block:
        block = block["imagery"]
    if "sources" in block:
        section = ImagerySection.model_validate(place | block)
        for source in section.sources:
            collection = collection_of(source)
            assert {*(source.bands or ())} <= {band.name for band in collection.bands}
    elif "masks" in block:
        layer = {"path": "a.tif", "name": "a"}
        section = ImagerySection.model_validate({"layers": [layer]} | block)
        assert len(section.masks) == 3
    else:
        (tmp_path / "rows.yaml").write_text(yaml.safe_dump(block))
        assert list(rows_of(tmp_path / "rows.yaml")) == list(block)


def test_the_configurations_of_predictors_are_valid(tmp_path):
    checked = 0
    for block in blocks_of(PREDICTORS.read_text(encoding="utf-8")):
        block = {"sources": block} if isinstance(block, list) else block.get("imagery", block)
        if "sources" in block or "layers" in block:
            section = ImagerySection.model_validate({"region": [9.5, 11.5, 46.5, 47.5]} | block)
            for source in section.sources:
                assert chosen_bands(source, collection_of(source))
                checked += 1
        else:
            (tmp_path / "rows.yaml").write_text(yaml.safe_dump(block))
            assert rows_of(tmp_path / "rows.yaml")["my-rainfall"].files.choices
    assert checked == 10
