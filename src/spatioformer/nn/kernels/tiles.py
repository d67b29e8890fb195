"""The dense network's kernel: when it may stand in for the modules, and how it is called.

Shapes: D width, F location features, h halo; Y, X rows and columns of a tile with its halo, y, x
without; S the stride of an image's row (`rows.py`).

A tile is cut into strips of columns, whose rings fit the second cache, and these into as many parts
as torch has threads. A value does not depend on the cuts (`rows.py`).
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from spatioformer.common.compiled import has_numba
from spatioformer.nn.chip_network import DenseNetwork
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.geolocation import (
    DEGREES,
    FiLM,
    LocationDropout,
    LocationEncoder,
    RandomFourier,
    Sinusoids,
    SphereWaves,
)
from spatioformer.nn.kernels.dispatch import modules_are_plain
from spatioformer.nn.neighbourhood import (
    ChannelLinear,
    ChannelNorm,
    KeyDropout,
    NeighbourhoodAttention,
    NeighbourhoodBlock,
)
from spatioformer.nn.piecewise import PiecewiseLinear

UNITS = 8  # `parts.UNITS`, which needs numba
STRIP = 256  # columns that a strip has with its halo, at most
FEWEST_ROWS = 64  # in a thread's part, so that its halo costs little

_REPLACEABLE = {
    *(ChannelLinear, ChannelNorm, KeyDropout, NeighbourhoodAttention, NeighbourhoodBlock),
    *(FiLM, LocationDropout, PiecewiseLinear, Dropout),
    *(nn.GELU, nn.Identity, nn.LayerNorm, nn.Linear, nn.ModuleList, nn.Sequential),
}
_CALLED = ("location", "covariate_tokens")  # submodules whose results the kernel takes

_COMPILING = Lock()  # so that threads that begin together share one kernel


def can_replace(network: DenseNetwork, tile: Tensor) -> bool:
    """Whether `predict` may stand in for the modules of a dense network.

    True if all of this holds:
        - numba is installed, UNITS divides the width, and there is one tile;
        - no gradient is asked for and no dropout is on;
        - nobody would notice (`dispatch.modules_are_plain`);
        - the network is made of this package's modules only, not of replacements.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or network.training:
        return False
    if len(tile) != 1:
        return False
    if not modules_are_plain(network, tile) or not has_numba() or network.config["width"] % UNITS:
        return False
    for name, module in network.named_modules():
        if module.training and not (isinstance(module, nn.Dropout) and module.p == 0):
            return False
        if name.split(".")[0] in ("", *_CALLED):
            continue
        if type(module) not in _REPLACEABLE or "forward" in vars(module):
            return False
    return len({m.eps for m in network.modules() if isinstance(m, ChannelNorm)}) == 1


def predict(
    network: DenseNetwork,
    tile: Float[Tensor, "1 bands Y X"],
    lon: Float[Tensor, "1 Y X"],
    lat: Float[Tensor, "1 Y X"],
    shift: Float[Tensor, "D"],
    valid: Bool[Tensor, "1 Y X"] | None,
) -> Float[Tensor, "1 y x outputs"]:
    """The network's outputs, as `network.forward_tile` computes them with its modules.

    Args:
        tile, lon, lat, valid: as there.
        shift: the bias of the last norm plus the covariates' tokens.
    """
    tile, lon, lat = tile.detach(), lon.detach(), lat.detach()
    weights, layout = _packed(network, shift)
    (height, width), h = tile.shape[2:], network.halo
    mask = None if valid is None or bool(valid.all()) else valid[0].numpy()
    out = np.empty((height - 2 * h, width - 2 * h, network.config["outputs"]), np.float32)

    def run(part: tuple[slice, slice]) -> None:
        y, x = (slice(s.start, s.stop + 2 * h) for s in part)
        seen = None if mask is None else mask[y, x]
        bands, places = tile[0, :, y, x].numpy(), (lon[0, y, x].numpy(), lat[0, y, x].numpy())
        with torch.inference_mode():
            out[part] = _run(network, weights, layout, bands, *places, seen)

    threads = torch.get_num_threads()
    parts = _parts(height - 2 * h, width - 2 * h, h, threads)
    if threads == 1 or len(parts) == 1:
        for part in parts:
            run(part)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, parts))
    return torch.from_numpy(out)[None]


