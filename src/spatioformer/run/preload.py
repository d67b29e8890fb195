"""What the server of a run's worker processes imports, so that no process has to."""

from spatioformer.common.workers import start_server

OF_JOBS = ("spatioformer.run.jobs", "spatioformer.models.registry", "sklearn.ensemble")
# The server passes over modules that cannot be imported, as these without numba.
OF_KERNELS = (
    "spatioformer.models.baselines.gaussian.pairs",
    "spatioformer.nn.kernels.attention",
    "spatioformer.nn.kernels.mlp",
    "spatioformer.nn.kernels.pre_norm",
)
OF_REPORT = ("spatioformer.report.page",)


def start_workers(*, report: bool = False) -> None:
    """Start the server of the worker processes, unless it runs, and do not wait for its imports.

    Args:
        report: whether a report is going to be written.
    """
    start_server([*OF_JOBS, *OF_KERNELS, *OF_REPORT * report])
