"""Sections of a configuration that describe models and their training."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator, model_validator

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.fields import NotEmpty, Positive, Section, Size, Whole
from spatioformer.config.messages import shown

MODELS = tuple(CATALOGUE)
QUANTILE_MODELS = tuple(name for name, entry in CATALOGUE.items() if entry.learns_quantiles)
TEACHERS = tuple(name for name, entry in CATALOGUE.items() if entry.can_teach)
AUTO = "auto"
"""`map.model` where the evaluation chooses the model of the map; in tables of scores, the name of
this choice."""

CHOICE = "evaluation/choice.json"
"""File of a run folder that names the model that the evaluation chose for the map."""

LOGS = "training*.csv"
"""Files of a run folder with the errors by epoch of the network that makes the map."""

if TYPE_CHECKING:  # type checkers accept a Literal only of values that the source lists
    ModelName = str
    MappedName = str
    TeacherName = str
else:
    ModelName, TeacherName = Literal[MODELS], Literal[TEACHERS]
    MappedName = Literal[(AUTO, *MODELS)]


def _covariates(value: Any) -> Any:
    """Check `model.covariates`; a list of names becomes names without a value of their own.

    A union of types would be checked by pydantic too, but each of its members has a message.
    """
    if value == "auto":
        return value
    if isinstance(value, list | tuple):
        if len(set(map(str, value))) < len(value):
            raise ValueError("a covariate repeats; name each once")
        nested = [name for name in value if isinstance(name, list | dict)]
        if nested:
            raise ValueError(f"each name must be that of a column, not {shown(nested[0])}")
        value = dict.fromkeys(value)
    if not isinstance(value, dict):
        raise ValueError("it must be auto, a list of columns, or columns with values for a map")
    for name, usual in value.items():
        if not isinstance(name, str):
            raise ValueError(f"the key {shown(name)} must be text; put it in quotes")
        number = isinstance(usual, int | float) and not isinstance(usual, bool)
        if not (usual is None or isinstance(usual, str) or (number and abs(usual) < 1e300)):
            raise ValueError(f"the value of {shown(name)} must be a number, a class or null")
    return {
        name: float(usual) if isinstance(usual, int) else usual for name, usual in value.items()
    }


CovariateNames = Annotated[
    dict[str, float | str | None] | Literal["auto"], PlainValidator(_covariates)
]
"""Covariates of the plot table: all usable columns, names, or names with the value for a map."""


def _number(value: float | str | None) -> float | None:
    assert not isinstance(value, str), "classes are resolved before models are made"
    return value


class ModelSection(Section):
    """The network `spatioformer`, and the chips of all models; see docs/models.md.

    Attributes:
        network: "chip" reads one chip a plot; "dense" maps many pixels at once with the same
            attention.
        patch: side of a chip, pixels; odd.
        width: length of a token's vector; a multiple of `heads`.
        heads: attention heads of a layer.
        layers: layers of the encoder.
        mlp_hidden: hidden units of the MLP of a layer.
        head_hidden: hidden units of the MLP that predicts from the centre pixel.
        dropout: share of the values that training sets to 0.
        tokens: "pixels": a pixel of the chip is a token; "bands": a band of one pixel is.
        intervals: pieces of the piecewise linear encoding of each band; 0: bands as numbers.
        location: encoder of the location of a pixel; "none": the network does not know places.
        wavelengths: wavelengths of the encoder, degrees; None: those of the encoder.
        location_dropout: share of the plots whose location is hidden from a training step.
        location_jitter: standard deviation of the noise on locations in training, to the east and
            to the north, km; None: a share of the plots' extent.
        covariates: columns of the plot table that models read: "auto" (all usable ones), names, or
            names with the value at which the map is predicted.
        members: networks of an ensemble, trained with different seeds.
    """

    network: Literal["chip", "dense"] = "chip"
    patch: Size = 3
    width: Annotated[int, Field(ge=2, le=10**5)] = 32
    heads: Size = 4
    layers: Size = 2
    mlp_hidden: Size = 64
    head_hidden: Size = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    tokens: Literal["pixels", "bands"] = "pixels"
    intervals: Annotated[int, Field(ge=0, le=64)] = 8
    location: Literal["none", "paper", "sinusoids", "sphere", "harmonics", "fourier"] = "sphere"
    wavelengths: Annotated[tuple[Positive, ...], NotEmpty] | None = None
    location_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    location_jitter: Annotated[float, Field(ge=0)] | None = None
    covariates: CovariateNames = Field(default_factory=dict)
    members: Size = 1

    @property
    def usual(self) -> dict[str, float | None]:
        """The covariates that models take, with the value that a map is predicted at.

        None stands for the median of the training plots. Only of a resolved section, in which every
        covariate is a column of numbers (`models.resolved`).
        """
        assert self.covariates != "auto", "covariates are resolved before models are made"
        return {name: _number(value) for name, value in self.covariates.items()}

    @field_validator("patch")
    @classmethod
    def _odd(cls, patch: int) -> int:
        if patch % 2 == 0:
            raise ValueError(f"it must be odd, for a chip needs a centre pixel; try {patch + 1}")
        return patch

    @model_validator(mode="after")
    def _bands_of_a_pixel(self) -> "ModelSection":
        if self.tokens == "bands" and self.patch > 1:
            raise ValueError(
                f"tokens: bands needs patch 1, and patch is {self.patch}; choose tokens: pixels"
            )
        if self.tokens == "bands" and self.network == "dense":
            raise ValueError(
                "tokens: bands are of the chip network, and network is dense; choose tokens: pixels"
            )
        if self.location == "paper" and self.wavelengths is not None:
            raise ValueError(
                "location: paper has wavelengths of its own; leave `wavelengths` out, or choose "
                "location: sinusoids"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSection":
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads; choose a multiple"
            )
        return self


class TrainSection(Section):
    """Training of networks; docs/models.md lists differences from the published recipe.

    Attributes:
        epochs: largest number of passes over the training plots; None: 16; 12 for published
            transformers, 40 with the recipe of the paper; 40 for FactoFormer.
        batch: plots of a training step; None: 128 from 1,000 training plots on, otherwise, and for
            published networks and FactoFormer, 64.
        loss: training loss; None: poisson for a count, mse for another target.
        learning_rate: largest learning rate, with Muon 2.5 times that for weight matrices; None:
            4e-3, and 1e-3 for FactoFormer, which AdamW trains.
        weight_decay: weight decay of Muon and AdamW.
        warmup: epochs in which the learning rate rises from 0.
        averaging: decay of the running average of the weights; 0: no average.
        augment: whether chips are rotated and mirrored in training.
        patience: epochs without a better validation loss after which training ends.
        validation_share: share of the training plots that decide when training ends.
        validation_tile: side of the tiles that validation plots are chosen by, degrees; None: from
            the extent of the plots.
        device: where networks are trained; "auto": a GPU if there is one.
        precision: number format of training.
        compile: whether torch compiles the network before training.
        teacher: model that teaches spatioformer-distilled.
        published_recipe: how the published transformers are trained: "muon", or with the optimiser
            and epochs of the paper, which take twice the time.
    """

    epochs: Whole | None = None
    batch: Whole | None = None
    loss: Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"] | None = None
    learning_rate: Positive | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Annotated[float, Field(ge=0)] = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    augment: bool = True
    patience: Whole = 10
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    validation_tile: Positive | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    teacher: TeacherName = "gaussian-process"
    published_recipe: Literal["muon", "paper"] = "muon"

    @property
    def loss_name(self) -> Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"]:
        """The loss, that of counts where none is chosen."""
        return self.loss or "poisson"
