"""Rows of the table of collections as they stand in YAML, checked key by key.

`collections.yaml`, `predictors.yaml` and the user's own rows have this form; `collections.py` turns
them into objects.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from spatioformer.archives.conversions import conversion
from spatioformer.common.errors import ConfigError
from spatioformer.config.fields import AllDifferent, NotEmpty, Positive, Section, Whole, name_of
from spatioformer.config.messages import escaped, message, shown
from spatioformer.config.yaml_text import MOST_BYTES, Refused, parse_yaml, problem_of

TABLE = Path(__file__).with_name("collections.yaml")
PREDICTORS = Path(__file__).with_name("predictors.yaml")
"""Rows of terrain, climate, soil and shares of land cover."""

BandName = Annotated[
    str, name_of("[A-Za-z][A-Za-z0-9_]*", "letters, digits and _, a letter first,")
]
Number = Annotated[float, Field(allow_inf_nan=True)]
Keys = Annotated[tuple[str, ...], NotEmpty, AllDifferent]
Bit = Annotated[int, Field(ge=0, le=31)]
Class = Annotated[int, Field(ge=0, le=2**31)]
Derivative = Literal["slope", "aspect_sin", "aspect_cos", "relief", "wetness"]
"""What is computed from elevation; see `geo.terrain`."""
CatalogueKind = Literal[
    "stac-api", "stac-static", "stac-geoparquet", "index", "folder", "zarr", "files", "vrt"
]
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
    title: str = ""
    code: Class | None = None
    derive: Derivative | None = None
    reduce: Literal["mean", "sum", "min", "max", "daily_sum"] | None = None
    spyndex: str | None = None
    wavelength: Positive | None = None
    number: Whole = 1
    scale: float | None = None
    offset: float | None = None
    nodata: Number | None = None
    unit: str | None = None
    file_unit: str | None = None
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
    title: str = ""


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


class FilesRow(Section):
    """Where the files of a collection without a catalogue lie: their addresses follow a form.

    A form is text with names in braces: `key`, `group` and `band` (of the band: what stands behind
    and before the / of its key, and its number), `year`, each name of `choices`, and of a tile
    `ns`, `lat`, `ew`, `lon` (its southwestern corner), `number` (row by row from the northwest) and
    `tile` (its whole name). `{lat:02}` has two digits; `{model:lower}` has small letters.

    Attributes:
        form: address of a file below the endpoint.
        degrees: side of a tile; None: each file covers the Earth.
        tile: form of a tile's name.
        list: document below the endpoint that names the tiles that exist; tiles that it lacks are
            sea. None: all exist.
        member: form of the name of a raster in a zip archive, or of a variable in a NetCDF file.
        choices: values of each option; the first one is used unless the source chooses.
        pixels: size of a pixel, m, of each value of the option `pixel`.
        months: whether the bands of each file must be the twelve months of its year.
        download: how a user gets the files of an archive that needs an account, for a message; a
            source must then give the folder as `endpoint`. None: they are fetched.
    """

    form: str
    degrees: Annotated[int, Field(ge=1, le=90)] | None = None
    tile: str | None = None
    list: str | None = None
    member: str | None = None
    choices: dict[BandName, Annotated[tuple[str, ...], NotEmpty, AllDifferent]] = Field(
        default_factory=dict
    )
    pixels: dict[str, Positive] = Field(default_factory=dict)
    months: bool = False
    download: str | None = None


class CollectionRow(Section):
    """A collection; see `collections.Collection`.

    Attributes:
        like: name of another row whose keys hold where this one has none.
    """

    like: str | None = None
    title: str
    kind: Literal["scenes", "annual", "static", "embedding", "classes"]
    catalogue: CatalogueKind
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
    period: tuple[int, int] | None = None
    files: FilesRow | None = None
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
        if (self.files is None) == (self.catalogue in ("files", "vrt")):
            raise ValueError("`files` belongs to `catalogue: files` or `vrt`, which need it")
        if self.kind == "static" and (self.years is not None or self.period is None):
            raise ValueError("`kind: static` has no `years`; give the `period` that it describes")
        if any(band.derive for band in self.bands.values()) and self.files is None:
            raise ValueError("`derive` belongs to bands of `catalogue: files`")
        self._check_months()
        for band in self.bands.values():
            if band.file_unit is not None:
                conversion(band.file_unit, self.values.unit if band.unit is None else band.unit)
        return self

    def _check_months(self) -> None:
        """Raise ValueError if months are named of files that have none."""
        months = self.files is not None and self.files.months
        if months and self.kind != "annual":
            raise ValueError("`months` of `files` belongs to `kind: annual`")
        if not months and any(band.reduce == "daily_sum" for band in self.bands.values()):
            raise ValueError("`reduce: daily_sum` needs `files: {months: true}`")


@cache
def built_in() -> dict[str, CollectionRow]:
    """The rows of `collections.yaml`, then those of `predictors.yaml`, by name."""
    return _rows(raw_table(), f"{TABLE.name} and {PREDICTORS.name}", {})


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
    """The plain values of the two tables."""
    raw: dict[str, Any] = {}
    for table in (TABLE, PREDICTORS):
        raw |= parse_yaml(table.read_text(encoding="utf-8"))
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
