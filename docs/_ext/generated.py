"""Files of docs/reference/generated, which git ignores."""

from pathlib import Path

from sphinx.application import Sphinx


def write(app: Sphinx, name: str, text: str) -> Path:
    """Write a page unless it has this text already, so that Sphinx reads changed pages only."""
    path = Path(app.srcdir) / "reference" / "generated" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path
