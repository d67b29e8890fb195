"""Between raw numbers and what a network sees: bands, richness, covariates.

Shapes: n plots, P patch side, C covariates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from spatioformer.common.errors import ModelError
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

    The network sees (band - mean) / sd. With the link "identity" its output y means
    y * target_sd + target_mean species; the others are `nn.losses.Link`'s. With a `dispersion`
    (negative binomial) a count of mean m has the variance m + dispersion m^2. With `quantiles` the
    network gives three numbers: the mean's and those of two quantiles, for these shares.
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
        """Measured on chips (n, P, P, band) and richness (n,); a constant band gets sd 1."""
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
        return Link(self.link, self.target_mean, self.target_sd, self.smear)

    def bands(self, chips: torch.Tensor) -> torch.Tensor:
        """Chips as the network sees them, float32."""
        mean = torch.tensor(self.band_mean, dtype=chips.dtype, device=chips.device)
        sd = torch.tensor(self.band_sd, dtype=chips.dtype, device=chips.device)
        return (chips - mean) / sd

    def species(self, output: torch.Tensor) -> torch.Tensor:
        """Expected species (B,) of a network's output (B,), or (B, 3) with quantiles."""
        return self.to_link.species(output if self.quantiles is None else mean_output(output))

    def quantile_species(self, output: torch.Tensor) -> torch.Tensor:
        """Lower and upper quantile (B, 2), species, of an output (B, 3)."""
        return self.to_link.species(quantile_outputs(output))


@dataclass(frozen=True)
class Covariates:
    """What is known of a plot besides its imagery and place, and how a network sees it.

    Attributes:
        names: columns of the plot table, or "year" of its date.
        mean, sd: of the training plots; of the decimal logarithm where the name is in LOGARITHMIC.
        usual: raw values where no other are given: what a map is made for.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    usual: tuple[float, ...]

    @classmethod
    def of(cls, table: "pd.DataFrame", usual: Mapping[str, float | None]) -> "Covariates":
        """Measured on the training plots; a `usual` of None is their median.

        Raises:
            ModelError: a covariate that the table lacks, or that no plot knows.
        """
        names = tuple(usual)
        values = raw_covariates(table, names)
        known = np.isfinite(values).any(axis=0)
        unknown = [n for n, some in zip(names, known, strict=True) if not some]
        if unknown:
            raise ModelError(
                f"no plot has a value of the covariate {unknown[0]!r}; name its column in "
                "`plots.columns`, or leave it out of `model.covariates`"
            )
        seen = seen_by_models(names, values)
        medians = np.nanmedian(values, axis=0)
        chosen = [
            median if value is None else value
            for value, median in zip(usual.values(), medians, strict=True)
        ]
        return cls(
            names,
            tuple(np.nanmean(seen, axis=0).tolist()),
            tuple(_or_one(np.nanstd(seen, axis=0)).tolist()),
            tuple(float(v) for v in chosen),
        )

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Raw values (n, C), NaN where unknown, as the network sees them: float32."""
        return ((seen_by_models(self.names, values) - self.mean) / self.sd).astype(np.float32)

    def rows(self, count: int, given: Mapping[str, np.ndarray | float] | None) -> np.ndarray:
        """Raw values (count, C): those given, one for all or one a plot, and the usual ones.

        Raises:
            ModelError: a name the model does not know.
        """
        values = np.tile(np.array(self.usual, np.float64), (count, 1))
        for name, value in (given or {}).items():
            if name not in self.names:
                raise ModelError(
                    f"the model knows no covariate {name!r}; it takes "
                    f"{', '.join(self.names) or 'none'}"
                )
            values[:, self.names.index(name)] = value
        return values


LOGARITHMIC = ("area_m2",)  # species grow with the logarithm of the area


def raw_covariates(table: "pd.DataFrame", names: tuple[str, ...]) -> np.ndarray:
    """float64 (n, C) of a plot table, NaN where unknown.

    Raises:
        ModelError: no such column, or one that holds no numbers.
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
                f"the column {name!r} holds no numbers ({error}); leave it out of "
                "`model.covariates`"
            ) from error
    return np.stack(columns, axis=1)


def seen_by_models(names: tuple[str, ...], values: np.ndarray) -> np.ndarray:
    """Raw covariates (n, C) as models see them: areas as logarithms, NaN where unknown."""
    seen = np.array(values, np.float64)
    for i, name in enumerate(names):
        if name in LOGARITHMIC:
            with np.errstate(divide="ignore", invalid="ignore"):
                seen[:, i] = np.log10(seen[:, i])
    seen[~np.isfinite(seen)] = np.nan
    return seen


def _or_one(sd: np.ndarray) -> np.ndarray:
    return np.where(sd > 0, sd, 1.0)
