"""Sections of a configuration that describe the map: its model, its years, its truth."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from spatioformer.config.archives import Years, every_year
from spatioformer.config.fields import Positive, Section, Size, Whole
from spatioformer.config.learning import AUTO, MappedName


class MapSection(Section):
    """The wall-to-wall map and its model.

    Attributes:
        model: name of the model that makes the map; "auto": the one that the evaluation prefers.
        samples: Monte Carlo samples of a pixel's standard deviation; 0: none.
        sd_step: the standard deviation is computed at one pixel of each `sd_step` x `sd_step`
            block.
        memory: limit of resident memory, GB.
        workers: threads; None: one a core.
        years: first and last year, or every year, whose maps and trend a run with sources makes.
    """

    model: MappedName = AUTO
    samples: Annotated[int, Field(ge=0, le=1000)] = 20
    sd_step: Whole = 1
    memory: Positive = 2.0
    workers: Size | None = None
    years: Years | None = None

    @property
    def every_year(self) -> tuple[int, ...]:
        """The years of the maps one by one; none unless they are set."""
        return every_year(self.years or ())

    @model_serializer(mode="wrap")
    def _years_where_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {k: v for k, v in values.items() if k != "years" or v is not None}

    @field_validator("samples")
    @classmethod
    def _none_or_some(cls, samples: int) -> int:
        if samples == 1:
            raise ValueError("one sample has no spread; give 0 for none, or at least 2")
        return samples


class TruthSection(Section):
    """Rasters of the true expected richness and its noise; only a virtual flora has them.

    Attributes:
        path: raster of the true expected richness.
        noise_path: raster of the variance of one plot's count around it.
    """

    path: str
    noise_path: str
