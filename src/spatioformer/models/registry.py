"""From a name of the catalogue to an estimator."""

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.models.base import Estimator
from spatioformer.models.distilled import DistilledEstimator
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.tabular import TabularEstimator

STACKED = {
    "spatioformer": 0.1,
    "extra-trees": 0.1,
    "gradient-boosting": 0.1,
    "forest-kriging": 0.1,
    "gaussian-process": 0.5,
    "location-knn": 0.1,
}
"""Members of `spatioformer-stacked` and their prior weights.

Half goes to the member that was best on plots kept for such choices (docs/models.md, "The stack").
"""


def make(
    name: str,
    model: ModelSection = ModelSection(),
    train: TrainSection = TrainSection(),
    seed: int = 0,
) -> Estimator:
    """The estimator called `name` in the catalogue.

    Args:
        model: sizes of networks and chips, and the covariates of all models.
        train: how networks are trained; its `teacher` is the distilled network's.
        seed: of every random draw.

    Raises:
        KeyError: there is no such name.
    """
    kind = CATALOGUE[name].kind
    if kind == "tabular":
        return TabularEstimator(name, model, seed)
    if kind == "stack":
        members = {member: make(member, model, train, seed) for member in STACKED}
        return StackEstimator(members, STACKED, train.validation_tile, seed)
    if kind == "distilled":
        teacher = make(train.teacher, model, train, seed)
        return DistilledEstimator(teacher, train.teacher, model, train, seed)
    return NetworkEstimator(name, model, train, seed)
