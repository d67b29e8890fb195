"""Catalogue of models: one row a model.

The configuration, the command line, the report and the docs take names and titles from here.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["network", "tabular", "stack", "distilled"]


@dataclass(frozen=True)
class Entry:
    """Properties of a model that are known before it is fitted.

    Attributes:
        name: name in a configuration.
        title: name in a sentence.
        note: short description for a table.
        kind: "network" is trained on chips; "tabular" is a scikit-learn regressor on chip
            statistics; "stack" is a weighted mean of other models; "distilled" is a network that
            learns the predictions of another model.
        uses_location: whether longitude and latitude are among its inputs.
        published: whether sizes and loss are those of a paper, not the configured ones.
        needs_imagery: whether it needs pixels around or between the plots, beyond a plain table.
        can_teach: whether a distilled network can learn from it (`train.teacher`).
        learns_quantiles: whether it can be trained with `train.loss: quantile`.
        smallest_patch: smallest side of a chip that it accepts, pixels.
        without_location: name of the same model without location, if there is one.
        map_rank: order of the models by the time of a map, the fastest first, with the standard
            deviation that only networks have (docs/mapping.md). Equal ranks are equally fast.
    """

    name: str
    title: str
    note: str
    kind: Kind
    uses_location: bool = True
    published: bool = False
    needs_imagery: bool = False
    can_teach: bool = False
    learns_quantiles: bool = False
    smallest_patch: int = 1
    without_location: str | None = None
    map_rank: int = 8


def _tabular(
    name: str, title: str, map_rank: int, note: str = "chip statistics and coordinates"
) -> Entry:
    return Entry(name, title, note, "tabular", can_teach=True, map_rank=map_rank)


_ENTRIES = (
    Entry(
        "spatioformer",
        "Spatioformer",
        "the configured network",
        "network",
        learns_quantiles=True,
        without_location="spatioformer-no-location",
    ),
    Entry(
        "spatioformer-dense",
        "the dense Spatioformer",
        "maps whole tiles at once",
        "network",
        learns_quantiles=True,
        map_rank=4,
    ),
    Entry(
        "spatioformer-distilled",
        "the distilled Spatioformer",
        "trained on the predictions of another model",
        "distilled",
        needs_imagery=True,
        map_rank=4,
    ),
    Entry(
        "spatioformer-no-location",
        "Spatioformer without location",
        "the same network, without location",
        "network",
        uses_location=False,
        learns_quantiles=True,
    ),
    Entry(
        "spatioformer-stacked",
        "the stacked Spatioformer",
        "with trees, kriging and neighbours; weights depend on the distance to plots",
        "stack",
        can_teach=True,
        map_rank=7,
    ),
    Entry(
        "spatioformer-published",
        "the published Spatioformer",
        "sizes and recipe of the paper",
        "network",
        published=True,
        without_location="spatioformer-published-no-location",
    ),
    Entry(
        "spatioformer-published-no-location",
        "the published network without location",
        "the paper's “ViT”",
        "network",
        uses_location=False,
        published=True,
    ),
    Entry(
        "cnn-published",
        "the published CNN",
        "the paper's comparison network, on imagery only",
        "network",
        uses_location=False,
        published=True,
        needs_imagery=True,
        smallest_patch=7,  # three unpadded 3 x 3 convolutions must leave a pixel
    ),
    Entry(
        "factoformer",
        "FactoFormer",
        "spectral and spatial transformer, on imagery only",
        "network",
        uses_location=False,
    ),
    _tabular("extra-trees", "the extremely randomised trees", 3),
    _tabular("gradient-boosting", "gradient boosting", 2),
    _tabular("lightgbm", "LightGBM", 2),
    _tabular(
        "forest-kriging",
        "the forest with kriging",
        6,
        "a random forest plus kriging of its residuals",
    ),
    _tabular(
        "gaussian-process",
        "the Gaussian process",
        5,
        "fields of imagery, of location, and of both together",
    ),
    _tabular(
        "stack",
        "the stack",
        7,
        "Gaussian processes and trees; weights depend on the distance to plots",
    ),
    _tabular("random-forest", "the random forest", 3),
    Entry(
        "location-knn",
        "the mean of the nearest plots",
        "10 nearest plots, no imagery",
        "tabular",
        map_rank=1,
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Name -> entry, in the order in which names are listed to a user."""
