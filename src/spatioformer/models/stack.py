"""A stack as a model: the members, and their weights near to and far from training plots."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Chips, Model
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.stacking import Reach, combine, to_nearest
from spatioformer.models.tiles import PixelTile


@dataclass
class StackModel(Model):
    """A weighted mean of models; `stacking` defines the weights.

    Attributes:
        parts: name -> member, trained on all plots; all have the same chip size and bands.
        shares: float64 (2, members), weights near to and far from plots; rows sum to 1.
        reach: distances that define near and far.
        known: float64 (n, 2), lon, lat of the training plots, degrees.
    """

    kind: ClassVar[str] = "stack"
    weights: ClassVar[str] = "model.safetensors"
    framework: ClassVar[str] = "pytorch and scikit-learn"

    parts: dict[str, Model]
    shares: np.ndarray
    reach: Reach
    known: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        return "Stack"

    @property
    def about(self) -> list[tuple[str, str]]:
        near, far = (
            ", ".join(
                f"{name} {share:.2f}"
                for name, share in zip(self.parts, row, strict=True)
                if share >= 0.005
            )
            for row in self.shares
        )
        return [
            ("Members near plots", f"{near} (up to {self.reach.near / 1000:,.3g} km)"),
            ("Members far from plots", f"{far} (from {self.reach.far / 1000:,.3g} km)"),
            *((f"Member {name}", part.summary) for name, part in self.parts.items()),
        ]

    @property
    def summary(self) -> str:
        return f"stack of {', '.join(self.parts)}"

    @property
    def caution(self) -> str:
        return ""

    @property
    def parameters(self) -> None:
        return None

    @property
    def bands(self) -> list[str]:
        return self._first.bands

    @property
    def patch(self) -> int:
        return self._first.patch

    @property
    def _first(self) -> Model:
        return next(iter(self.parts.values()))

    @property
    def scaling(self) -> Scaling | None:
        return next((part.scaling for part in self.parts.values() if part.scaling), None)

    @property
    def covariates(self) -> Covariates | None:
        return next((part.covariates for part in self.parts.values() if part.covariates), None)

    def ready(self) -> None:
        for part in self.parts.values():
            part.ready()

    def over_chips(self, chips: Chips, covariates: np.ndarray | None, batch: int) -> np.ndarray:
        """Predict chips: float64 (n,), species."""

        def predict(part: Model, selected: np.ndarray) -> np.ndarray:
            # Predict all chips: the last digits of a network depend on the batch of a chip.
            inputs = covariates if part.covariates else None
            return part.over_chips(chips, inputs, batch)[selected]

        lon, lat = (place[:, self.halo, self.halo] for place in chips[1:])
        return self._weighted(lon, lat, predict)

    def predict_rows(self, store: ChipStore, rows: np.ndarray) -> np.ndarray:
        """Predict plots of a store: float64 (n,), species."""

        def predict(part: Model, selected: np.ndarray) -> np.ndarray:
            return np.asarray(part.predict_rows(store, rows), np.float64)[selected]

        lon, lat = store.coordinates[rows].T
        return self._weighted(lon, lat, predict)

    def over_tile(self, tile: PixelTile) -> np.ndarray:
        """Predict a tile: float64 (y, x), species.

        It is NaN where a member with a weight above 0 has no prediction.
        """
        rows, cols = np.nonzero(tile.predictable)
        place = rows + self.halo, cols + self.halo

        def predict(part: Model, selected: np.ndarray) -> np.ndarray:
            at = rows[selected], cols[selected]
            wanted = np.zeros_like(tile.wanted)
            wanted[at] = True
            return part.over_tile(replace(tile, wanted=wanted))[at]

        out = tile.empty().astype(np.float64)
        out[rows, cols] = self._weighted(tile.lon[place], tile.lat[place], predict)
        return out

    def _weighted(
        self, lon: np.ndarray, lat: np.ndarray, predict: Callable[[Model, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Weighted mean of the members at places: float64 (n,), species.

        Args:
            lon, lat: (n,), degrees.
            predict: returns the predictions of a member at the selected places, bool (n,); these
                are the places where its weight is above 0.
        """
        if not len(lon):
            return np.empty(0)
        far = self.reach.share(to_nearest(np.column_stack([lon, lat]), self.known))
        columns = np.zeros((len(lon), len(self.parts)))
        for i, part in enumerate(self.parts.values()):
            near_share, far_share = self.shares[:, i] > 0
            selected = (near_share & (far < 1)) | (far_share & (far > 0))
            if selected.any():
                columns[selected, i] = predict(part, selected)
        return combine(columns, far, self.shares)

    def identity(self) -> str:
        weights = [self.shares.tolist(), self.known.tolist(), asdict(self.reach)]
        return hash_value([weights, {name: part.identity() for name, part in self.parts.items()}])

    def settings(self) -> dict[str, Any]:
        return {"members": list(self.parts), "reach": asdict(self.reach)}

    def write_weights(self, folder: Path) -> None:
        arrays = {"shares": self.shares, "known": self.known}
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / self.weights)
        for name, part in self.parts.items():
            subfolder = folder / "members" / name
            subfolder.mkdir(parents=True)
            facts = self.facts | {"name": f"{name}, member of {self.name}"}
            part.with_facts(facts).write(subfolder)

    @classmethod
    def read(cls, config: dict[str, Any], members: dict[str, Model]) -> Self:
        if len({(part.patch, tuple(part.bands)) for part in members.values()}) != 1:
            raise ValueError("the members differ in chip size or bands")
        empty = np.empty((0, 2))  # `read_weights` fills these arrays
        return cls(members, empty, Reach(**config["reach"]), empty, config["facts"])

    def read_weights(self, path: Path) -> None:
        try:
            arrays = load_file(path)
            self.shares, self.known = arrays["shares"], arrays["known"]
        except (SafetensorError, OSError, KeyError) as error:
            raise ModelError(
                f"{path} is damaged or cut short ({error}); copy or train the model again"
            ) from error
        if self.shares.shape != (2, len(self.parts)) or self.known.shape[1:] != (2,):
            raise ModelError(
                f"{path} does not fit its config.json: weights {self.shares.shape} of "
                f"{len(self.parts)} members; the two files belong to different models"
            )
        if not (np.isfinite(self.shares).all() and np.isfinite(self.known).all()):
            raise ModelError(
                f"{path} holds values that are not finite; copy or train the model again"
            )
