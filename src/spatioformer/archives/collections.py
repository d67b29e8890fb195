"""Collections known by name: what their numbers mean, where they lie, who is to be credited.

`collections.yaml` has one row a collection. A configuration may give rows of its own
(`imagery.collections`), also under a name of the table, which they then replace.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from spatioformer.archives.rows import (
    BandRow,
    CatalogueKind,
    CollectionRow,
    FilesRow,
    MaskRow,
    ValuesRow,
    built_in,
    rows_of,
)
from spatioformer.common.errors import ConfigError
from spatioformer.config.archives import SourceSection
from spatioformer.config.messages import escaped, shown

Kind = Literal["scenes", "annual", "static", "embedding", "classes"]


@dataclass(frozen=True)
class Band:
    """A band of measurements.

    Attributes:
        name: our name, which bands of a stack get: "red", "nir", "A00".
        keys: names of its asset (or band of an asset) in the catalogues that hold the collection.
        spyndex: letter of the band in the spectral indices of spyndex ("R", "N"), or None.
        wavelength: centre, nm; None where there is none.
        number: number of the band in the asset's file, from 1.
        scale, offset: value = raw * scale + offset.
        nodata: raw value without data.
        unit: unit of the value, "" for a reflectance.
        dtype: type of the raw numbers.
        default: whether it is read where a configuration names no bands. Bands that not all
            items of the collection have are not.
        title: what it is, in words.
        code: code of a class, of which the band is the share of a pixel, 0 to 1; None: it holds
            measurements.
        derive: what is computed from the elevation of the same file (`geo.terrain`); None: nothing.
        reduce: how all bands of the file become one value, as the months of a year do; None: the
            band `number` is read. "daily_sum" adds up values a day: each month counts
            with its days.
        file_unit: unit that the file must state, from which values are converted to `unit`
            (`conversions.py`); None: it is not looked at.
    """

    name: str
    keys: tuple[str, ...]
    spyndex: str | None = None
    wavelength: float | None = None
    number: int = 1
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    unit: str = ""
    dtype: str = "uint16"
    default: bool = True
    title: str = ""
    code: int | None = None
    derive: str | None = None
    reduce: str | None = None
    file_unit: str | None = None


@dataclass(frozen=True)
class QualityMask:
    """A band of quality codes, and which of them spoil an observation.

    Attributes:
        name: our name of the band, "qa", "scl".
        keys: names of its asset in the catalogues.
        kind: "bits": each class is a bit; "classes": each class is a value.
        classes: bit number or value of each class, by name ("cloud", "shadow").
        spoils: names of the classes that are not clear, unless the configuration says otherwise.
        buffered: names of the classes round which pixels are spoiled too (`SourceSection.buffer`).
        bands: names of the bands it belongs to; empty: all. Where `classes` are named like
            these bands, each spoils its own band alone: saturation is stated band by band.
        platforms: names of the satellites whose items it belongs to ("landsat-8"); empty: all. The
            bits of saturation count the bands of the sensor.
        nodata: raw value outside the scene; it is never clear.
    """

    name: str
    keys: tuple[str, ...]
    kind: Literal["bits", "classes"]
    classes: Mapping[str, int]
    spoils: tuple[str, ...]
    buffered: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    nodata: float | None = None

    def applies(self, properties: Mapping[str, object]) -> bool:
        """Whether it belongs to an item with these properties."""
        platform = str(properties.get("platform", "")).lower().replace("_", "-")
        return not self.platforms or platform in self.platforms


@dataclass(frozen=True)
class Collection:
    """What must be known about a collection before one of its files is read.

    Attributes:
        name: name in a configuration, such as "sentinel-2-l2a".
        title: name in a sentence.
        kind: "scenes" are composited by year; "annual" are composites as published; "static" are
            images without a year; "embedding" are annual vectors of unit length; "classes" are land
            cover maps, for masks alone.
        catalogue: kind of catalogue.
        endpoint: address of the catalogue.
        id: name of the collection in the catalogue.
        bands, masks: the bands and the quality bands.
        hosts: hosts from which its files may come ("*.example.org" matches subdomains).
        addresses: beginnings of addresses in the catalogue, and what is read instead: those of
            open buckets ("s3://bucket/") are read over https.
        signing: name of the way its addresses are signed (`remote.signing`), or None.
        resolution: size of a pixel, m.
        years: first and last year known; None: still growing.
        period: first and last year that a static collection describes.
        files: where the files lie, of `catalogue` "files" and "vrt".
        chosen: value of each option of `files`.
        decode: how raw numbers become values beyond scale and offset: "alphaearth" is
            sign(v) (v / 127.5)^2.
        offset_claim: property of an item by which a catalogue says whether the offset of the
            values has been applied already; see `offsets.py`.
        legend: name of the legend of its codes (`legends.yaml`); of "classes" only.
        licence: SPDX name or text.
        attribution: sentence that must be shown with results.
        citation: paper or DOI.
        source: public document from which the address was taken.
        verified: whether the address has been opened by the authors.
        note: what a user must know before reading, such as a login.
    """

    name: str
    title: str
    kind: Kind
    catalogue: CatalogueKind
    endpoint: str
    id: str
    bands: tuple[Band, ...]
    masks: tuple[QualityMask, ...] = ()
    hosts: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    signing: str | None = None
    resolution: float = 30.0
    years: tuple[int, int | None] | None = None
    period: tuple[int, int] | None = None
    files: FilesRow | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)
    decode: Literal["linear", "alphaearth", "tessera"] = "linear"
    offset_claim: str | None = None
    legend: str | None = None
    licence: str = ""
    attribution: str = ""
    citation: str = ""
    source: str = ""
    verified: bool = False
    note: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_of_files(self) -> bool:
        """Whether its files are read without a catalogue, as those of terrain and climate are."""
        return self.catalogue in ("files", "vrt")

    @property
    def parts(self) -> tuple[Band | QualityMask, ...]:
        """The bands, then the quality bands."""
        return *self.bands, *self.masks


def collection_of(section: SourceSection, extra: str | Path | Sequence[str] = ()) -> Collection:
    """The collection of a source: its row, with the catalogue that the source gives.

    Args:
        section: the source.
        extra: YAML files with further rows (`imagery.collections`); a later file counts first.

    Raises:
        ConfigError: no row has the name, or a file of rows is wrong.
    """
    rows = dict(built_in())
    for path in (extra,) if isinstance(extra, str | Path) else extra:
        rows.update(rows_of(path))
    if section.collection not in rows:
        near = difflib.get_close_matches(section.collection[:80], rows, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(rows)}"
        raise ConfigError(
            f"source {section.name}: the collection {shown(section.collection)} is not known; "
            f"{hint}? Rows of your own belong in a file that `imagery.collections` names"
        )
    collection = _collection(section.collection, rows[section.collection])
    _check_kind(section, collection)
    _check_download(section, collection)
    chosen = _chosen(section, collection)
    pixels = {} if collection.files is None else collection.files.pixels
    endpoint = section.endpoint or collection.endpoint
    return replace(
        collection,
        chosen=chosen,
        resolution=pixels.get(chosen.get("pixel", ""), collection.resolution),
        catalogue=section.kind or collection.catalogue,
        endpoint=endpoint,
        id=section.id or collection.id,
        hosts=collection.hosts + section.hosts,
        # An address of the user's own choice needs no warning.
        verified=collection.verified or endpoint != collection.endpoint,
    )


def _check_kind(section: SourceSection, collection: Collection) -> None:
    """Raise if the keys of a source do not fit the kind of its collection.

    That is years where there are none, another kind of catalogue, or composites of single images.
    """
    name = f"source {section.name}: {collection.name}"
    if collection.kind == "static" and section.years is not None:
        assert collection.period is not None
        first, last = collection.period
        raise ConfigError(
            f"{name} has no years (it describes {first} to {last}); leave `years` out"
        )
    if collection.kind != "static" and section.years is None:
        raise ConfigError(f"{name} needs `years`: one, the first and the last, or every year")
    if section.kind is not None and collection.is_of_files != (section.kind in ("files", "vrt")):
        needed = collection.catalogue if collection.is_of_files else "a catalogue"
        raise ConfigError(
            f"{name} is read from {needed}, not from `kind: {section.kind}`; leave `kind` out, and "
            "give in `endpoint` where the files lie"
        )

    if collection.is_of_files:
        for key in ("composite", "indices", "deviations", "count", "season"):
            if getattr(section, key) not in (None, (), False, "none"):
                raise ConfigError(
                    f"{name} holds single images, so `{key}` means nothing; leave it out"
                )


def _check_download(section: SourceSection, collection: Collection) -> None:
    """Raise if only the user can fetch the files, and the source does not say where they lie."""
    files = collection.files
    if files is not None and files.download and section.endpoint is None:
        raise ConfigError(
            f"source {section.name}: {collection.name} needs `endpoint`, a folder with your "
            f"downloads: {files.download}"
        )


def _chosen(section: SourceSection, collection: Collection) -> dict[str, str]:
    """The value of each option of a collection.

    Raises:
        ConfigError: the collection has no such option or value.
    """
    choices = {} if collection.files is None else collection.files.choices
    for option, value in section.choose.items():
        if option not in choices:
            known = f"its options are {', '.join(choices)}" if choices else "it has none"
            raise ConfigError(
                f"source {section.name}: {collection.name} has no option {shown(option)} in "
                f"`choose`; {known}"
            )
        if value not in choices[option]:
            raise ConfigError(
                f"source {section.name}: {shown(value)} is no {option} of {collection.name}; "
                f"choose {', '.join(choices[option])}"
            )
    return {option: section.choose.get(option, values[0]) for option, values in choices.items()}


def chosen_bands(section: SourceSection, collection: Collection) -> tuple[Band, ...]:
    """The bands that a source names, or the collection's default ones.

    Raises:
        ConfigError: the collection lacks one.
    """
    if section.bands is None:
        return tuple(band for band in collection.bands if band.default)
    by_name = {band.name: band for band in collection.bands}
    for name in section.bands:
        if name not in by_name:
            near = difflib.get_close_matches(name[:80], by_name, n=1)
            hint = f"did you mean {near[0]}" if near else f"it has {', '.join(by_name)}"
            raise ConfigError(
                f"source {section.name}: {collection.name} has no band {escaped(name)}; {hint}"
            )
    return tuple(by_name[name] for name in section.bands)


def _collection(name: str, row: CollectionRow) -> Collection:
    bands = [_band(band, of, row.values) for band, of in row.bands.items()]
    if (counted := row.numbered) is not None:
        bands += [
            _band(
                f"{counted.prefix}{i + counted.first:0{counted.digits}d}",
                BandRow(keys=counted.keys, number=i + 1, title=counted.title),
                row.values,
            )
            for i in range(counted.count)
        ]
    fields = {
        key: getattr(row, key)
        for key in CollectionRow.model_fields
        if key not in ("like", "values", "bands", "numbered", "masks")
    }
    masks = tuple(_mask(mask, of) for mask, of in row.masks.items())
    return Collection(name=name, bands=tuple(bands), masks=masks, **fields)


def _band(name: str, row: BandRow, values: ValuesRow) -> Band:
    common = {key: getattr(values, key) for key in ValuesRow.model_fields}
    stated = {key: value for key, value in row if value is not None}
    return Band(name=name, **(common | stated))


def _mask(name: str, row: MaskRow) -> QualityMask:
    return QualityMask(name=name, **row.model_dump())
