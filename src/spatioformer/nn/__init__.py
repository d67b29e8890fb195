"""Neural networks in torch, from tensors to tensors; no files of rasters or tables."""

from spatioformer.nn.chip_network import ChipNetwork
from spatioformer.nn.dense import DenseSpatioformer
from spatioformer.nn.ensemble import Ensemble
from spatioformer.nn.geolocation import FiLM, LocationEncoder, PaperGeolocation, location_encoder
from spatioformer.nn.gpt import GPT
from spatioformer.nn.paper import PaperSpatioformer
from spatioformer.nn.rivals import FactoFormer, PaperCNN
from spatioformer.nn.rollout import attention_rollout
from spatioformer.nn.seq2seq import Seq2Seq
from spatioformer.nn.spatioformer import Spatioformer
from spatioformer.nn.text_encoder import TextEncoder
from spatioformer.nn.trace import Trace, trace_encoder, trace_gpt, trace_vit
from spatioformer.nn.trace_chips import trace_chip
from spatioformer.nn.transformer import BlockConfig, Pattern, Transformer
from spatioformer.nn.vit import ViT

__all__ = [
    "GPT",
    "BlockConfig",
    "ChipNetwork",
    "DenseSpatioformer",
    "Ensemble",
    "FactoFormer",
    "FiLM",
    "LocationEncoder",
    "PaperCNN",
    "PaperGeolocation",
    "PaperSpatioformer",
    "Pattern",
    "Seq2Seq",
    "Spatioformer",
    "TextEncoder",
    "Trace",
    "Transformer",
    "ViT",
    "attention_rollout",
    "location_encoder",
    "trace_chip",
    "trace_encoder",
    "trace_gpt",
    "trace_vit",
]
