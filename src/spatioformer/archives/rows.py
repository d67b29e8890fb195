"""Rows of the table of collections as they stand in YAML, checked key by key.

`collections.yaml` and the user's own rows have this form; `collections.py` turns them into objects.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from spatioformer.common.errors import ConfigError
from spatioformer.config.fields import AllDifferent, NotEmpty, Positive, Section, Whole, name_of
from spatioformer.config.messages import escaped, message, shown
from spatioformer.config.yaml_text import MOST_BYTES, Refused, parse_yaml, problem_of

TABLE = Path(__file__).with_name("collections.yaml")

BandName = Annotated[
    str, name_of("[A-Za-z][A-Za-z0-9_]*", "letters, digits and _, a letter first,")
]
Number = Annotated[float, Field(allow_inf_nan=True)]
Keys = Annotated[tuple[str, ...], NotEmpty, AllDifferent]
Bit = Annotated[int, Field(ge=0, le=31)]
Class = Annotated[int, Field(ge=0, le=2**31)]
Dtype = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


class ValuesRow(Section):
    """What the raw numbers of all bands mean, unless a band says otherwise."""

    scale: float = 1.0
    offset: float = 0.0
    nodata: Number | None = None
    unit: str = ""
    dtype: Dtype = "uint16"


class BandRow(Section):
    """A band; a number that is left out is that of `values`. See `collections.Band`."""

    keys: Keys
    spyndex: str | None = None
    wavelength: Positive | None = None
    number: Whole = 1
    scale: float | None = None
    offset: float | None = None
    nodata: Number | None = None
    unit: str | None = None
    dtype: Dtype | None = None
    default: bool = True


class NumberedRow(Section):
    """Bands in one file whose names are counted: A00, A01, ... are its bands 1, 2, ...

    Attributes:
        digits: digits of the number in a name.
        first: number in the name of the first band.
    """

    prefix: BandName
    count: Annotated[int, Field(ge=1, le=1000)]
    keys: Keys
    digits: Annotated[int, Field(ge=1, le=4)] = 2
    first: Annotated[int, Field(ge=0, le=1)] = 0


class MaskRow(Section):
    """A quality band; see `collections.QualityMask`."""

    keys: Keys
    kind: Literal["bits", "classes"]
    classes: dict[BandName, Class]
    spoils: Annotated[tuple[str, ...], NotEmpty, AllDifferent]
    buffered: Annotated[tuple[str, ...], AllDifferent] = ()
    bands: Annotated[tuple[str, ...], AllDifferent] = ()
    platforms: Annotated[tuple[str, ...], AllDifferent] = ()
    nodata: Number | None = None

    @model_validator(mode="after")
    def _classes_exist(self) -> "MaskRow":
        for key in ("spoils", "buffered"):
            strange = [name for name in getattr(self, key) if name not in self.classes]
            if strange:
                raise ValueError(
                    f"`{key}` names {strange[0]!r}, which is not one of the `classes`: "
                    f"{', '.join(self.classes)}"
                )
        if self.kind == "bits" and (high := max(self.classes.values(), default=0)) > 31:
            raise ValueError(f"bit {high} is above 31; give the number of the bit, not its value")
        return self


class CollectionRow(Section):
    """A collection; see `collections.Collection`.

    Attributes:
        like: name of another row whose keys hold where this one has none.
    """

    like: str | None = None
    title: str
    kind: Literal["scenes", "annual", "embedding", "classes"]
    catalogue: Literal["stac-api", "stac-static", "stac-geoparquet", "index", "folder", "zarr"]
    endpoint: str
    id: str
    values: ValuesRow = ValuesRow()
    bands: dict[BandName, BandRow] = Field(default_factory=dict)
    numbered: NumberedRow | None = None
    masks: dict[BandName, MaskRow] = Field(default_factory=dict)
    hosts: Annotated[tuple[str, ...], AllDifferent] = ()
    addresses: dict[str, str] = Field(default_factory=dict)
    signing: str | None = None
    resolution: Positive
    years: tuple[int, int | None] | None = None
    decode: Literal["linear", "alphaearth", "tessera"] = "linear"
    offset_claim: str | None = None
    legend: str | None = None
    licence: str = ""
    attribution: str = ""
    citation: str = ""
    source: str = ""
    verified: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> "CollectionRow":
        if not self.bands and self.numbered is None:
            raise ValueError("it needs `bands`")
        names = [*self.bands, *self.masks]
        if repeated := next((name for name in self.masks if name in self.bands), None):
            raise ValueError(f"{repeated!r} is a band and a quality band; rename one")
        for mask in self.masks.values():
            strange = [name for name in mask.bands if name not in self.bands]
            if strange:
                raise ValueError(f"a quality band belongs to {strange[0]!r}, not one of {names}")
        if self.years is not None and self.years[1] is not None and self.years[1] < self.years[0]:
            raise ValueError("`years` end before they begin")
        return self


@cache
def built_in() -> dict[str, CollectionRow]:
    """The rows of `collections.yaml` by name."""
    return _rows(parse_yaml(TABLE.read_text(encoding="utf-8")), str(TABLE), {})


def rows_of(path: str | Path) -> dict[str, CollectionRow]:
    """The rows of a user's YAML file by name; `like` may name a built-in row.

    Raises:
        ConfigError: it cannot be read, or a row is wrong; the message names the file and the key.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if len(content) > MOST_BYTES:
            raise ConfigError(f"{escaped(path)} has more than {MOST_BYTES:,} bytes; shorten it")
        raw = parse_yaml(content.decode())
    except FileNotFoundError:
        raise ConfigError(
            f"{escaped(path)} does not exist; give the path of a YAML file with collections"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{escaped(path)} cannot be read ({escaped(error)}); give a YAML text file"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        wrong = "cannot be used" if isinstance(error, Refused) else "is not valid YAML"
        raise ConfigError(f"{escaped(path)} {wrong}{line}: {problem_of(error)}") from error
    return _rows(raw, escaped(path), raw_table())


@cache
def raw_table() -> dict[str, Any]:
    """The plain values of `collections.yaml`."""
    raw: dict[str, Any] = parse_yaml(TABLE.read_text(encoding="utf-8"))
    return raw


def _rows(raw: Any, source: str, others: dict[str, Any]) -> dict[str, CollectionRow]:
    if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
        raise ConfigError(
            f"{source} has no rows; write the name of each collection, and its keys below it"
        )
    rows = {}
    for name, values in raw.items():
        try:
            rows[name] = CollectionRow.model_validate(_whole(values, {**others, **raw}, name))
        except ValidationError as error:
            text = message(error, CollectionRow, f"{source}, collection {escaped(name)}")
            raise ConfigError(text) from None
        except ValueError as error:
            raise ConfigError(f"{source}, collection {escaped(name)}: {error}") from None
    return rows


def _whole(values: Any, rows: dict[str, Any], name: str) -> Any:
    """A row with the keys of the row that it is `like`, one step deep into `bands` and `masks`."""
    if not isinstance(values, dict) or values.get("like") is None:
        return values
    like = values["like"]
    base = rows.get(like) if isinstance(like, str) else None
    if not isinstance(base, dict) or like == name or base.get("like") is not None:
        raise ValueError(
            f"`like` is {shown(like)}, which is no row that stands by itself; name another one"
        )
    merged = {**base, **values}
    for key in ("bands", "masks"):
        if isinstance(base.get(key), dict) and isinstance(values.get(key), dict):
            merged[key] = {**base[key], **values[key]}
    return merged
