"""Record the arrays that a network of chips computes on one chip.

Shapes: P patch side, C covariates, D width, F location features, T tokens, H heads, K = D / H, O
outputs; Y, X rows and columns before a dense layer of radius r, y = Y - 2r and x = X - 2r after it,
N = (2r + 1)^2 neighbours. The batch dimension is left out.

The layers of a `Spatioformer` and a `PaperSpatioformer` are those of `nn.trace`. A layer of a
`DenseSpatioformer` has the same arrays for every pixel: streams (y, x, D), queries (H, y, x, K),
keys and values (H, Y, X, K), scores (with the learned bias) and pattern (H, y, x, N); neighbours go
row by row, north-west first. A layer of radius 0 has the arrays of the MLP alone.
"""

from jaxtyping import Float
from torch import Tensor

from spatioformer.common.errors import ModelError
from spatioformer.nn.chip_network import ChipNetwork
from spatioformer.nn.dense import DenseSpatioformer
from spatioformer.nn.geolocation import FiLM
from spatioformer.nn.neighbourhood import NeighbourhoodBlock
from spatioformer.nn.paper import PaperSpatioformer
from spatioformer.nn.spatioformer import Spatioformer
from spatioformer.nn.trace import STREAM, Recorder, Trace, check_evaluating, record_transformer

BANDS = ("row", "column", "band")
FIELD = ("row", "column", "channel")
HEADS_FIELD = ("head", "row", "column", "channel")
NEIGHBOURS = ("head", "row", "column", "neighbour")


def trace_chip(
    network: ChipNetwork,
    chip: Float[Tensor, "P P bands"],
    lon: Float[Tensor, "P P"],
    lat: Float[Tensor, "P P"],
    covariates: Float[Tensor, "C"] | None = None,
) -> Trace:
    """Record a network of chips on one chip.

    Besides the layers: pixels (P, P, bands) and lon, lat (P, P) as given; the tokens of the chip;
    location, the features of the location (F,), or of each pixel (P, P, F) in a dense network, and
    what they do to the tokens; features (D,), which the head reads; outputs (O,).

    Args:
        network: a Spatioformer, PaperSpatioformer or DenseSpatioformer, in evaluation mode.
        chip: bands as the network takes them, rows north first.
        lon, lat: of each pixel centre, degrees, float64.
        covariates: standardised; None: the network has none.

    Raises:
        ModelError: another network, one in training mode, or inputs that do not fit it.
    """
    check_evaluating(network)
    recorder = Recorder()
    recorder.keep("pixels", chip, BANDS, "bands of each pixel as the network takes them")
    recorder.keep("lon", lon, ("row", "column"), "longitude of each pixel, degrees")
    recorder.keep("lat", lat, ("row", "column"), "latitude of each pixel, degrees")
    if isinstance(network, Spatioformer):
        _listen_to_spatioformer(recorder, network)
    elif isinstance(network, PaperSpatioformer):
        _listen_to_paper(recorder, network, lon, lat)
    elif isinstance(network, DenseSpatioformer):
        _listen_to_dense(recorder, network)
    else:
        raise ModelError(
            f"a {type(network).__name__} does not have one sequence of tokens to follow; choose a "
            "Spatioformer, a DenseSpatioformer or a PaperSpatioformer"
        )
    others = () if covariates is None else (covariates[None],)
    with recorder.listening():
        output = network(chip[None], lon[None], lat[None], *others)[0]
        about = "the network's output; the model turns the first into species"
        recorder.keep("outputs", output.reshape(-1), ("output",), about)
    return Trace(recorder.steps, network.config["layers"], network.config["heads"])


def _listen_to_spatioformer(recorder: Recorder, network: Spatioformer) -> None:
    about = "learned vector of the class token, which is put in front"
    recorder.keep("class_token", network.class_token[0], ("channel",), about)
    about = "a vector for each pixel, or for each band: W pixel + b, plus that of its position"
    recorder.output(network.chip_tokens, "embedding", STREAM, about)
    if network.covariate_tokens is not None:
        about = "a vector for each covariate"
        recorder.output(network.covariate_tokens, "covariates", STREAM, about)
    if network.location is not None:
        about = "features of the location of the centre"
        recorder.output(network.location_dropout, "location", ("feature",), about)
        recorder.input(network.film, "tokens", STREAM, "class token, chip tokens, covariate tokens")
        _listen_to_film(recorder, network.film, ("channel",), "")
    record_transformer(recorder, network.transformer)
    about = "mean of output over the tokens, which the head reads"
    recorder.input(network.head, "features", ("channel",), about)
    recorder.input(network.head[3], "head", ("unit",), "gelu(W_1 features + b_1)")


def _listen_to_film(recorder: Recorder, film: FiLM, axes: tuple[str, ...], prefix: str) -> None:
    """Keep scale and shift of a FiLM layer: tokens * (1 + scale) + shift."""

    def keep(both: Tensor) -> None:
        for part, values in zip(("scale", "shift"), both.chunk(2, dim=-1), strict=True):
            about = f"{part} of the channels, from the features of the location"
            recorder.keep(
                f"{prefix}{part}", values.reshape(values.shape[-len(axes) :]), axes, about
            )

    recorder.after(film.linear, keep)


