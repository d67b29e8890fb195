"""Sections of a configuration that describe the evaluation: models, splits, intervals."""

from os import cpu_count
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spatioformer.config.fields import (
    AllDifferent,
    NotEmpty,
    Positive,
    Section,
    Size,
    TileSize,
    name_of,
)
from spatioformer.config.learning import ModelName
from spatioformer.config.messages import shown

IntervalKind = Literal[
    "auto", "constant", "dissimilarity", "spread", "counts", "quantiles", "region"
]


class SplitSection(Section):
    """A way to hold plots out for testing.

    Attributes:
        name: name of the split in tables of scores.
        kind: "random": plots at random; "tiles": whole tiles of land; "knndm": plots as far from
            training plots as the map is; "regions": whole regions of neighbouring plots; "column":
            the folds of a column of the plot table.
        folds: number of folds; each plot is held out once.
        size: side of the tiles, in `unit`; None: from the extent of the plots.
        unit: unit of `size`.
        column: column of the plot table whose values are the folds, of `kind: column`.
    """

    name: Annotated[str, name_of("[a-z][a-z0-9-]*", "small letters, digits and -, a letter first,")]
    kind: Literal["random", "tiles", "knndm", "regions", "column"]
    folds: Annotated[int, Field(ge=2, le=10**9)] = 5
    size: Positive | None = None
    unit: Literal["degrees", "km"] = "degrees"
    column: str | None = None

    @model_validator(mode="after")
    def _column_of_its_kind(self) -> "SplitSection":
        if (self.kind == "column") != (self.column is not None):
            raise ValueError(
                "`kind: column` and `column: NAME` belong together: the plots with one value in "
                "that column of the plot table make a fold"
            )
        return self


class EvaluateSection(Section):
    """Evaluation of several models on held-out plots.

    Attributes:
        models: names of the models to score; with `map.model: auto` one of them makes the map.
        splits: ways to hold plots out.
        curve_sizes: sides of tiles for the curve of r2 against the distance of held-out plots, in
            `curve_unit`; None: half, once, twice, 4 and 8 times the side that fits the plots.
        curve_unit: unit of `curve_sizes`.
        curve_models: names of the models of the curve.
        level: nominal coverage of the intervals, for example 0.9 for 90 %.
        interval: how the width of the intervals varies from place to place (docs/evaluation.md).
        workers: processes that fit models at once; None: one a core.
    """

    models: Annotated[tuple[ModelName, ...], NotEmpty, AllDifferent] = (
        "spatioformer-distilled",
        "spatioformer",
        "spatioformer-no-location",
        "random-forest",
        "gaussian-process",
        "stack",
        "location-knn",
    )
    splits: Annotated[tuple[SplitSection, ...], NotEmpty] = (
        SplitSection(name="random", kind="random"),
        SplitSection(name="tiles", kind="tiles"),
    )
    curve_sizes: Annotated[tuple[TileSize, ...], AllDifferent] | None = None
    curve_unit: Literal["degrees", "km"] = "degrees"
    curve_models: Annotated[tuple[ModelName, ...], AllDifferent] = ("random-forest", "location-knn")
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    interval: IntervalKind = "auto"
    workers: Size | None = None

    @property
    def processes(self) -> int:
        """Number of processes: `workers`, or one a core."""
        return self.workers or cpu_count() or 1

    @property
    def map_like(self) -> SplitSection:
        """The split most like the use of the map, by `MAP_LIKE`; the first of several."""
        return min(self.splits, key=lambda split: MAP_LIKE.index(split.kind))

    @model_validator(mode="after")
    def _one_column(self) -> "EvaluateSection":
        columns = sorted({split.column for split in self.splits if split.column})
        if len(columns) > 1:
            raise ValueError(
                f"the splits take their folds from the columns {shown(columns)}; a run can use one"
            )
        return self

    @model_validator(mode="after")
    def _names_once(self) -> "EvaluateSection":
        names = [s.name for s in self.splits]
        if len(set(names)) < len(names):
            raise ValueError(f"the split names {shown(names)} repeat; give each split its own name")
        reserved = [n for n in names if n.startswith("curve-")]
        if reserved:
            raise ValueError(
                f"the split name {reserved[0]!r} is reserved for the curve; choose another"
            )
        return self


MAP_LIKE = ("knndm", "tiles", "column", "regions", "random")
"""Kinds of splits by preference for judging the map: the first is most like its use."""
