"""The dictionary of the map page, read from its source without a JavaScript engine."""

import json
import re
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "page" / "src"
TEXT = r'"(?:[^"\\]|\\.)*"'
ENTRY = re.compile(rf"({TEXT}): W\(\s*({TEXT}),\s*({TEXT}),?\s*\)")


def words(path: Path = SOURCES / "map" / "words.js") -> dict[str, tuple[str, str]]:
    """Key -> text in English and in Spanish."""
    found = ENTRY.findall(path.read_text(encoding="utf-8"))
    return {json.loads(key): (json.loads(en), json.loads(es)) for key, en, es in found}
