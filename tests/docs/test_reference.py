"""The generated pages of reference: every key of a configuration, every option of a command."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

from spatioformer.config.fields import Section
from spatioformer.config.learning import ModelSection
from spatioformer.config.schema import RunConfig
from tests.helpers.docs import extension

configuration, commands = extension("configuration"), extension("commands")


class Sample(Section):
    """A section for tests.

    Attributes:
        side, height: both in pixels,
            on two lines.
        how: None: as the file says.
    """

    side: Annotated[int, Field(ge=1, le=2_000)] = 3
    height: float
    how: Literal["a", "b"] | None = None


class Longer(Sample):
    """It extends another.

    Attributes:
        more: texts.
    """

    more: tuple[str, ...] = ("x", "y")


def test_a_section_becomes_a_table():
    assert configuration.table(Sample)[2:] == [
        "| `side` | both in pixels, on two lines. | whole number, 1 or more, at most 2,000 | `3` |",
        "| `height` | both in pixels, on two lines. | number | *required* |",
        "| `how` | Default: as the file says. | `a`, `b` | none |",
    ]
    assert configuration.table(Longer)[-1] == "| `more` | texts. | list of text | `[x, y]` |"


def test_a_key_without_a_sentence_is_an_error():
    class Silent(Sample):
        """Nothing is said of its key."""

        silent: int = 1

    with pytest.raises(ValueError, match=r"keys and sentences differ: \['silent'\]"):
        configuration.table(Silent)


def test_every_section_and_key_is_on_the_page():
    page = configuration.page()
    paths = set(configuration.every_section().values())
    assert {"", "plots", "plots.species", "imagery.sources", "evaluate.splits"} <= paths
    for key in (*RunConfig.model_fields, *ModelSection.model_fields):
        assert f"\n| `{key}` | " in page, key
    assert "None:" not in page


def test_every_command_and_option_is_on_the_page():
    page = commands.page()
    named = dict(commands.commands())
    assert {"spatioformer run", "spatioformer text next", "spatioformer survey"} <= set(named)
    for name, command in named.items():
        (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        for part in commands.options(command):
            for option in part.opts:
                assert not option.startswith("-") or f"`{option}`" in section, (name, option)
    assert "| `--sites`, `-n` `N` | Number of sites. | `20` |" in page
