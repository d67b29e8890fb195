"""Normalisation of bands, target and covariates.

Shapes: n plots, P patch side, C covariates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.geo.covariates import LOGARITHMIC
from spatioformer.nn.losses import (
    QUANTILES,
    Link,
    LinkName,
    LossName,
    mean_output,
    quantile_outputs,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the training plots' bands and richness.

    The inputs of a network are (band - mean) / sd. With the link "identity" an output y means
    y * target_sd + target_mean species; `nn.losses.Link` defines the other links.

    Attributes:
        band_mean, band_sd: of each band.
        target_mean, target_sd: species.
        link: between the output and species.
        smear: factor that corrects the bias of the link "log1p".
        dispersion: k of a negative binomial, whose variance is m + k m^2 at the mean m, or None.
        quantiles: probabilities of the two quantiles that the network predicts besides the mean, or
            None. With quantiles the network has three outputs.
    """

    band_mean: tuple[float, ...]
    band_sd: tuple[float, ...]
    target_mean: float
    target_sd: float
    link: LinkName = "identity"
    smear: float = 1.0
    dispersion: float | None = None
    quantiles: tuple[float, float] | None = None

    @classmethod
    def of(cls, chips: np.ndarray, richness: np.ndarray, loss: LossName = "mse") -> "Scaling":
        """Fit on chips (n, P, P, band) and richness (n,); the sd of a constant band is set to 1."""
        pixels = np.asarray(chips, np.float64).reshape(-1, chips.shape[-1])
        link = Link.of(loss, torch.from_numpy(np.array(richness, np.float64)))
        return cls(
            tuple(pixels.mean(axis=0).tolist()),
            tuple(_or_one(pixels.std(axis=0)).tolist()),
            link.mean,
            link.sd,
            link.kind,
            quantiles=QUANTILES if loss == "quantile" else None,
        )

    @property
    def to_link(self) -> Link:
        """The link between output and species."""
        return Link(self.link, self.target_mean, self.target_sd, self.smear)

    def bands(self, chips: torch.Tensor) -> torch.Tensor:
        """Standardised bands of chips (..., band), float32."""
        mean = torch.tensor(self.band_mean, dtype=chips.dtype, device=chips.device)
        sd = torch.tensor(self.band_sd, dtype=chips.dtype, device=chips.device)
        return (chips - mean) / sd

    def species(self, output: torch.Tensor) -> torch.Tensor:
        """Convert a network's output (B,), or (B, 3) with quantiles, to expected species (B,)."""
        return self.to_link.species(output if self.quantiles is None else mean_output(output))

    def quantile_species(self, output: torch.Tensor) -> torch.Tensor:
        """Convert an output (B, 3) to the lower and upper quantile (B, 2), species."""
        return self.to_link.species(quantile_outputs(output))


@dataclass(frozen=True)
class Covariates:
    """Standardisation of covariates: inputs of a plot besides imagery and location.

    Attributes:
        names: columns of the plot table, or "year" of its date.
        mean, sd: of the training plots; of the decimal logarithm if the name is in LOGARITHMIC.
        usual: default raw values, for maps and wherever no values are given.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    usual: tuple[float, ...]

    @classmethod
    def of(cls, table: "pd.DataFrame", usual: Mapping[str, float | None]) -> "Covariates":
        """Fit on the table of the training plots.

        Args:
            usual: name -> default value; None means the median of the plots.

        Raises:
            ModelError: the table lacks a covariate, or no plot has a value of it.
        """
        names = tuple(usual)
        values = raw_covariates(table, names)
        has_values = np.isfinite(values).any(axis=0)
        empty = [n for n, filled in zip(names, has_values, strict=True) if not filled]
        if empty:
            raise ModelError(
                f"no plot has a value of the covariate {empty[0]!r}; name its column in "
                "`plots.columns`, or leave it out of `model.covariates`"
            )
        transformed = transformed_covariates(names, values)
        medians = np.nanmedian(values, axis=0)
        defaults = [
            median if value is None else value
            for value, median in zip(usual.values(), medians, strict=True)
        ]
        return cls(
            names,
            tuple(np.nanmean(transformed, axis=0).tolist()),
            tuple(_or_one(np.nanstd(transformed, axis=0)).tolist()),
            tuple(float(v) for v in defaults),
        )

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Standardise raw values (n, C), NaN where missing: float32 (n, C)."""
        transformed = transformed_covariates(self.names, values)
        return ((transformed - self.mean) / self.sd).astype(np.float32)

    def rows(self, count: int, given: Mapping[str, np.ndarray | float] | None) -> np.ndarray:
        """Raw values (count, C): the given ones, and default values for the other covariates.

        Args:
            given: name -> raw value, one for all rows or (count,).

        Raises:
            ModelError: the model does not have a covariate of that name.
        """
        values = np.tile(np.array(self.usual, np.float64), (count, 1))
        for name, value in (given or {}).items():
            if name not in self.names:
                raise ModelError(
                    f"the model has no covariate {name!r}; choose among "
                    f"{', '.join(self.names) or 'none'}"
                )
            values[:, self.names.index(name)] = value
        return values


def raw_covariates(table: "pd.DataFrame", names: tuple[str, ...]) -> np.ndarray:
    """Raw covariates of a plot table, float64 (n, C), NaN where missing.

    Args:
        names: columns of the table, or "year" of its date.

    Raises:
        ModelError: there is no such column, or it does not hold numbers.
    """
    columns = []
    for name in names:
        try:
            column = table["date"].dt.year if name == "year" else table[name]
            columns.append(column.to_numpy(np.float64, na_value=np.nan))
        except KeyError as error:
            raise ModelError(
                f"the plot table has no column {name!r}; choose covariates among "
                f"{', '.join(table.columns)} and year"
            ) from error
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"the column {name!r} does not hold numbers ({error}); leave it out of "
                "`model.covariates`"
            ) from error
    return np.stack(columns, axis=1)


def transformed_covariates(names: tuple[str, ...], values: np.ndarray) -> np.ndarray:
    """Replace covariates in LOGARITHMIC by their decimal logarithm; (n, C), NaN where missing."""
    transformed = np.array(values, np.float64)
    for i, name in enumerate(names):
        if name in LOGARITHMIC:
            with np.errstate(divide="ignore", invalid="ignore"):
                transformed[:, i] = np.log10(transformed[:, i])
    transformed[~np.isfinite(transformed)] = np.nan
    return transformed


def _or_one(sd: np.ndarray) -> np.ndarray:
    """Replace 0 by 1, so that the standard deviation can be a divisor."""
    return np.where(sd > 0, sd, 1.0)
