"""The context of a training, and the capabilities that only some models have."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spatioformer.common.progress import SILENT, Console


@dataclass(frozen=True)
class FitContext:
    """Files and console of a training.

    Attributes:
        checkpoint: file or folder for the checkpoint of the training; None saves none.
        resume: whether to continue from the checkpoint if it exists.
        log: CSV file for the errors by epoch; None writes none.
        console: shows the progress.
        fitted: models fitted to the same plots before, by their names in the catalogue. A training
            that needs one of them (a teacher, a member of a stack) takes it and fits no other.
    """

    checkpoint: Path | None = None
    resume: bool = True
    log: Path | None = None
    console: Console = SILENT
    fitted: Mapping[str, Any] = field(default_factory=dict)  # of `models.base.Model`

    def part(self, name: str) -> "FitContext":
        """The context of a partial training; `name` is added to the names of its files."""
        return replace(
            self, checkpoint=_with_part(self.checkpoint, name), log=_with_part(self.log, name)
        )


def _with_part(path: Path | None, part: str) -> Path | None:
    """Add a part to a file name: a.csv -> a-part.csv."""
    return None if path is None else path.with_name(f"{path.stem}-{part}{path.suffix}")


class Draws(Protocol):
    """Capability: random draws of the predictions, by dropout or by ensemble members."""

    def spread(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
        *,
        samples: int = 20,
        seed: int = 0,
    ) -> np.ndarray:
        """Standard deviation of the draws for chips, float32 (n,), species."""
        ...

    def spread_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
        *,
        samples: int = 20,
        seed: int = 0,
    ) -> np.ndarray:
        """Standard deviation of the draws for pixels of a tile, float32 (y, x), species."""
        ...


class QuantilePair(Protocol):
    """Capability: prediction of a lower and an upper quantile of the count."""

    def quantiles(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Lower and upper quantile for chips, float32 (n, 2), species."""
        ...

    def quantiles_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Lower and upper quantile for pixels of a tile, float32 (y, x, 2), species."""
        ...


class Attention(Protocol):
    """Capability: attention on each pixel of a chip."""

    def attention(self, chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray | None:
        """Share of attention on each pixel, float64 (P, P), sum 1, mean over the chips.

        None if the network does not have one token for each pixel.
        """
        ...
