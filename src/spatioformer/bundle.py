"""A model as a folder: weights (safetensors), configuration (JSON), model card (Markdown).

Nothing in a bundle is pickled, so loading one runs no code of its maker.
"""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from spatioformer import __version__
from spatioformer.errors import ModelError
from spatioformer.files import as_output_error, read_json, write_json, write_text
from spatioformer.model_card import model_card
from spatioformer.nn import (
    DenseSpatioformer,
    Ensemble,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
    fast,
)
from spatioformer.scaling import Covariates, Scaling
from spatioformer.tiles import PixelTile, checked_chips
from spatioformer.weights import load_weights

FORMAT = 1
NETWORKS: dict[str, type[nn.Module]] = {
    "PaperSpatioformer": PaperSpatioformer,
    "PaperCNN": PaperCNN,
    "FactoFormer": FactoFormer,
    "Spatioformer": Spatioformer,
    "DenseSpatioformer": DenseSpatioformer,
    "Ensemble": Ensemble,
}
# Small enough that a batch's activations stay in the second-level cache of a laptop core.
BATCH = 256

Read = Callable[[torch.Tensor], torch.Tensor]  # a network's output -> what it means
Call = Callable[..., torch.Tensor]  # how a network is called

KM_PER_DEGREE = 111.195  # of latitude
FAR_KM = 50.0  # outside the extent of the plots; less is hardly worth a word


class OutsideExtent(UserWarning):
    """Predictions are asked for where no training plot was near."""


