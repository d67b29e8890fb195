"""The picture of a scenario: its limits, its files, and what it says."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from spatioformer.analysis.scenarios import BANDS
from spatioformer.report.picture import VIRTUAL
from spatioformer.report.scenario import DIFFERENCE, draw_scenario
from tests.helpers.landscape import write_raster

NUMBERS = {band: number for number, band in enumerate(BANDS, start=1)}


def change(path: Path) -> Path:
    """From -4 in the west to 2 in the east; the southern half is outside, the first row empty."""
    values = np.tile(np.linspace(-4, 2, 40), (30, 1))
    bands = dict.fromkeys(BANDS, np.zeros((30, 40))) | {
        "change": values,
        "today": np.full((30, 40), 20.0),
        "scenario": 20 + values,
        "di": np.linspace(0, 1, 40) * np.ones((30, 1)),
        "outside": np.repeat([0.0, 1.0], 15)[:, None] * np.ones(40),
    }
    data = np.stack([bands[name] for name in BANDS]).astype(np.float32)
    data[:, 0] = np.nan
    return write_raster(path, data, nodata=np.nan)


@pytest.mark.slow
def test_the_picture(tmp_path):
    out = tmp_path / "change.png"
    limits = draw_scenario(
        change(tmp_path / "change.tif"), NUMBERS, out, name="warmer <&> wetter", unit="species",
        threshold=0.25, virtual=True,
    )  # fmt: skip
    low, high = limits["change"]
    assert low == -high  # white is 0
    assert 3.8 < high <= 4
    assert limits["today"] == limits["scenario"]  # one colour is one number in both
    assert limits["di"][0] == 0
    text = out.with_suffix(".svg").read_text()
    for words in (
        "Today", "Scenario: warmer &lt;&amp;&gt; wetter", "Difference, scenario less today",
        "difference, species; larger than its", "interval in 0.0% of the pixels",
        "dissimilarity index; outside above 0.25", "do not trust", VIRTUAL,
    ):  # fmt: skip
        assert words in text
    pixels = imread(out)[..., :3].reshape(-1, 3)
    strongest = np.array(to_rgb("#67001f"))  # the red end of the diverging colours
    assert DIFFERENCE == "RdBu"
    assert (np.abs(pixels - strongest).max(axis=1) < 0.05).any()
