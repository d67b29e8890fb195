"""Runs of a configuration from Python: all stages, or the report alone."""

from collections.abc import Sequence
from pathlib import Path

from spatioformer.common.errors import OutputError
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.report import write_report as write_page
from spatioformer.run.runner import Run


def run_config(
    config: RunConfig | str | Path, changes: Sequence[str] = (), *, console: Console = SILENT
) -> Path:
    """Run a configuration to its report, as `spatioformer run` does; finished stages are kept.

    Args:
        config: path of the YAML file, or a configuration.
        changes: assignments laid over the file, such as "train.epochs=10".
        console: where progress is shown; silent unless one is given.

    Returns:
        The run's folder.

    Raises:
        SpatioformerError: whatever the user can mend, as each stage says.

    Examples:
        >>> import spatioformer as sf
        >>> sf.run_config("absent.yaml")
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.ConfigError: absent.yaml does not exist; give the path of a \
YAML file
    """
    return Run(config, tuple(changes), console=console).until()


def write_report(run: str | Path) -> Path:
    """Write report.html and map.png of a run whose other stages are finished.

    Args:
        run: the run's folder.

    Returns:
        Path of the report.

    Raises:
        OutputError: the folder is no run's, or a stage is not finished.

    Examples:
        >>> import spatioformer as sf
        >>> sf.write_report("absent")
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.OutputError: absent is no run folder: config.resolved.yaml is \
missing; give the folder that `spatioformer run` wrote
    """
    folder = Path(run)
    resolved = folder / "config.resolved.yaml"
    if not resolved.is_file():
        raise OutputError(
            f"{folder} is no run folder: {resolved.name} is missing; give the folder that "
            "`spatioformer run` wrote"
        )
    return write_page(folder, load_config(resolved))
