"""A dense Spatioformer: predicts all pixels of a tile in one pass, each token computed once.

Shapes: B batch, D width, P patch side (odd), h = P // 2 the halo; Y, X rows and columns of a tile
with the halo, y, x without.

Each pixel attends to the pixels around it, wherever it lies in the raster (a sliding window).
Shifted fixed windows would depend on the origin of the raster, would give the pixels of one window
different surroundings, and would leave seams. Nothing is padded, so a chip of P x P pixels shrinks
to its centre: the network trains on the same chips as the others and maps with the same formula.
"""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.chip_network import DenseNetwork
from spatioformer.nn.geolocation import (
    FiLM,
    LocationDropout,
    LocationEncoder,
    jittered,
    location_encoder,
)
from spatioformer.nn.kernels import tiles as kernel
from spatioformer.nn.neighbourhood import NeighbourhoodBlock, inner
from spatioformer.nn.paper import check_chips, check_patch
from spatioformer.nn.piecewise import band_encoding
from spatioformer.nn.spatioformer import ScalarTokens, checked_covariates, small_head
from spatioformer.nn.transformer import check_heads


class DenseSpatioformer(DenseNetwork):
    """Plant species richness of every pixel whose surroundings lie in the tile.

        x = FiLM(W b + c, place)         a token for each pixel
        x = block(x)                     `layers` times: attention to neighbours, then an MLP
        y = MLP(FiLM(norm(x) + covariates, place))

    The halo is divided among the layers; the first layers take the remainder. With P = 9 and 3
    layers, the radii are 2, 1 and 1 pixels. A layer of radius 0 is an MLP only. Bands and
    covariates are expected with mean 0 and standard deviation 1 (`models.scaling`).

    Args:
        patch: P, odd; a prediction depends on P x P pixels.
        bands: bands of a pixel.
        covariates: C, values for each plot.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks.
        mlp_hidden: hidden width of each block's MLP.
        head_hidden: hidden width of the head.
        dropout: rate in the head, and share of the neighbours hidden from attention.
        edges: (bands, E) of `PiecewiseLinear` for the bands, or None to use them unchanged.
        location: arguments of `location_encoder`, or None: no location.
        location_dropout: share of the training samples whose location is unknown.
        location_jitter: standard deviation of a training location to the east and north, km.
        outputs: numbers in a prediction: 1, or 3 with quantiles (`nn.losses`).

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
        self.encoding, features = band_encoding(bands, edges)
        self.embedding = nn.Linear(features, width)
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
        """Predict one number for the centre of each chip; see `forward_tile`.

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
        """Predict one number for every pixel at least h pixels from the tile's edge.

        `models.scaling` turns it into species. Several numbers if `outputs` > 1.

        Args:
            tile: standardised bands, rows north first.
            lon, lat: of each pixel centre, degrees, float64.
            covariates: standardised; NaN where one is missing. None: all are missing.
            valid: False hides a pixel from the others: its values, even NaN, change nothing. Its
                own prediction has no meaning.

        Raises:
            ModelError: other bands or covariates, or a tile of fewer than P rows or columns.
        """
        self._check(tile)
        if kernel.can_replace(self, tile):
            shift: Tensor = self.norm.bias
            if self.covariate_tokens is not None:
                shift = shift + self._covariates(self.covariate_tokens, covariates, tile)[0]
            return kernel.predict(self, tile, lon, lat, shift, valid).squeeze(-1)
        return self.head(self.features_tile(tile, lon, lat, covariates, valid)).squeeze(-1)

    def features(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
        covariates: Float[Tensor, "B C"] | None = None,
    ) -> Float[Tensor, "B D"]:
        """The input of the head, at the centre of each chip."""
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
        """The input of the head. Arguments as for `forward_tile`."""
        self._check(tile)
        if valid is not None:  # their attention weight is 0, but 0 times NaN is NaN
            tile = tile.where(valid[:, None], 0)
            lon, lat = lon.where(valid, 0), lat.where(valid, 0)
        x = self.embedding(self.encoding(tile.movedim(1, -1)))  # (B, bands, Y, X) -> (B, Y, X, D)
        if self.location is not None:
            place = self._place(self.location, lon, lat)
            x = self.token_film(x, place)
        x = x.permute(3, 1, 2, 0).contiguous()  # (B, Y, X, D) -> (D, Y, X, B)
        visible = None if valid is None else valid.permute(1, 2, 0)
        for block in self.blocks:
            assert isinstance(block, NeighbourhoodBlock), "__init__ builds them"
            x = block(x, visible)
            visible = None if visible is None else inner(visible, block.radius)
        x = self.norm(x.permute(3, 1, 2, 0))  # (D, y, x, B) -> (B, y, x, D)
        if self.covariate_tokens is not None:
            x = x + self._covariates(self.covariate_tokens, covariates, tile)[:, None, None]
        if self.location is not None:
            x = self.head_film(x, inner(place, self.halo))
        return x

    def _covariates(
        self, tokens: ScalarTokens, covariates: Tensor | None, tile: Tensor
    ) -> Float[Tensor, "B D"]:
        values = checked_covariates(covariates, tile, self.config["covariates"], "tiles")
        return tokens(values).sum(dim=1)

    def _place(
        self, location: LocationEncoder, lon: Tensor, lat: Tensor
    ) -> Float[Tensor, "B Y X F"]:
        if self.training and self.config["location_jitter"]:
            lon, lat = jittered(lon, lat, self.config["location_jitter"])
        return self.location_dropout(location(lon, lat))

    def _check(self, tile: Tensor) -> None:
        patch, bands = self.config["patch"], self.config["bands"]
        if tile.ndim != 4 or tile.shape[1] != bands or min(tile.shape[2:]) < patch:
            raise ModelError(
                f"a tile of shape {tuple(tile.shape)} does not fit a model that takes (n, {bands}, "
                f"rows, columns) and looks {self.halo} pixels around each; give {bands} bands "
                f"of {patch} x {patch} pixels or more"
            )


def shares(halo: int, layers: int) -> list[int]:
    """Divide the halo, in whole pixels, among the layers; the first ones take the remainder."""
    return [halo // layers + (i < halo % layers) for i in range(layers)]
