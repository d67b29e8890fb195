"""docs/evaluation.md, evaluation_measured.md: pictures exist, doors open."""

import re
from pathlib import Path

import pytest

import spatioformer.evaluation

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_pictures_exist_and_are_small():
    pages = (PAGE, PAGE.with_name("evaluation_measured.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert len(pictures) == 5
    for picture in pictures:
        assert 10_000 < (PAGE.parent / picture).stat().st_size < 200_000


@pytest.mark.parametrize("name", spatioformer.evaluation.__all__)
def test_doors_open(name):
    assert callable(getattr(spatioformer.evaluation, name))
    assert name in dir(spatioformer.evaluation)


def test_other_names_are_no_doors():
    with pytest.raises(AttributeError, match="no attribute 'knn'"):
        spatioformer.evaluation.knn  # noqa: B018