@dataclass
class Bundle:
    """A trained network with all that is needed to use it.

    Attributes:
        network: takes chips (B, P, P, band), lon and lat (B, P, P), gives (B,), or (B, 3) with
            quantiles; with covariates, those too (B, C).
        bands: names of the bands, in the order the network takes them.
        scaling: band and target normalisation, or None (the published network has none).
        facts: target, grain, training data and figures; JSON values.
        covariates: what else it is told of a plot, or None.
    """

    network: nn.Module
    bands: list[str]
    scaling: Scaling | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    covariates: Covariates | None = None

    @property
    def members(self) -> list[nn.Module]:
        """The networks of an ensemble, or the one there is."""
        return list(getattr(self.network, "members", [self.network]))

    @property
    def patch(self) -> int:
        return self.network.config["patch"]

    @property
    def is_dense(self) -> bool:
        """Whether the network takes whole tiles."""
        return isinstance(self.members[0], DenseSpatioformer)

    @property
    def has_dropout(self) -> bool:
        return self.network.config["dropout"] > 0

    @property
    def has_quantiles(self) -> bool:
        """Whether the network was trained to tell two quantiles of the count too."""
        return self.scaling is not None and self.scaling.quantiles is not None

    def predict(
        self,
        chips,
        lon,
        lat,
        covariates: Mapping[str, Any] | None = None,
        *,
        bands: Sequence[str] | None = None,
        batch: int = BATCH,
    ) -> np.ndarray:
        """Expected number of species of each chip; of an ensemble, the mean of its members.

        Args:
            chips: (n, P, P, band), raw values as in the imagery, rows north first.
            lon, lat: (n, P, P), degrees, of every pixel centre.
            covariates: raw values by name, one for all plots or one a plot, NaN where unknown;
                those left out are the usual ones.
            bands: names of the chips' bands, to be checked against the model's.

        Returns:
            float32 (n,), species.

        Raises:
            ModelError: another chip size, bands in another order or number, a value that is not
                finite, or a covariate that the model does not know.
        """
        if bands is not None and list(bands) != list(self.bands):
            raise ModelError(
                f"the bands {', '.join(bands)} are not those of the model, {', '.join(self.bands)};"
                " put them in its order"
            )
        inputs = self._inputs(chips, lon, lat, covariates)
        outside = self.km_outside(*(place[:, self.halo, self.halo] for place in inputs[1:3]))
        if outside >= FAR_KM:
            warnings.warn(
                f"chips lie up to {outside:,.0f} km outside the extent of the training plots, "
                f"W, E, S, N = {self.facts['region']}; predictions there are extrapolation",
                OutsideExtent,
                stacklevel=2,
            )
        self.network.eval()
        return self._run(inputs, batch, self.members)

    def quantiles(
        self, chips, lon, lat, covariates: Mapping[str, Any] | None = None, *, batch: int = BATCH
    ) -> np.ndarray:
        """The network's own quantiles (`scaling.quantiles`) of the count in each chip.

        Learned on the training plots: calibrate them before calling them an interval
        (`evaluation.conformal`). Of an ensemble, the mean of its members'.

        Returns:
            float32 (n, 2), lower and upper, species.

        Raises:
            ModelError: as `predict`; or the network has no quantiles.
        """
        self._check_quantiles()
        self.network.eval()
        inputs = self._inputs(chips, lon, lat, covariates)
        return self._run(inputs, batch, self.members, self.scaling.quantile_species, (2,))

    def features(
        self, chips, lon, lat, covariates: Mapping[str, Any] | None = None, *, batch: int = BATCH
    ) -> np.ndarray:
        """What the network makes its number of: the numbers before its head.

        A space in which chips that mean the same to the network are near, for
        `evaluation.AreaOfApplicability` for example. Of an ensemble, its members' side by side.

        Returns:
            float32 (n, width * members).

        Raises:
            ModelError: as `predict`; or the network is not one of ours.
        """
        for member in self.members:
            if not hasattr(member, "features"):
                raise ModelError(
                    f"a {type(member).__name__} tells no features; take a Spatioformer or a "
                    "DenseSpatioformer"
                )
        self.network.eval()
        inputs = self._inputs(chips, lon, lat, covariates)

        width = self.network.config["width"]
        each = [
            self._run(inputs, batch, [member], _as_is, (width,), type(member).features)
            for member in self.members
        ]
        return np.concatenate(each, axis=1)

    def _check_quantiles(self) -> None:
        if not self.has_quantiles:
            raise ModelError(
                "the network tells no quantiles; train it with `train.loss: quantile`, or take "
                "another kind of interval"
            )

    def km_outside(self, lon, lat) -> float:
        """How far the farthest place lies outside the extent of the training plots, km.

        0 for places inside, and where the extent is not known.

        Args:
            lon, lat: degrees, any shape, as many of either.
        """
        region = self.facts.get("region")
        if region is None or not np.size(lon):
            return 0.0
        west, east, south, north = region
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        beyond = (lon - west) % 360 - (east - west)  # degrees east of the eastern edge
        # The nearer edge counts; the other is reached the other way round the Earth.
        across = np.where(beyond > 0, np.minimum(beyond, 360 - (east - west) - beyond), 0)
        along = np.maximum(0, np.maximum(south - lat, lat - north))
        return float(KM_PER_DEGREE * np.hypot(across * np.cos(np.radians(lat)), along).max())

    @property
    def halo(self) -> int:
        """How many pixels beyond its own a prediction looks at, on every side."""
        return self.patch // 2

    def predict_tile(self, data, valid, lon, lat, wanted=None) -> np.ndarray:
        """Expected number of species at every pixel of a tile, h = `halo` pixels inside its edge.

        A pixel's value does not depend on the tile it lies in: it is the same in every tile that
        holds the pixel and its halo.

        Args:
            data: (band, y + 2h, x + 2h), raw values as in the imagery, rows north first.
            valid: bool (y + 2h, x + 2h), False where `data` means nothing; NaN may stand there.
            lon, lat: (y + 2h, x + 2h), degrees, of every pixel centre.
            wanted: bool (y, x), pixels to predict; None means all.

        Returns:
            float32 (y, x), species; NaN where not wanted, and where nodata forbids a prediction:
            at the pixel itself, or with a network of chips anywhere in the pixel's chip.

        Raises:
            ModelError: the tile is smaller than its halo, of other bands, or its arrays disagree.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        self.network.eval()
        return self._over(tile, self.members)

    def quantiles_tile(self, data, valid, lon, lat, wanted=None) -> np.ndarray:
        """What `quantiles` gives, at every pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x, 2), lower and upper, species, NaN where nothing is predicted.

        Raises:
            ModelError: as `predict_tile`; or the network has no quantiles.
        """
        self._check_quantiles()
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        self.network.eval()
        return self._over(tile, self.members, self.scaling.quantile_species, (2,))

    def spread(
        self,
        chips,
        lon,
        lat,
        covariates: Mapping[str, Any] | None = None,
        *,
        samples: int = 20,
        seed: int = 0,
        batch: int = BATCH,
    ) -> np.ndarray:
        """Standard deviation of `samples` predictions with dropout on (Monte Carlo dropout).

        Gal & Ghahramani 2016. The members of an ensemble take turns, so that the spread holds
        their disagreement too. It is the network's own doubt, not the error of a prediction.

        Returns:
            float32 (n,), species.

        Raises:
            ModelError: as `predict`; or the network has neither dropout nor members, or fewer than
                two samples.
        """
        inputs = self._inputs(chips, lon, lat, covariates)
        return self._monte_carlo(lambda one: self._run(inputs, batch, [one]), samples, seed)

    def spread_tile(
        self, data, valid, lon, lat, wanted=None, *, samples: int = 20, seed: int = 0
    ) -> np.ndarray:
        """What `spread` gives, at every pixel that `predict_tile` predicts.

        Returns:
            float32 (y, x), species, NaN where nothing is predicted.

        Raises:
            ModelError: as `predict_tile` and `spread`.
        """
        tile = PixelTile.checked(data, valid, lon, lat, wanted, self.bands, self.patch)
        if self.is_dense:
            return self._monte_carlo(lambda one: self._over(tile, [one]), samples, seed)
        out = tile.empty()
        for i, (at, chips) in enumerate(tile.chips()):
            out[at] = self.spread(*chips, samples=samples, seed=seed + i)
        return out

    def _monte_carlo(
        self, draw: Callable[[nn.Module], np.ndarray], samples: int, seed: int
    ) -> np.ndarray:
        """Standard deviation of what `draw` gives for a member with dropout on, member by turn."""
        members = self.members
        if samples < 2 or (not self.has_dropout and len(members) == 1):
            raise ModelError(
                f"Monte Carlo dropout needs a dropout rate above 0 (here "
                f"{self.network.config['dropout']}) and at least 2 samples (here {samples}); "
                "train with dropout or leave the spread out with samples 0"
            )
        self.network.eval()
        # Only dropout goes back to training; batch normalisation keeps its statistics.
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.training = True
        total = squares = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for i in range(samples):
                drawn = draw(members[i % len(members)]).astype(np.float64)
                total, squares = total + drawn, squares + drawn**2
        self.network.eval()
        variance = (squares - total**2 / samples) / (samples - 1)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)

    def _run(
        self,
        inputs: Sequence[np.ndarray],
        batch: int,
        members: list[nn.Module],
        read: Read | None = None,
        tail: tuple[int, ...] = (),
        call: Call = fast.forward,
    ) -> np.ndarray:
        """What `_read` gives for checked inputs, float32 (n, *tail)."""
        device = next(self.network.parameters()).device
        out = np.empty((len(inputs[0]), *tail), np.float32)
        with torch.inference_mode():
            for i in range(0, len(out), batch):
                part = slice(i, i + batch)
                tensors = (torch.from_numpy(np.array(a[part])).to(device) for a in inputs)
                out[part] = self._read(members, *tensors, read=read, call=call).float().cpu()
        return out

    def _over(
        self,
        tile: PixelTile,
        members: list[nn.Module],
        read: Read | None = None,
        tail: tuple[int, ...] = (),
    ) -> np.ndarray:
        """What `_read` gives for a tile's pixels, float32 (y, x, *tail), NaN elsewhere."""
        out = tile.empty(*tail)
        if self.is_dense:
            self._dense(tile, members, read, out)
            return out
        for at, chips in tile.chips():
            out[at] = self._run(self._inputs(*chips, None), BATCH, members, read, tail)
        return out

    def _dense(
        self, tile: PixelTile, members: list[nn.Module], read: Read | None, out: np.ndarray
    ) -> None:
        """Fill `out` by networks that take tiles."""
        device = next(self.network.parameters()).device
        usual = None
        if self.covariates is not None:
            usual = torch.from_numpy(self.covariates.standardised(self.covariates.rows(1, None)))
            usual = usual.to(device)

        def of_tile(member, data, lon, lat, valid):
            return member.forward_tile(data.movedim(-1, 1), lon, lat, usual, valid)

        with torch.inference_mode():
            for at, inputs in tile.blocks():
                tensors = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in inputs)
                out[at] = self._read(members, *tensors, read=read, call=of_tile)[0].float().cpu()
        out[~tile.predictable] = np.nan

    def forward(self, chips: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Species (B,) as tensors, from raw chips, lon, lat and, where the model has them,
        standardised covariates; keeps gradients."""
        return self._read(self.members, chips, *others)

    def _read(
        self,
        members: list[nn.Module],
        chips: torch.Tensor,
        *others: torch.Tensor,
        read: Read | None = None,
        call: Call = fast.forward,
    ) -> torch.Tensor:
        """Mean over the members, each called with standardised bands and the others.

        Args:
            read: what a member's output means; None: the expected species.
        """
        if self.scaling is None:
            return call(members[0], chips, *others)
        chips, read = self.scaling.bands(chips), read or self.scaling.species
        found = [read(call(member, chips, *others)) for member in members]
        return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)

    def _inputs(self, chips, lon, lat, covariates: Mapping[str, Any] | None) -> list[np.ndarray]:
        inputs = list(checked_chips(chips, lon, lat, self.bands, self.patch))
        if self.covariates is not None:
            raw = self.covariates.rows(len(inputs[0]), covariates)
            inputs.append(self.covariates.standardised(raw))
        elif covariates:
            raise ModelError(
                f"the model knows no covariate {next(iter(covariates))!r}; it takes none"
            )
        return inputs

    def save(self, folder: str | Path) -> Path:
        """Write the bundle, whole or not at all; an older bundle there is replaced.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
            save_file(state, part / "model.safetensors")
            write_json(part / "config.json", self._config())
            write_text(part / "README.md", model_card(self))
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        except SafetensorError as error:
            raise as_output_error(OSError(28, str(error)), folder) from error
        except OSError as error:
            raise as_output_error(error, folder) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": __version__,
            "network": type(self.network).__name__,
            "arguments": self.network.config,
            "bands": list(self.bands),
            "scaling": asdict(self.scaling) if self.scaling else None,
            "covariates": asdict(self.covariates) if self.covariates else None,
            "facts": self.facts,
        }


def _as_is(output: torch.Tensor) -> torch.Tensor:
    return output


def load(folder: str | Path) -> Bundle:
    """Open a bundle folder; `load(folder).predict(chips, lon, lat)` is the door to a model.

    Raises:
        ModelError: the folder is no bundle, incomplete, or of another architecture.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder} is no model bundle: {name} is missing; give a folder that "
                "`spatioformer train` wrote"
            )
    try:
        config = read_json(folder / "config.json")
        network = NETWORKS[config["network"]](**config["arguments"])
        scaling = Scaling(**_tuples(config["scaling"])) if config["scaling"] else None
        bands, facts = list(config["bands"]), config["facts"]
        known = config.get("covariates")  # absent in bundles of before there were any
        covariates = Covariates(**_tuples(known)) if known else None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not describe a model this version "
            f"({__version__}) knows ({type(error).__name__}: {error}); train it again"
        ) from error
    load_weights(network, folder / "model.safetensors")
    network.eval()
    return Bundle(network, bands, scaling, facts, covariates)


def _tuples(scaling: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in scaling.items()}
