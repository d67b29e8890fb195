"""A run: its stages in order, each skipped while nothing it depends on has changed."""

from spatioformer.run.runner import Run

__all__ = ["Run"]
