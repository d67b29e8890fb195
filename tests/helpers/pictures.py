"""Reports without drawing, for tests of runs that look at no picture.

Drawing is three quarters of the time of a tiny run. The figures are still made, and the page with
its words and tables is complete; tests/report draws all pictures.
"""

import contextlib
import io
from collections.abc import Iterator

import pytest
from PIL import Image

from spatioformer.common import style

DRAW = style.png, style.files


def _pixel() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, "PNG")
    return stream.getvalue()


PNG, SVG = _pixel(), b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@contextlib.contextmanager
def blank() -> Iterator[None]:
    """Pictures of one pixel instead of drawn ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "png", lambda *_, **__: PNG)
        patch.setattr(style, "files", lambda *_, **__: (PNG, SVG))
        yield


@contextlib.contextmanager
def drawn() -> Iterator[None]:
    """Drawn pictures, also inside `blank`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "png", DRAW[0])
        patch.setattr(style, "files", DRAW[1])
        yield
