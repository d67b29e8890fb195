"""The libraries of the extra `view`."""

from importlib.util import find_spec

from spatioformer.common.errors import OutputError

LIBRARIES = ("fastapi", "uvicorn", "rio_tiler")


def check_installed() -> None:
    """Check that the libraries of the extra are there.

    Raises:
        OutputError: one is missing.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise OutputError(
            f"the map in a browser needs {', '.join(missing)}; install it with "
            "`pip install 'spatioformer[view]'`"
        )
