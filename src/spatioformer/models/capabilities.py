"""What an estimator is given besides its data, and what only some models can do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spatioformer.common.progress import SILENT, Console


@dataclass(frozen=True)
class FitContext:
    """What a training is given besides its data.

    Attributes:
        checkpoint: file or folder that keeps the training's progress; None keeps nothing.
        resume: continue from the checkpoint where there is one.
        log: CSV file for the training's errors by epoch; None writes none.
        console: where progress is shown.
    """

    checkpoint: Path | None = None
    resume: bool = True
    log: Path | None = None
    console: Console = SILENT

    def part(self, name: str) -> "FitContext":
        """The context of a training that is part of this one: its files bear `name` too."""
        return replace(
            self, checkpoint=_with_part(self.checkpoint, name), log=_with_part(self.log, name)
        )


def _with_part(path: Path | None, part: str) -> Path | None:
    """a.csv -> a-part.csv."""
    return None if path is None else path.with_name(f"{path.stem}-{part}{path.suffix}")


class Draws(Protocol):
    """Capability: the predictions can be drawn, by dropout or member by member."""

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
        """Standard deviation of the draws at chips, float32 (n,), species."""
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
        """Standard deviation of the draws at pixels of a tile, float32 (y, x), species."""
        ...


class QuantilePair(Protocol):
    """Capability: the model predicts a lower and an upper quantile of the count."""

    def quantiles(
        self,
        chips: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        covariates: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Lower and upper quantile at chips, float32 (n, 2), species."""
        ...

    def quantiles_tile(
        self,
        data: np.ndarray,
        valid: np.ndarray,
        lon: np.ndarray,
        lat: np.ndarray,
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Lower and upper quantile at pixels of a tile, float32 (y, x, 2), species."""
        ...


class Attention(Protocol):
    """Capability: the model attends to the pixels of a chip."""

    def attention(self, chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray | None:
        """Share of attention on each pixel, float64 (P, P), sum 1, mean over the chips.

        None where the network has no token a pixel.
        """
        ...
