"""The argument CONFIG|RUN|MODEL: a configuration, a run folder or a model folder, alike everywhere.

Each command takes what it needs from it: the run, its folder, or the model's folder.
"""

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatioformer.common.errors import ConfigError

if TYPE_CHECKING:
    from spatioformer.run.runner import Run

METAVAR = "CONFIG|RUN|MODEL"
Source = Annotated[
    Path,
    typer.Argument(
        metavar=METAVAR,
        help="The run: its configuration (.yaml), its folder, or the model folder in it.",
    ),
]

RESOLVED, MODEL_CONFIG, MODEL = "config.resolved.yaml", "config.json", "model"


class Kind(Enum):
    """What a path is."""

    CONFIG = "configuration"
    RUN = "run folder"
    MODEL = "model folder"


def kind_of(path: Path) -> Kind:
    """What a path is: a configuration by its suffix or as a file, a folder by the file in it.

    Raises:
        ConfigError: it is none of the three.
    """
    if path.suffix in (".yaml", ".yml") or os.path.isfile(path):  # any file name was allowed
        return Kind.CONFIG
    # os.path answers False where a path cannot be looked at; pathlib raises.
    if os.path.isfile(path / RESOLVED):
        return Kind.RUN
    if os.path.isfile(path / MODEL_CONFIG):
        return Kind.MODEL
    from spatioformer.config.messages import escaped

    state = "is none of the three" if os.path.exists(path) else "does not exist"
    raise ConfigError(
        f"{escaped(path)} {state}; give a configuration (.yaml), a run folder (with {RESOLVED}) or "
        f"a model folder (with {MODEL_CONFIG})"
    )


def run_folder(source: Path) -> Path:
    """The folder of the run that `source` names; that of a configuration may not exist yet.

    Raises:
        ConfigError: `source` is none of the three, or a model folder outside a run.
    """
    kind = kind_of(source)
    if kind is Kind.CONFIG:
        from spatioformer.config.file import load_config

        return Path(load_config(source).out)
    if kind is Kind.RUN:
        return source
    model = Path(os.path.abspath(source))  # of "." and ".." too; links stay
    if model.name == MODEL and os.path.isfile(model.parent / RESOLVED):
        return source.parent if source.name == MODEL else model.parent
    raise ConfigError(
        f"{source} is a model folder outside a run, and this command needs the run; give the run's "
        "folder or its configuration"
    )


def model_folder(source: Path) -> Path:
    """The model's folder that `source` names.

    Raises:
        ConfigError: `source` is none of the three, or its run has no model yet.
    """
    if kind_of(source) is Kind.MODEL:
        return source
    folder = run_folder(source) / MODEL
    if not os.path.isfile(folder / MODEL_CONFIG):
        raise ConfigError(
            f"{source} has no model yet: {folder} is missing; run `spatioformer train {source}` "
            "first"
        )
    return folder


def open_run(
    source: Path,
    changes: list[str] | None,
    quiet: bool,
    *,
    resume: bool = True,
    offline: bool = False,
    refresh: bool = False,
    out: Path | None = None,
    scheduler: str | None = None,
) -> "Run":
    """The run that `source` names, with `A.B=C` changes laid over its configuration.

    Args:
        resume, offline, refresh, scheduler: as `Run`.
        out: the run folder; None: that of the configuration, or the folder that `source` names,
            which may have been moved.

    Raises:
        ConfigError: `source` names no run, or its configuration cannot be used.
    """
    from spatioformer.common.progress import Console
    from spatioformer.run.runner import Run

    changes = changes or []
    changed = any(change.partition("=")[0].strip() == "out" for change in changes)
    if out is not None and changed:
        raise ConfigError(f"-o {out} and --set out=FOLDER both name the run folder; give one")
    config = source
    if kind_of(source) is not Kind.CONFIG:
        folder = run_folder(source)
        config = folder / RESOLVED
        out = out if out is not None or changed else folder
    return Run(
        config,
        changes,
        console=Console(quiet),
        resume=resume,
        offline=offline,
        refresh=refresh,
        out=out,
        scheduler=scheduler,
    )
