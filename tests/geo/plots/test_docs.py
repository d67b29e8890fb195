"""docs/plots.md says what the program does: its example runs, and every setting and check is in."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from spatioformer.geo.plots.species import _SETTINGS
from spatioformer.geo.plots.table import FIELDS, read_plots, write_plots
from spatioformer.geo.plots.verdicts import REMEDIES
from tests.helpers.plot_tables import put

TEXT = (Path(__file__).parents[3] / "docs" / "plots.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first fenced block of a language."""
    return re.search(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def example(tmp_path):
    """The worked example, read as its configuration says."""
    section = yaml.safe_load(block("yaml"))["plots"]
    return read_plots(put(tmp_path, block("csv"), section.pop("path")), **section)


def test_the_example_gives_the_table_it_shows(example):
    shown = pd.DataFrame(example.table.drop(columns="geometry")).to_csv(index=False)
    assert shown == block("table")


def test_the_example_gives_the_rejected_rows_it_shows(example, tmp_path):
    write_plots(example, tmp_path)
    assert (tmp_path / "rejected.csv").read_text() == block("rejected")


def test_every_check_column_and_setting_is_documented():
    table = TEXT.split("|---|---|\n")[-1].split("\n\n")[0]
    assert {line.split("|")[1].strip() for line in table.splitlines()} == set(REMEDIES)
    for name in [*FIELDS, *_SETTINGS]:
        assert f"`{name}`" in TEXT, name
