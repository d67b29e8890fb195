"""The examples of docs/core.md run as printed, and the encoder-decoder learns its toy task."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "core.md"


@pytest.mark.slow
def test_examples():
    using, toy = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    names = {}
    exec(compile(using, f"{PAGE}: Using it", "exec"), names)
    assert names["more"].shape == (1, 20)
    assert names["rollout"].shape == (2, 4, 6)
    names = {}
    exec(compile(toy, f"{PAGE}: toy task", "exec"), names)
    assert names["accuracy"] > 0.95
