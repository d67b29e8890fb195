"""What the server of a run's worker processes imports, so that no process has to."""

from spatioformer.common.workers import start_server
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.schema import RunConfig

OF_JOBS = ("spatioformer.run.jobs", "spatioformer.models.registry", "sklearn.ensemble")
OF_KERNELS = ("numba",)
OF_REPORT = ("spatioformer.report.page",)


def start_workers(config: RunConfig, *, report: bool = False) -> None:
    """Start the server of the worker processes, unless it runs, and do not wait for its imports.

    Args:
        report: whether a report is going to be written.
    """
    published = any(CATALOGUE[name].published for name in config.models)
    start_server([*OF_JOBS, *OF_KERNELS * published, *OF_REPORT * report])
