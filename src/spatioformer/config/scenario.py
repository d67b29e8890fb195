"""Sections of a scenario file: rasters of another time or climate, for `spatioformer project`."""

from pathlib import Path

from pydantic import ValidationError, model_validator

from spatioformer.common.errors import ConfigError
from spatioformer.config.fields import Section
from spatioformer.config.file import absolute_paths, read_settings
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.messages import message, strange_text


class ScenarioImagery(ImagerySection):
    """The imagery of a scenario, whose grid is that of today's map, so that it needs no region."""

    @model_validator(mode="after")
    def _has_a_place(self) -> "ScenarioImagery":
        if not self.layers and not self.sources:
            raise ValueError("it needs `layers`, your rasters, or `sources`, those of archives")
        if dated := next((source for source in self.sources if source.years is not None), None):
            raise ValueError(
                f"the source {dated.name} of `sources` has years, and a scenario reads only "
                "collections without years, such as chelsa-bioclim-future; make other imagery with "
                "`spatioformer imagery build CONFIG -o FOLDER` and give it with --stack"
            )
        return self


class ScenarioConfig(Section):
    """A scenario: the imagery section of a run with the rasters of another time or climate.

    Attributes:
        name: in words, for pictures and tags.
        imagery: layers, sources without years and masks; the grid is that of today's map.
    """

    name: str
    imagery: ScenarioImagery


def load_scenario(path: str | Path) -> ScenarioConfig:
    """Read a scenario file; relative paths in it start at its folder.

    Raises:
        ConfigError: the file is missing or not YAML, a key is unknown, or a value is invalid; it
            names imagery of years.
    """
    path = Path(path)
    raw = read_settings(path)
    if strange := strange_text(raw):
        raise ConfigError(f"{path}: {strange}")
    try:
        scenario = ScenarioConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(message(error, ScenarioConfig, str(path))) from None
    scenario = absolute_paths(scenario, path.parent)
    scenario.imagery._folder = path.parent.absolute()
    return scenario
