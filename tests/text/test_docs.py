"""docs/text.md: its encoder-decoder learns, its pictures exist."""

import re
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

PAGE = Path(__file__).parents[2] / "docs" / "text.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.soak  # tests/docs/test_pages.py trains 100 of the 250 steps
def test_the_encoder_decoder_spells_numbers_it_never_saw(capsys):
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (code,) = (block for block in blocks if "Seq2Seq" in block)
    exec(compile(code, str(PAGE), "exec"), {})
    share = re.fullmatch(r"(\d+)% of 300 unseen numbers .*\n", capsys.readouterr().out)
    assert int(share[1]) >= 97


def test_pictures_of_the_page_exist():
    pictures = re.findall(r"\]\((images/[^)]+)\)", TEXT)
    assert pictures
    assert all((PAGE.parent / picture).is_file() for picture in pictures)
