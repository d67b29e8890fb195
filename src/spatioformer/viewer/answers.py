"""JSON answers: numbers without a value become null, and errors one sentence."""

import json
import math
from typing import Any

from starlette.responses import Response


def dumps(content: Any) -> bytes:
    """Content as JSON; NaN and infinite numbers become null."""
    return json.dumps(
        clean(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def clean(value: Any) -> Any:
    """A value whose numbers JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


class JSON(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


def refusal(sentence: str, status: int = 400) -> JSON:
    """An answer that says in one sentence what is wrong with a request."""
    return JSON({"error": sentence}, status_code=status)
