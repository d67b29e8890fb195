"""A Gaussian process whose response to imagery varies in space; `kernel` has the formula."""

from spatioformer.models.baselines.gaussian.process import GaussianProcess, gaussian_process

# Files of models name the class by this package, whatever its module is called.
GaussianProcess.__module__ = __name__

__all__ = ["GaussianProcess", "gaussian_process"]
