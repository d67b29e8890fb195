"""docs/vision.md: its pictures exist."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "vision.md"


def test_pictures_exist_and_are_small():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 2
    for picture in pictures:
        assert 5_000 < (PAGE.parent / picture).stat().st_size < 200_000
