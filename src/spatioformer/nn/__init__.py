"""Networks: torch only; no raster, no table, no file path."""

from spatioformer.nn.geolocation import PaperGeolocation
from spatioformer.nn.rivals import PaperCNN
from spatioformer.nn.spatioformer import PaperSpatioformer
from spatioformer.nn.transformer import BlockConfig, Pattern, Transformer

__all__ = [
    "BlockConfig",
    "PaperCNN",
    "PaperGeolocation",
    "PaperSpatioformer",
    "Pattern",
    "Transformer",
]