def _listen_to_paper(
    recorder: Recorder, network: PaperSpatioformer, lon: Tensor, lat: Tensor
) -> None:
    about = "learned vector of the class token, which is put in front"
    recorder.keep("class_token", network.class_token[0], ("channel",), about)
    about = "W pixel + c of each pixel, before the factor sqrt(D)"
    recorder.output(network.embedding, "embedding", STREAM, about)
    if network.geolocation is not None:
        g = network.geolocation.encode(lon.flatten(), lat.flatten())
        about = "g(lon, lat) of each pixel, float64"
        recorder.keep("location", g, ("token", "feature"), about)
        about = "lambda g(lon, lat), which is added to sqrt(D) embedding"
        recorder.output(network.geolocation, "shift", STREAM, about)
    record_transformer(recorder, network.transformer)
    about = "output as one vector, which the head reads"
    recorder.input(network.head, "features", ("channel",), about)
    recorder.input(network.head[1], "head", ("unit",), "A features + a")


def _listen_to_dense(recorder: Recorder, network: DenseSpatioformer) -> None:
    recorder.output(network.embedding, "embedding", FIELD, "W pixel + c of each pixel")
    if network.location is not None:
        about = "features of the location of each pixel"
        recorder.output(network.location_dropout, "location", ("row", "column", "feature"), about)
        _listen_to_film(recorder, network.token_film, FIELD, "")
    for number, block in enumerate(network.blocks, start=1):
        assert isinstance(block, NeighbourhoodBlock), "the network builds them"
        _listen_to_neighbourhood(recorder, block, f"layer{number}")
    recorder.output(network.norm, "output", FIELD, "the last layer's output, normalised")
    if network.covariate_tokens is not None:
        about = "a vector for each covariate; their sum is added to output"
        recorder.output(network.covariate_tokens, "covariates", STREAM, about)
    if network.location is not None:
        _listen_to_film(recorder, network.head_film, FIELD, "head_")
    recorder.before(
        network.head,
        lambda x: recorder.keep(
            "features", x.reshape(x.shape[-1]), ("channel",), "what the head reads"
        ),
    )
    recorder.before(
        network.head[3],
        lambda x: recorder.keep(
            "head", x.reshape(x.shape[-1]), ("unit",), "gelu(W_1 features + b_1)"
        ),
    )


def _listen_to_neighbourhood(recorder: Recorder, block: NeighbourhoodBlock, name: str) -> None:
    def field(part: str, about: str, axes: tuple[str, ...] = FIELD):
        """A function that keeps a tile (D, y, x, 1) as (y, x, D)."""
        return lambda t: recorder.keep(f"{name}.{part}", t[..., 0].permute(1, 2, 0), axes, about)

    recorder.before(block, field("input", "the residual stream before the layer"))
    if block.radius:
        _listen_to_neighbours(recorder, block, name, field)
    recorder.before(block.mlp_norm, field("after_attention", "input + attention"))
    recorder.before(block.up, field("mlp_input", "what the MLP reads: after_attention, normalised"))
    about = "gelu(W_1 x + b_1) of each pixel x of mlp_input"
    recorder.before(block.down, field("hidden", about, ("row", "column", "unit")))
    recorder.after(block.down, field("mlp", "W_2 hidden + b_2"))
    recorder.after(block, field("output", "after_attention + mlp"))


def _listen_to_neighbours(recorder: Recorder, block: NeighbourhoodBlock, name: str, field) -> None:
    attention = block.attention
    heads = attention.heads

    def by_head(t: Tensor) -> Tensor:
        # (D, y, x, 1) -> (H, K, y, x) -> (H, y, x, K)
        return t[..., 0].unflatten(0, (heads, -1)).permute(0, 2, 3, 1)

    def keep_query(t: Tensor) -> None:
        about = "W_Q x + b_Q of each inner pixel x of attention_input"
        recorder.keep(f"{name}.queries", by_head(t), HEADS_FIELD, about)

    def keep_keys(t: Tensor) -> None:
        for part, values, matrix in zip(("keys", "values"), t.chunk(2), "KV", strict=True):
            about = f"W_{matrix} x + b_{matrix} of each pixel x of attention_input"
            recorder.keep(f"{name}.{part}", by_head(values), HEADS_FIELD, about)

    def keep_scores(t: Tensor) -> None:
        about = "query . key / sqrt(K) + bias of the neighbour's place"
        # (N, H, y, x, 1) -> (H, y, x, N)
        recorder.keep(f"{name}.scores", t[..., 0].permute(1, 2, 3, 0), NEIGHBOURS, about)
        about = "softmax of the scores over the neighbours"
        pattern = t.softmax(0)[..., 0].permute(1, 2, 3, 0)
        recorder.keep(f"{name}.pattern", pattern, NEIGHBOURS, about)

    about = "what the attention reads: input, normalised"
    recorder.before(attention, field("attention_input", about))
    recorder.after(attention.query, keep_query)
    recorder.after(attention.key_value, keep_keys)
    recorder.before(attention.dropout, keep_scores)
    about = "pattern . values of the neighbours, the heads side by side"
    recorder.before(attention.out, field("mixed", about))
    recorder.after(attention.out, field("attention", "W_O mixed + b_O"))
