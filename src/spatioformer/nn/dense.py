"""A Spatioformer that predicts every pixel of a tile at once, each token computed once.

Shapes: B batch, D width, P patch side (odd), h = P // 2 the halo; Y, X rows and columns of a tile
with its halo, y, x without.

Windows slide: each pixel attends to the pixels around it, wherever it lies in the raster. Windows
that stand still and are shifted from layer to layer would have to be anchored to the raster, would
give pixels of one window unlike surroundings, and leave seams. And as nothing is padded, a chip of
P x P pixels shrinks to its centre: the network is trained on the same chips as any other, and maps
with the same arithmetic.
"""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.geolocation import FiLM, LocationDropout, jittered, location_encoder
from spatioformer.nn.neighbourhood import NeighbourhoodBlock, inner
from spatioformer.nn.paper import check_chips, check_patch
from spatioformer.nn.piecewise import PiecewiseLinear
from spatioformer.nn.spatioformer import ScalarTokens, small_head, told_covariates
from spatioformer.nn.transformer import check_heads


class DenseSpatioformer(nn.Module):
    """Plant species richness of every pixel that has its surroundings in the tile.

        x = FiLM(W b + c, place)         a token a pixel
        x = block(x)                     `layers` times: attention to neighbours, then an MLP
        y = MLP(FiLM(norm(x) + covariates, place))

    The halo is shared out to the layers, the first ones taking what does not divide: P = 9 with 3
    layers looks 2, 1 and 1 pixels around. A layer that gets nothing is an MLP only. Bands and
    covariates are expected with mean 0 and standard deviation 1 (`scaling.Scaling`).

    Args:
        patch: P, odd: a prediction sees P x P pixels.
        bands: bands a pixel.
        covariates: C, values a plot.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks.
        mlp_hidden: hidden width of each block's MLP.
        head_hidden: hidden width of the head.
        dropout: rate in the head; and share of the neighbours that attention overlooks.
        edges: (bands, E) of `PiecewiseLinear` for the bands, or None: they stay as they are.
        location: arguments of `location_encoder`, or None: no location.
        location_dropout: share of the training samples whose location is unknown.
        location_jitter: standard deviation of a training location to the east and north, km.
        outputs: numbers a prediction has: 1, or 3 with quantiles (`nn.losses`).

    Attributes:
        config: these arguments, ready for JSON; `DenseSpatioformer(**config)` builds the same.
        halo: h, pixels that a tile loses on every side.

    Raises:
        ModelError: `patch` is even or below 1, or `heads` does not divide `width`.
    """

    def __init__(
        self,
        patch: int = 3,
        bands: int = 6,
        covariates: int = 0,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        mlp_hidden: int = 64,
        head_hidden: int = 64,
        dropout: float = 0.1,
        edges: list[list[float]] | None = None,
        location: dict[str, Any] | None = None,
        location_dropout: float = 0.0,
        location_jitter: float = 0.0,
        outputs: int = 1,
    ):
        super().__init__()
        self.config = {
            "patch": patch,
            "bands": bands,
            "covariates": covariates,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "head_hidden": head_hidden,
            "dropout": dropout,
            "edges": edges,
            "location": location,
            "location_dropout": location_dropout,
            "location_jitter": location_jitter,
            "outputs": outputs,
        }
        check_patch(patch, smallest=1)
        check_heads(width, heads)
        self.halo = patch // 2
        self.encoding = nn.Identity() if edges is None else PiecewiseLinear(edges)
        self.embedding = nn.Linear(bands if edges is None else self.encoding.features, width)
        self.covariate_tokens = ScalarTokens(covariates, width) if covariates else None
        self.location = None
        if location is not None:
            self.location = location_encoder(**location)
            features = self.location.features
            self.location_dropout = LocationDropout(features, location_dropout)
            self.token_film, self.head_film = FiLM(width, features), FiLM(width, features)
        self.blocks = nn.ModuleList(
            NeighbourhoodBlock(width, heads, mlp_hidden, radius, dropout)
            for radius in shares(self.halo, layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = small_head(width, head_hidden, outputs, dropout)

    def forward(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
        covariates: Float[Tensor, "B C"] | None = None,
    ) -> Float[Tensor, "B *outputs"]:
        """One number a chip, that of its centre; see `forward_tile`.

        Raises:
            ModelError: the chips are not P x P pixels of `bands` bands, or not C covariates.
        """
        check_chips(chips, self.config["patch"], self.config["bands"])
        return self.forward_tile(chips.movedim(-1, 1), lon, lat, covariates)[:, 0, 0]

    def forward_tile(
        self,
        tile: Float[Tensor, "B bands Y X"],
        lon: Float[Tensor, "B Y X"],
        lat: Float[Tensor, "B Y X"],
        covariates: Float[Tensor, "B C"] | None = None,
        valid: Bool[Tensor, "B Y X"] | None = None,
    ) -> Float[Tensor, "B y x *outputs"]:
        """One number for every pixel h inside the tile's edge; `Scaling` turns it into species.

        With `outputs`, so many.

        Args:
            tile: standardised bands, rows north first.
            lon, lat: of each pixel centre, degrees, float64.
            covariates: standardised; NaN where not known. None: none is known.
            valid: pixels that may be looked at. What the others hold, NaN even, changes nothing,
                and what comes out there means nothing.

        Raises:
            ModelError: other bands or covariates, or a tile of fewer than P rows or columns.
        """
        return self.head(self.features_tile(tile, lon, lat, covariates, valid)).squeeze(-1)

    def features(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
        covariates: Float[Tensor, "B C"] | None = None,
    ) -> Float[Tensor, "B D"]:
        """What the head makes its number of, at the centre of each chip."""
        check_chips(chips, self.config["patch"], self.config["bands"])
        return self.features_tile(chips.movedim(-1, 1), lon, lat, covariates)[:, 0, 0]

    def features_tile(
        self,
        tile: Float[Tensor, "B bands Y X"],
        lon: Float[Tensor, "B Y X"],
        lat: Float[Tensor, "B Y X"],
        covariates: Float[Tensor, "B C"] | None = None,
        valid: Bool[Tensor, "B Y X"] | None = None,
    ) -> Float[Tensor, "B y x D"]:
        """What the head makes its numbers of. Arguments as of `forward_tile`."""
        self._check(tile)
        if valid is not None:  # attention gives them no weight, but no weight times NaN is NaN
            tile = tile.where(valid[:, None], 0)
            lon, lat = lon.where(valid, 0), lat.where(valid, 0)
        x = self.embedding(self.encoding(tile.movedim(1, -1)))  # (B, bands, Y, X) -> (B, Y, X, D)
        if self.location is not None:
            place = self._place(lon, lat)
            x = self.token_film(x, place)
        x = x.permute(3, 1, 2, 0).contiguous()  # (B, Y, X, D) -> (D, Y, X, B)
        seen = None if valid is None else valid.permute(1, 2, 0)
        for block in self.blocks:
            x = block(x, seen)
            seen = None if seen is None else inner(seen, block.radius)
        x = self.norm(x.permute(3, 1, 2, 0))  # (D, y, x, B) -> (B, y, x, D)
        if self.covariate_tokens is not None:
            x = x + self._covariates(tile, covariates)[:, None, None]
        if self.location is not None:
            x = self.head_film(x, inner(place, self.halo))
        return x

    def _place(self, lon: Tensor, lat: Tensor) -> Float[Tensor, "B Y X F"]:
        if self.training and self.config["location_jitter"]:
            lon, lat = jittered(lon, lat, self.config["location_jitter"])
        return self.location_dropout(self.location(lon, lat))

    def _covariates(self, tile: Tensor, covariates: Tensor | None) -> Float[Tensor, "B D"]:
        covariates = told_covariates(covariates, tile, self.config["covariates"], "tiles")
        return self.covariate_tokens(covariates).sum(dim=1)

    def _check(self, tile: Tensor) -> None:
        patch, bands = self.config["patch"], self.config["bands"]
        if tile.ndim != 4 or tile.shape[1] != bands or min(tile.shape[2:]) < patch:
            raise ModelError(
                f"a tile of shape {tuple(tile.shape)} does not fit a model that takes (n, {bands}, "
                f"rows, columns) and looks {self.halo} pixels around each; give {bands} bands "
                f"of {patch} x {patch} pixels or more"
            )


def shares(halo: int, layers: int) -> list[int]:
    """The halo in whole pixels over the layers, the first ones taking what does not divide."""
    return [halo // layers + (i < halo % layers) for i in range(layers)]
