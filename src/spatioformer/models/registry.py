"""Make the estimator of a model of the catalogue."""

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.models.base import Estimator
from spatioformer.models.distilled import DistilledEstimator
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.parts import STACKED
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.tabular import TabularEstimator


def make(
    name: str,
    model: ModelSection = ModelSection(),
    train: TrainSection = TrainSection(),
    seed: int = 0,
    quick: bool = False,
) -> Estimator:
    """Make the estimator of the model `name` of the catalogue.

    Args:
        model: sizes of networks and chips, and the covariates of all models.
        train: training recipe of networks, and the teacher of the distilled network.
        seed: of all random numbers.
        quick: whether a tabular model may be a cheaper form of itself (`baselines.QUICK`).

    Raises:
        KeyError: the catalogue has no such name.
    """
    kind = CATALOGUE[name].kind
    if kind == "tabular":
        return TabularEstimator(name, model, seed, quick=quick)
    if kind == "stack":
        members = {member: make(member, model, train, seed) for member in STACKED}
        return StackEstimator(members, STACKED, train.validation_tile, seed)
    if kind == "distilled":
        teacher = make(train.teacher, model, train, seed)
        return DistilledEstimator(teacher, train.teacher, model, train, seed)
    return NetworkEstimator(name, model, train, seed)
