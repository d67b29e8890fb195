"""What the server of a run's worker processes imports, so that no process has to."""

from spatioformer.common.workers import start_server

OF_JOBS = ("spatioformer.run.jobs", "spatioformer.models.registry", "sklearn.ensemble")
# The library alone: the modules of compiled functions beside it save no time that can be measured
# (docs/log.md, 2026-11-30). Without numba the server passes over it.
OF_KERNELS = ("numba",)
OF_REPORT = ("spatioformer.report.page",)


def start_workers(*, report: bool = False) -> None:
    """Start the server of the worker processes, unless it runs, and do not wait for its imports.

    Args:
        report: whether a report is going to be written.
    """
    start_server([*OF_JOBS, *OF_KERNELS, *OF_REPORT * report])
