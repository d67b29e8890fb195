"""Covariates of the plot table as columns of numbers, which all models take.

A numeric covariate keeps its name. A covariate of classes becomes one column of 0 and 1 a class,
called "NAME = CLASS". Where values are missing in the table, a column "NAME is missing" says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from spatioformer.common.errors import ModelError, PlotError

Kind = Literal["number", "class"]

AREA = "area_m2"
"""Covariate that says how much of a place a plot covers: the effort of its count."""

LOGARITHMIC = (AREA,)
"""Covariates whose logarithm models take: richness grows with the logarithm of the area."""

MOST_CLASSES = 100
"""Largest number of classes of a covariate; text with more is no set of classes."""

FEWEST = 2
"""Smallest number of plots with a value."""

Usual = Mapping[str, float | str | None]
"""Covariate -> value for a map; None: the median, or the most frequent class."""


@dataclass(frozen=True)
class Covariate:
    """One covariate of the plot table.

    Attributes:
        name: column of the plot table; "year" is that of the date.
        usual: value for a map and wherever a place has none: a number, or one of `classes`.
        classes: in alphabetical order; empty for numbers.
        missing: whether some plots have no value.
        logarithmic: whether the column of numbers is the decimal logarithm, "log10 NAME".
    """

    name: str
    usual: float | str
    classes: tuple[str, ...]
    missing: bool
    logarithmic: bool = False

    @property
    def kind(self) -> Kind:
        return "class" if self.classes else "number"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        number = f"log10 {self.name}" if self.logarithmic else self.name
        names = [f"{self.name} = {label}" for label in self.classes] or [number]
        return (*names, *([f"{self.name} is missing"] * self.missing))

    def reasons(self, values: Sequence[Any]) -> np.ndarray:
        """Why each value cannot be encoded, text (n,); '' where it can."""
        absent, unknown = self._absent(values), np.zeros(len(values), bool)
        if self.classes:
            unknown = ~absent & ~np.isin([str(v) for v in values], self.classes)
        reasons = np.full(len(values), "", object)
        if not self.missing:
            reasons[absent] = (
                f"{self.name} has no value, and all training plots have one, so the model cannot "
                "tell what a missing value means"
            )
        for row in np.flatnonzero(unknown).tolist():
            reasons[row] = (
                f"{self.name} is {str(values[row])!r}, a class that the training plots do not "
                f"have; use one of {', '.join(map(repr, self.classes))}"
            )
        return reasons

    def encoded(self, values: Sequence[Any]) -> np.ndarray:
        """The columns of numbers, float64 (n, columns): NaN for a missing number.

        Args:
            values: numbers, NaN where missing; or classes, '' where missing.

        Raises:
            PlotError: a value cannot be encoded, see `reasons`.
        """
        reasons = self.reasons(values)
        if (reasons != "").any():
            row = int((reasons != "").argmax())
            raise PlotError(f"row {row + 1}: {reasons[row]}")
        absent = self._absent(values)
        if self.classes:
            labels = np.array([str(v) for v in values], object)
            columns = [(labels == label).astype(float) for label in self.classes]
        else:
            with np.errstate(invalid="ignore", divide="ignore"):
                numbers = np.asarray(values, np.float64)
                numbers = np.log10(numbers) if self.logarithmic else numbers
            columns = [np.where(absent, np.nan, numbers)]
        if self.missing:
            columns.append(absent.astype(float))
        return np.column_stack(columns)

    def _absent(self, values: Sequence[Any]) -> np.ndarray:
        """Whether each value is missing, bool (n,)."""
        if self.classes:
            return np.array([str(v) == "" for v in values], bool)
        numbers = np.asarray(values, np.float64)
        return ~np.isfinite(numbers) | ((numbers <= 0) & self.logarithmic)

    @property
    def usual_columns(self) -> dict[str, float]:
        """Column of numbers -> its value where the covariate has the value `usual`."""
        values = self.encoded([self.usual])[0]
        return dict(zip(self.columns, values.tolist(), strict=True))


@dataclass(frozen=True)
class Covariates:
    """All covariates of a run.

    Attributes:
        covariates: in order.
    """

    covariates: tuple[Covariate, ...] = ()

    @classmethod
    def of(cls, table: pd.DataFrame, usual: Usual, logarithmic: Sequence[str] = ()) -> Self:
        """Describe the covariates `usual` of the training plots.

        Args:
            table: the plots, with a column for each covariate: float64 (NaN missing), or text (''
                missing); "year" is read from the column date.
            logarithmic: names of covariates whose logarithm the models take.

        Raises:
            ModelError: the table lacks a covariate, too few plots have a value, text has too many
                classes, or the value for a map is of another type or class.
        """
        return cls(
            tuple(
                _described(table, name, value, name in logarithmic) for name, value in usual.items()
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.covariates)

    @property
    def columns(self) -> list[str]:
        """Names of all columns of numbers, in order."""
        return [name for c in self.covariates for name in c.columns]

    @property
    def usual(self) -> dict[str, float]:
        """Column of numbers -> value for a map."""
        return {k: v for c in self.covariates for k, v in c.usual_columns.items()}

    def encoded(self, table: pd.DataFrame) -> pd.DataFrame:
        """The columns of numbers of a table with a column for each covariate; NaN where missing.

        Raises:
            ModelError: the table lacks a covariate.
            PlotError: a value cannot be encoded.
        """
        parts = [c.encoded(_column(table, c.name).tolist()) for c in self.covariates]
        values = np.hstack(parts) if parts else np.empty((len(table), 0))
        return pd.DataFrame(values, columns=self.columns, index=table.index)

    def reasons(self, table: pd.DataFrame) -> np.ndarray:
        """Why each row of a table cannot be encoded, text (n,); '' where it can."""
        reasons = np.full(len(table), "", object)
        for covariate in self.covariates:
            values = _column(table, covariate.name).tolist()
            reasons = np.where(reasons == "", covariate.reasons(values), reasons)
        return reasons

    def filled(self, table: pd.DataFrame) -> pd.DataFrame:
        """`encoded`, with the usual value of a covariate where a number is missing."""
        return self.encoded(table).fillna(self.usual)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(c) for c in self.covariates]

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        return cls(
            tuple(
                Covariate(
                    str(v["name"]),
                    str(v["usual"]) if v["classes"] else float(v["usual"]),
                    tuple(map(str, v["classes"])),
                    bool(v["missing"]),
                    bool(v["logarithmic"]),
                )
                for v in values
            )
        )


def effort_column(covariates: Sequence[str], bands: Sequence[str]) -> int | None:
    """Position of the logarithm of the area among covariates and bands; None: there is none.

    Args:
        covariates: names of covariates beside imagery, whose logarithm a model takes itself.
        bands: names of bands, which follow the covariates; of a plot table, its columns of numbers.
    """
    names = [name if name == AREA else "" for name in covariates]
    names += [AREA if name == f"log10 {AREA}" else "" for name in bands]
    return names.index(AREA) if AREA in names else None


def _described(
    table: pd.DataFrame, name: str, usual: float | str | None, logarithmic: bool
) -> Covariate:
    column = _column(table, name)
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
        usable = np.isfinite(values) & ((values > 0) | (not logarithmic))
        _require(name, int(usable.sum()))
        if isinstance(usual, str):
            raise ModelError(
                f"`model.covariates.{name}` is {usual!r}, and {name} holds numbers; give a number"
            )
        middle = float(np.median(values[usable])) if usual is None else float(usual)
        return Covariate(name, middle, (), not usable.all(), logarithmic)
    labels = column.astype(str)
    counts = labels[labels != ""].value_counts().sort_index()
    _require(name, int(counts.sum()))
    if len(counts) > MOST_CLASSES:
        raise ModelError(
            f"the covariate {name!r} has {len(counts)} different texts, more than the "
            f"{MOST_CLASSES} classes that a covariate may have; leave it out of "
            "`model.covariates`"
        )
    classes = tuple(map(str, counts.index))
    if usual is not None and str(usual) not in classes:
        raise ModelError(
            f"`model.covariates.{name}` is {usual!r}, which is no class of that column; choose one "
            f"of {', '.join(map(repr, classes))}"
        )
    chosen = str(counts.idxmax()) if usual is None else str(usual)
    return Covariate(name, chosen, classes, bool((labels == "").any()))


def _require(name: str, count: int) -> None:
    if count < FEWEST:
        raise ModelError(
            f"no plot has a value of the covariate {name!r}; name its column in `plots.columns`, "
            "or leave it out of `model.covariates`"
            if count == 0
            else f"only {count} plot has a value of the covariate {name!r}; leave it out of "
            "`model.covariates`"
        )


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    if name == "year":
        return table["date"].dt.year.astype(float)
    if name not in table:
        raise ModelError(
            f"the plot table has no column {name!r}; choose covariates among "
            f"{', '.join(map(str, table.columns))} and year"
        )
    return table[name]
