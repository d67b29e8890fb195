"""Types of values of a configuration, and the base class of its sections."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

Values = tuple[Any, ...]


def _not_empty(values: Values) -> Values:
    if not values:
        raise ValueError("it needs at least one entry")
    return values


def _all_different(values: Values) -> Values:
    if len(set(values)) < len(values):
        raise ValueError("an entry repeats; name each once")
    return values


def name_of(pattern: str, words: str) -> AfterValidator:
    """Check that text matches a pattern, because it becomes part of file or band names."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"it may hold {words} only")
        if len(value) > LONGEST_NAME:
            raise ValueError(f"it may have {LONGEST_NAME} characters at most")
        return value

    return AfterValidator(check)


def _class(value: Any) -> int | str:
    """The code or the name of a class; a code may be quoted."""
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", value):
        if value.strip():
            return value
    elif isinstance(value, str | int) and not isinstance(value, bool):
        if -(2**63) <= int(value) < 2**63:
            return int(value)
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    raise ValueError("it must be the code of a class, a whole number, or the name of one")


LONGEST_NAME = 100  # with an ending it is a file's name, and that takes 255 bytes
NotEmpty = AfterValidator(_not_empty)
AllDifferent = AfterValidator(_all_different)
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
TileSize = Annotated[float, Field(gt=0, le=180)]
Whole = Annotated[int, Field(ge=1, le=10**9)]  # beyond it, libraries fail in words of their own
Size = Annotated[int, Field(ge=1, le=10**5)]  # of a layer of a network, and other counts
Code = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # of a class raster
ClassOf = Annotated[int | str, PlainValidator(_class)]
Region = tuple[float, float, float, float]
PATH_KEYS = ("path", "noise_path", "endpoint", "collections", "outline", "region_file")
NOT_FILES = {"outline": ("auto", "none")}
"""Values of keys of paths that are words, not paths."""


def is_path(key: str, value: Any) -> bool:
    """Whether a value of the configuration is the path of an input file, not a word or address."""
    if key not in PATH_KEYS or not isinstance(value, str) or value in NOT_FILES.get(key, ("",)):
        return False
    return not (key == "endpoint" and is_address(value))


def is_address(text: str) -> bool:
    """Whether text begins like an address of the network, such as https://, and is no path."""
    return re.match("[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, and values are immutable."""

    # A serializer of its own keeps a nodata of NaN, which JSON has no word for.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )
