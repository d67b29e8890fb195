"""What the evaluation must know of models before any is made: parts of others, cheaper forms."""

from spatioformer.config.catalogue import CATALOGUE

STACKED = {
    "spatioformer": 0.1,
    "extra-trees": 0.1,
    "gradient-boosting": 0.1,
    "forest-kriging": 0.1,
    "gaussian-process": 0.5,
    "location-knn": 0.1,
}
"""Members of `spatioformer-stacked` and their prior weights.

The member with half of the weight was the best on plots that no published score uses
(docs/models.md, "The stack").
"""


QUICK_FORMS = ("random-forest",)
"""Models with a cheaper form for the curve of r2 (`baselines.QUICK`)."""

QUICK_TREES = 100
"""A forest of these has an r2 .001 to .002 below that of 300 trees, at each tile size."""


TABULAR_PARTS = {"stack": ("gaussian-process",), "forest-kriging": ("random-forest",)}
"""Models of `baselines` whose `fit` takes another one, fitted to the same plots."""


def parts_of(name: str, teacher: str) -> tuple[str, ...]:
    """Names of the models that the model `name` fits to the same plots as itself, if any.

    It takes them from `FitContext.fitted` where they are fitted already.

    Args:
        teacher: name of the teacher of a distilled network (`train.teacher`).
    """
    kind = CATALOGUE[name].kind
    if kind == "stack":
        return tuple(STACKED)
    if kind == "distilled":
        return (teacher, *parts_of(teacher, teacher))
    return TABULAR_PARTS.get(name, ())