def _parts(height: int, width: int, halo: int, threads: int) -> list[tuple[slice, slice]]:
    """Rows and columns (without halo) of the parts of a tile; their columns fill whole pairs."""
    from spatioformer.nn.kernels.rows import PAIR

    strips = -(-width // max(STRIP - 2 * halo, PAIR))
    columns = -(-(-(-width // strips) + 2 * halo) // PAIR) * PAIR - 2 * halo
    cuts = max(1, min(-(-threads // strips), height // FEWEST_ROWS))
    rows = -(-height // cuts)
    return [
        (slice(row, min(row + rows, height)), slice(column, min(column + columns, width)))
        for row in range(0, height, rows)
        for column in range(0, width, columns)
    ]


def _run(
    network: DenseNetwork, weights, layout, tile, lon, lat, valid
) -> Float[np.ndarray, "y x outputs"]:
    """Run the kernel for one part of a tile."""
    from spatioformer.nn.kernels import rows

    (_, height, width), h, config = tile.shape, network.halo, network.config
    stride = rows.stride(width, h)
    penalty = np.zeros(0, np.float32)
    if valid is not None:
        penalty = _image(np.where(valid, np.float32(0), np.float32(-np.inf))[None], stride)
    features = np.zeros(0, np.float32)
    if network.location is not None:
        features = _features(network.location, lon, lat, valid, stride)
    sizes, levels, mlps = layout
    sizes = rows.Sizes(rows=height, columns=width, stride=stride, **sizes)
    rings = [(2 * level[0] + 1) * 3 * config["width"] * stride for level in levels]
    starts = np.cumsum([0, *rings], dtype=np.int64)
    out = np.empty((config["outputs"], height - 2 * h, stride), np.float32)
    with _COMPILING:
        kernel = rows.dense(config["width"] // config["heads"])
    kernel(
        _image(tile, stride, valid),
        features,
        penalty,
        valid is not None,
        weights,
        sizes,
        levels,
        mlps,
        np.zeros(starts[-1], np.float32),
        starts,
        out.reshape(-1),
    )
    return out[..., : width - 2 * h].transpose(1, 2, 0)


def _image(array: np.ndarray, stride: int, valid: np.ndarray | None = None) -> np.ndarray:
    """Lay out (channels, rows, columns) as an image, flat, with zeros where it is not valid."""
    channels, height, width = array.shape
    out = np.zeros((channels, height, stride), np.float32)
    np.copyto(out[..., :width], array, where=True if valid is None else valid)
    return out.reshape(-1)


def _features(location: LocationEncoder, lon, lat, valid, stride: int) -> np.ndarray:
    """Image of the location features."""
    if valid is not None:
        lon, lat = np.where(valid, lon, 0), np.where(valid, lat, 0)
    lon, lat = np.ascontiguousarray(lon, np.float64), np.ascontiguousarray(lat, np.float64)
    directions = _directions(location)
    if directions is None:
        features = location(torch.from_numpy(lon), torch.from_numpy(lat))
        return _image(features.movedim(-1, 0).numpy(), stride)
    from spatioformer.nn.kernels.waves import waves

    out = np.zeros((2 * len(directions), len(lon), stride), np.float32)
    waves(lon, lat, type(location) is not Sinusoids, directions, out)
    return out.reshape(-1)


def _directions(location: LocationEncoder) -> np.ndarray | None:
    """Directions (F / 2, 3) of an encoder's waves, turns a degree; None if it has no plain waves.

    The waves are along (lon, lat, 0) for `Sinusoids`, else along the unit vector in degrees of arc.
    """
    if type(location) is RandomFourier:
        scale = torch.tensor(location.wavelengths, dtype=torch.float64)[:, None]
        return (location.directions.double() / scale).flatten(1).T.contiguous().numpy()
    if type(location) not in (SphereWaves, Sinusoids):
        return None
    axes = torch.eye(3, dtype=torch.float64)
    if type(location) is Sinusoids:
        angle = torch.arange(3, dtype=torch.float64) * (360 / 3 / DEGREES)
        axes = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    scale = torch.tensor(location.wavelengths, dtype=torch.float64)[:, None]
    return (axes[:, None] / scale).flatten(0, 1).numpy()  # (3, waves, 3) -> (F / 2, 3)


class _Pack:
    """Concatenates arrays, and says where each begins."""

    def __init__(self) -> None:
        self.arrays: list[Tensor] = []
        self.size = 0

    def add(self, *arrays: Tensor) -> int:
        start = self.size
        for array in arrays:
            self.arrays.append(array.flatten())
            self.size += array.numel()
        return start

    def product(self, weight: Tensor, bias: Tensor) -> int:
        """Add a layer in the order in which the kernel reads it; extra rows are zero."""
        full = torch.cat([bias[:, None], weight], dim=1)
        full = F.pad(full, (0, 0, 0, -len(full) % UNITS))
        # (rows, 1 + columns) -> (rows / UNITS, 1 + columns, UNITS)
        return self.add(full.unflatten(0, (-1, UNITS)).transpose(1, 2))


def _packed(network: DenseNetwork, shift: Tensor):
    """The weights in one array (float32), and where the kernel finds them: sizes, levels, MLPs."""
    pack, config, width = _Pack(), network.config, network.config["width"]
    sizes: dict[str, Any] = {
        "halo": network.halo,
        "bands": config["bands"],
        "place": 0 if network.location is None else network.location.features,
        "width": width,
        "hidden": config["mlp_hidden"] + -config["mlp_hidden"] % UNITS,
        "head_hidden": config["head_hidden"] + -config["head_hidden"] % UNITS,
        "outputs": config["outputs"],
        "intervals": 0,
        "norm_eps": network.norm.eps,
        **dict.fromkeys(("edges", "token_film", "head_film"), 0),
    }
    if isinstance(network.encoding, PiecewiseLinear):
        sizes["intervals"] = network.encoding.low.shape[1]
        sizes["edges"] = pack.add(network.encoding.low, 1 / network.encoding.width)
    sizes["embedding"] = pack.product(network.embedding.weight, network.embedding.bias)
    if network.location is not None:
        for name in ("token_film", "head_film"):
            film = getattr(network, name).linear
            one = torch.arange(2 * width) < width  # scales are 1 + what the layer says
            sizes[name] = pack.product(film.weight, film.bias + one)
    levels, mlps = [], []
    for block in network.blocks:
        assert isinstance(block, NeighbourhoodBlock), "`can_replace` saw to it"
        sizes["eps"] = block.mlp_norm.eps
        if block.radius:
            levels.append((block.radius, *_attention(pack, block)))
        up = pack.product(*_folded(block.up, block.mlp_norm))
        down = F.pad(block.down.weight, (0, sizes["hidden"] - config["mlp_hidden"]))
        mlps.append((len(levels), up, pack.product(down, block.down.bias)))
    sizes["norm"] = pack.add(network.norm.weight, shift)
    first, last = network.head[0], network.head[-1]
    assert isinstance(first, nn.Linear), "a small head begins and ends with a linear layer"
    assert isinstance(last, nn.Linear), "a small head begins and ends with a linear layer"
    sizes["head_up"] = pack.product(first.weight, first.bias)
    last_weight = F.pad(last.weight, (0, sizes["head_hidden"] - config["head_hidden"]))
    sizes["head_down"] = pack.add(torch.cat([last.bias[:, None], last_weight], dim=1))
    tables = (np.array(table, np.int64).reshape(-1, n) for table, n in ((levels, 5), (mlps, 3)))
    return torch.cat(pack.arrays).numpy(), (sizes, *tables)


def _attention(pack: _Pack, block: NeighbourhoodBlock) -> tuple[int, int, int, int]:
    """Add the weights of an attention: query, keys and values, output, biases by position."""
    attention, norm = block.attention, block.attention_norm
    scale = (len(norm.weight) // attention.heads) ** -0.5
    query, query_bias = _folded(attention.query, norm)
    return (
        pack.product(query * scale, query_bias * scale),
        pack.product(*_folded(attention.key_value, norm)),
        pack.product(attention.out.weight, attention.out.bias),
        pack.add(attention.bias.T),  # (N, H) -> (H, N)
    )


def _folded(linear: nn.Linear, norm: ChannelNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer that includes the gain and shift of the norm before it."""
    return linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias
