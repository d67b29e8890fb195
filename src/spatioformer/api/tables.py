"""Rows of a plain table as chips of one pixel, which is what all models take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.errors import ArgumentError, EvaluationError
from spatioformer.evaluation.checks import coordinates as checked_coordinates
from spatioformer.geo.chips import ChipStore

Floats = NDArray[np.float64]
Column = str | int


@dataclass(frozen=True)
class Layout:
    """What the columns of a table are.

    Attributes:
        bands: name -> position of each feature.
        covariates: name -> position of each covariate, which may be missing in a row.
        place: positions of longitude and latitude, or None.
    """

    bands: dict[str, int]
    covariates: dict[str, int]
    place: tuple[int, int] | None

    @classmethod
    def of(
        cls,
        names: Sequence[str] | None,
        count: int,
        coordinates: tuple[Column, Column] | None,
        covariates: Mapping[str, float | None],
        placed: bool,
    ) -> "Layout":
        """The layout of a table of `count` columns.

        Args:
            names: of the columns; None where the table is an array.
            coordinates: columns that hold longitude and latitude.
            covariates: columns that are covariates rather than features.
            placed: whether places come from elsewhere; columns of `coordinates` may then be absent.

        Raises:
            ArgumentError: a column is absent, or no feature is left.
        """
        absent = placed and not set(coordinates or ()) <= set(names or ())
        place = None
        if coordinates is not None and not absent:
            place = cls.columns(coordinates, names, count)
        if "year" in covariates:
            raise ArgumentError(
                "the covariate 'year' is taken from the dates of plots; in a table, leave the "
                "year among the features"
            )
        others = {name: _position(name, names, count) for name in covariates}
        shown = list(names) if names is not None else [f"x{i}" for i in range(count)]
        used = {*others.values(), *(place or ())}
        bands = {name: i for i, name in enumerate(shown) if i not in used}
        if not bands:
            raise ArgumentError(
                f"X has no column besides {', '.join(shown[i] for i in sorted(used))}; give at "
                "least one feature"
            )
        return cls(bands, others, place)

    @staticmethod
    def columns(
        coordinates: tuple[Column, Column], names: Sequence[str] | None, count: int
    ) -> tuple[int, int]:
        """Positions of the columns that hold longitude and latitude.

        Raises:
            ArgumentError: not two columns, or one is absent.
        """
        if isinstance(coordinates, str) or len(coordinates) != 2:
            raise ArgumentError(
                f"coordinates is {coordinates!r}; name two columns, longitude first, such as "
                "('lon', 'lat')"
            )
        lon, lat = (_position(column, names, count) for column in coordinates)
        return lon, lat

    def features(self, X: Floats) -> Floats:
        """The features (n, bands) of a table (n, columns)."""
        return X[:, list(self.bands.values())]

    def store(self, X: Floats, lonlat: Floats | None, y: Floats | None = None) -> ChipStore:
        """The rows as chips of one pixel.

        Args:
            X: float64 (n, columns).
            lonlat: degrees (n, 2); None puts all rows at one place, for models that use none.
            y: number of species (n,); None for rows to predict.
        """
        places = np.zeros((len(X), 2)) if lonlat is None else lonlat
        lon, lat = (np.ascontiguousarray(part)[:, None, None] for part in places.T)
        table = pd.DataFrame(
            {
                "plot_id": [str(row) for row in range(len(X))],
                "lon": places[:, 0],
                "lat": places[:, 1],
                "richness": np.full(len(X), np.nan) if y is None else y,
                "area_m2": np.full(len(X), np.nan),
            }
        ).assign(**{name: X[:, place] for name, place in self.covariates.items()})
        with np.errstate(over="ignore"):
            chips = self.features(X).astype(np.float32)[:, None, None]
        if not np.isfinite(chips).all():
            raise ArgumentError(
                "X holds values too large for 32-bit floating-point numbers; bring the features "
                "to a common scale, for example with StandardScaler"
            )
        return ChipStore(chips, lon, lat, table, list(self.bands))

    def lonlat(self, X: Floats, coordinates: ArrayLike | None) -> Floats | None:
        """Places (n, 2) of the rows, degrees; None where neither X nor `coordinates` has any.

        Raises:
            ArgumentError: no longitudes and latitudes, or another number of rows.
        """
        if coordinates is None:
            if self.place is None:
                return None
            coordinates = X[:, self.place]
        return places(coordinates, len(X))


def places(coordinates: ArrayLike, count: int) -> Floats:
    """Longitudes and latitudes (count, 2), float64, degrees.

    Raises:
        ArgumentError: no such array, values out of range, or another number of rows.
    """
    try:
        lonlat = checked_coordinates(coordinates, "geographic")
    except EvaluationError as error:
        raise ArgumentError(f"coordinates: {error}") from error
    if len(lonlat) != count:
        raise ArgumentError(
            f"coordinates has {len(lonlat)} rows and X has {count}; give one place a row"
        )
    return lonlat


def _position(column: Column, names: Sequence[str] | None, count: int) -> int:
    """Where a column stands."""
    if isinstance(column, str):
        if names is None:
            raise ArgumentError(
                f"X has no column names, and the column {column!r} is wanted; give a DataFrame (in "
                "a Pipeline, set_output(transform='pandas')), or the positions of the columns"
            )
        if column not in names:
            raise ArgumentError(f"X has no column {column!r}; its columns are {', '.join(names)}")
        return list(names).index(column)
    if not 0 <= column < count:
        raise ArgumentError(
            f"column {column} is wanted, and X has {count} feature(s), counted from 0; correct "
            "the position"
        )
    return int(column)
