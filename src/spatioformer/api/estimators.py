"""The networks as scikit-learn estimators, and the models made of them.

Defaults are those of a run's configuration (`config.schema`).
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from spatioformer.api.adapter import PlotRegressor, need_places, sections
from spatioformer.api.tables import Column
from spatioformer.common.errors import ArgumentError
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.models.base import Estimator
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.registry import make

_MODEL, _TRAIN = ModelSection(), TrainSection()

Location = Literal["none", "paper", "sinusoids", "sphere", "harmonics", "fourier"]
Loss = Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"]


class NetworkParameters(PlotRegressor):
    """The hyperparameters that models with a network of their own have in common."""

    def __init__(
        self,
        *,
        coordinates: tuple[Column, Column] | None = None,
        covariates: dict[str, float | None] | None = None,
        patch: int = _MODEL.patch,
        network: Literal["chip", "dense"] = _MODEL.network,
        width: int = _MODEL.width,
        heads: int = _MODEL.heads,
        layers: int = _MODEL.layers,
        mlp_hidden: int = _MODEL.mlp_hidden,
        head_hidden: int = _MODEL.head_hidden,
        dropout: float = _MODEL.dropout,
        tokens: Literal["pixels", "bands"] = _MODEL.tokens,
        intervals: int = _MODEL.intervals,
        location: Location = _MODEL.location,
        wavelengths: Sequence[float] | None = _MODEL.wavelengths,
        location_dropout: float = _MODEL.location_dropout,
        location_jitter: float | None = _MODEL.location_jitter,
        members: int = _MODEL.members,
        epochs: int | None = _TRAIN.epochs,
        batch: int | None = _TRAIN.batch,
        loss: Loss = _TRAIN.loss_name,
        learning_rate: float | None = _TRAIN.learning_rate,
        weight_decay: float = _TRAIN.weight_decay,
        warmup: float = _TRAIN.warmup,
        averaging: float = _TRAIN.averaging,
        augment: bool = _TRAIN.augment,
        patience: int = _TRAIN.patience,
        validation_share: float = _TRAIN.validation_share,
        validation_tile: float | None = _TRAIN.validation_tile,
        device: Literal["auto", "cpu", "cuda"] = _TRAIN.device,
        precision: Literal["float32", "bf16"] = _TRAIN.precision,
        compile: bool = _TRAIN.compile,
        seed: int = 0,
    ):
        self.coordinates = coordinates
        self.covariates = covariates
        self.patch = patch
        self.network = network
        self.width = width
        self.heads = heads
        self.layers = layers
        self.mlp_hidden = mlp_hidden
        self.head_hidden = head_hidden
        self.dropout = dropout
        self.tokens = tokens
        self.intervals = intervals
        self.location = location
        self.wavelengths = wavelengths
        self.location_dropout = location_dropout
        self.location_jitter = location_jitter
        self.members = members
        self.epochs = epochs
        self.batch = batch
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.averaging = averaging
        self.augment = augment
        self.patience = patience
        self.validation_share = validation_share
        self.validation_tile = validation_tile
        self.device = device
        self.precision = precision
        self.compile = compile
        self.seed = seed


class SpatioformerRegressor(NetworkParameters):
    """The transformer of plots, bands and places (docs/models.md).

    To plots on imagery, `fit(plots, imagery)`, each plot is a chip of `patch` x `patch` pixels. In
    a table, `fit(X, y)`, each row is one pixel whose bands are the features. Features are computed
    in 32-bit floating-point numbers and standardised by the model.

    Args:
        coordinates: of a table: the columns of X that hold longitude and latitude in degrees, by
            name or position; the other columns are features. None: rows have no place, unless
            `fit` is given `coordinates`; the network then takes none, and the rows that decide
            when to stop are drawn at random instead of in tiles.
        covariates: columns that are known of a plot besides imagery, and may be missing (NaN):
            name -> the value that a map is made for, or None for the training plots' median.
            "area_m2" enters as its logarithm; "year" is the year of the plot's date.
        patch: side of a chip, pixels, odd; a table has 1.
        network: "chip" looks at one chip at a time, "dense" at whole tiles.
        width, heads, layers, mlp_hidden, head_hidden: sizes of the network.
        dropout: share of activations left out while training, 0 to below 1.
        tokens: "pixels" of a chip, or "bands" of one pixel.
        intervals: pieces of each band's piecewise linear encoding; 0 for none.
        location: encoder of longitude and latitude; "none" ignores them.
        wavelengths: of the encoder, degrees; None follows the extent of the plots.
        location_dropout: share of training plots whose location is hidden.
        location_jitter: standard deviation of a training location, km; None follows the extent.
        members: networks of an ensemble.
        epochs, batch: most passes over the plots, plots in a step; None: 16, and 64 or, from 1,000
            plots on, 128.
        loss: "poisson", "negative-binomial", "mse", "log1p" or "quantile".
        learning_rate, weight_decay: of Muon; None: a learning rate of 4e-3.
        warmup: epochs over which the learning rate rises.
        averaging: decay of the weights' running average; 0 for none.
        augment: turn and mirror chips while training.
        patience: epochs without a better validation error before training stops.
        validation_share: share of the plots that decide when to stop.
        validation_tile: side of the tiles in which they are held out, degrees; None: from the
            extent of the plots.
        device: "auto", "cpu" or "cuda".
        precision: "float32" or "bf16".
        compile: fuse the network with torch.compile first.
        seed: of weights, batches and validation plots.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> import spatioformer as sf
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.uniform(size=(80, 3)), columns=["lon", "lat", "ndvi"])
        >>> y = rng.poisson(10 + 20 * X["ndvi"])
        >>> model = sf.SpatioformerRegressor(coordinates=("lon", "lat"), epochs=2)
        >>> model.set_params(validation_tile=0.2).fit(X, y).predict(X).shape
        (80,)
    """

    name: ClassVar[str] = "spatioformer"

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        model, train = sections(self.get_params(deep=False), patch)
        if placed:
            return make(self.name, model, train, self.seed)
        return NetworkEstimator("spatioformer-no-location", model, train, self.seed, "rows")


class StackRegressor(NetworkParameters):
    """A mean of a transformer, trees, kriging, a Gaussian process and neighbours.

    Its weights differ near plots and far from them, and are found by holding out pieces of land, so
    every row needs a place. The parameters are those of `SpatioformerRegressor`; they concern its
    transformer, except `coordinates`, `covariates`, `patch`, `validation_tile` (the pieces'
    middle size) and `seed`, which concern all members.

    Examples:
        >>> import spatioformer as sf
        >>> sf.StackRegressor().fit([[0.2], [0.4]], [3, 5])
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.ArgumentError: StackRegressor weights its members by the \
distance to the nearest plot, and X has no places; name their columns, coordinates=('lon', 'lat'), \
or give fit(X, y, coordinates=lonlat)
    """

    name: ClassVar[str] = "spatioformer-stacked"

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        if not placed:
            need_places(self, "weights its members by the distance to the nearest plot")
        return make(self.name, *sections(self.get_params(deep=False), patch), self.seed)


class DistilledRegressor(PlotRegressor):
    """A network that learns the predictions of another model on land without plots.

    It nearly reproduces its teacher and maps many times faster. It learns from pixels of the
    imagery, so it cannot be fitted to a table. If it reproduces its teacher with an r2 below .95 at
    held-out pixels, `model_` is the teacher's model, and its fact "teacher_maps" says so. Where a
    Gaussian process teaches, the model may hold the coordinates of its plots; its card says so.

    Args:
        teacher: name of the model that is fitted to the plots first: "gaussian-process",
            "stack", "spatioformer-stacked", "random-forest", "extra-trees", "gradient-boosting",
            "lightgbm" or "forest-kriging".
        covariates, patch: and all other parameters as of `SpatioformerRegressor`. Loss, learning
            rate, batch and epochs are no parameters; they follow from the number of pixels.
            `warmup`, `augment` and `validation_tile` are those of a teacher that is a stack.

    Examples:
        >>> import spatioformer as sf
        >>> sf.DistilledRegressor(teacher="random-forest").teacher
        'random-forest'
    """

    name: ClassVar[str] = "spatioformer-distilled"
    coordinates = None

    def __init__(
        self,
        *,
        teacher: str = _TRAIN.teacher,
        covariates: dict[str, float | None] | None = None,
        patch: int = _MODEL.patch,
        width: int = _MODEL.width,
        heads: int = _MODEL.heads,
        layers: int = _MODEL.layers,
        mlp_hidden: int = _MODEL.mlp_hidden,
        head_hidden: int = _MODEL.head_hidden,
        dropout: float = _MODEL.dropout,
        intervals: int = _MODEL.intervals,
        location: Location = _MODEL.location,
        wavelengths: Sequence[float] | None = _MODEL.wavelengths,
        weight_decay: float = _TRAIN.weight_decay,
        warmup: float = _TRAIN.warmup,
        averaging: float = _TRAIN.averaging,
        augment: bool = _TRAIN.augment,
        validation_share: float = _TRAIN.validation_share,
        validation_tile: float | None = _TRAIN.validation_tile,
        device: Literal["auto", "cpu", "cuda"] = _TRAIN.device,
        precision: Literal["float32", "bf16"] = _TRAIN.precision,
        compile: bool = _TRAIN.compile,
        seed: int = 0,
    ):
        self.teacher = teacher
        self.covariates = covariates
        self.patch = patch
        self.width = width
        self.heads = heads
        self.layers = layers
        self.mlp_hidden = mlp_hidden
        self.head_hidden = head_hidden
        self.dropout = dropout
        self.intervals = intervals
        self.location = location
        self.wavelengths = wavelengths
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.averaging = averaging
        self.augment = augment
        self.validation_share = validation_share
        self.validation_tile = validation_tile
        self.device = device
        self.precision = precision
        self.compile = compile
        self.seed = seed

    def estimator(self, *, placed: bool, patch: int | None = None) -> Estimator:
        if patch is not None:
            raise ArgumentError(
                "DistilledRegressor learns from pixels without plots, which a table does not have; "
                "give fit(plots, imagery), or take another model"
            )
        return make(self.name, *sections(self.get_params(deep=False)), self.seed)
