"""Sections of a scenario file: rasters of another time or climate, for `spatioformer project`."""

from pathlib import Path

from pydantic import ValidationError

from spatioformer.common.errors import ConfigError
from spatioformer.config.fields import Section
from spatioformer.config.file import absolute_paths, read_settings
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.messages import message, strange_text


class ScenarioConfig(Section):
    """A scenario: the imagery section of a run with the rasters of another time or climate.

    Attributes:
        name: in words, for pictures and tags.
        imagery: layers and masks; the grid is that of today's map.
    """

    name: str
    imagery: ImagerySection


def load_scenario(path: str | Path) -> ScenarioConfig:
    """Read a scenario file; relative paths in it start at its folder.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value is invalid; it
            names imagery of archives.
    """
    path = Path(path)
    raw = read_settings(path)
    if strange := strange_text(raw):
        raise ConfigError(f"{path}: {strange}")
    try:
        scenario = ScenarioConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(message(error, ScenarioConfig, str(path))) from None
    if scenario.imagery.sources:
        raise ConfigError(
            f"{path}: `imagery.sources` are archives, which `project` does not read; make the "
            "imagery with `spatioformer imagery build CONFIG -o FOLDER` and give it with --stack"
        )
    scenario = absolute_paths(scenario, path.parent)
    scenario.imagery._folder = path.parent.absolute()
    return scenario
