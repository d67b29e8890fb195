"""Errors that a user can cause.

Each message is one sentence with the invalid value and the remedy. The command line prints it on
stderr and exits with code 2. Any other exception is a defect and keeps its traceback (exit code 1).
"""


class SpatioformerError(Exception):
    """Base of every error a user can cause; the command line turns it into exit code 2."""


class ConfigError(SpatioformerError):
    """A run configuration that cannot be used: unknown key, wrong type, invalid value."""


class PlotError(SpatioformerError):
    """A plot table that cannot be read, or too many of its rows cannot be used."""


class ImageryError(SpatioformerError):
    """A raster that cannot be read, placed on the grid, or matched with plots or model."""


class ModelError(SpatioformerError):
    """A bundle or checkpoint that is missing, incomplete, or of another architecture."""


class EvaluationError(SpatioformerError):
    """Folds, scores, intervals or applicability that cannot be computed from the input."""


class ArgumentError(SpatioformerError, ValueError):
    """An argument of the Python interface that cannot be used: a hyperparameter, a column, a value.

    Also a ValueError, which is what scikit-learn's tools expect of an estimator.
    """


class OutputError(SpatioformerError):
    """An output that cannot be written: it exists, the folder is read-only, the disk is full."""
