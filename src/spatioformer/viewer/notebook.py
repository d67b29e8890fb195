"""Show the map of a run inside a notebook."""

import html
import os
from collections.abc import Callable
from pathlib import Path

from spatioformer.viewer.needs import check_installed

HEIGHT = 640
"""Height of the map in a notebook, CSS pixels."""


class View:
    """A map that is served while this object exists; a notebook shows it in a frame.

    Attributes:
        url: address of the map for the user's browser.
    """

    def __init__(self, url: str, height: int, stop: Callable[[], None]):
        self.url = url
        self._height = height
        self._stop = stop

    def stop(self) -> None:
        """Stop serving."""
        self._stop()

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self._height}px; border: 0"
        return f'<iframe src="{html.escape(self.url)}" title="Map" style="{style}"></iframe>'

    def __repr__(self) -> str:
        return f"<map at {self.url}>"


def view(run: str | Path, *, height: int = HEIGHT, url: str | None = None) -> View:
    """Show the map of a run in a notebook, or give its address.

    The map is served by this process on 127.0.0.1. In a hub of notebooks it is reached through the
    hub's proxy (jupyter-server-proxy).

    Args:
        run: the folder of a finished run.
        height: of the frame, CSS pixels.
        url: address of the notebook's proxy with {port} for the port, such as "/proxy/{port}/";
            None: the hub's proxy where there is a hub, otherwise this machine itself.

    Returns:
        The map; as the last value of a cell it is shown below the cell.

    Raises:
        OutputError: the folder is no run with a map, or the extra `view` is not installed.
        ImageryError: the map cannot be read.

    Examples:
        >>> import spatioformer as sf
        >>> sf.view("absent")
        Traceback (most recent call last):
            ...
        spatioformer.common.errors.OutputError: absent is no run folder: config.resolved.yaml is \
missing; give the folder that `spatioformer run` wrote
    """
    check_installed()
    from spatioformer.viewer.routes import router
    from spatioformer.viewer.run import ViewedRun
    from spatioformer.viewer.serve import bind, start

    viewed = ViewedRun(run)
    place = bind("127.0.0.1", 0, notebook=True)
    stop = start([router(viewed)], place, viewed.warm)

    def end() -> None:
        stop()
        viewed.rasters.close()

    return View(_address(url, place.port, place.gate.token), height, end)


def _address(url: str | None, port: int, token: str | None) -> str:
    """Address of the map; behind a proxy with the token, since its name is not known here."""
    hub = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if url is None and hub is not None:
        url = f"{hub.rstrip('/')}/proxy/{{port}}/"
    if url is None:
        return f"http://127.0.0.1:{port}/"
    return f"{url.replace('{port}', str(port))}?token={token}"
