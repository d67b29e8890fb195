"""Collections known by name: what their numbers mean, where they lie, who is to be credited.

`collections.yaml` has one row a collection. A configuration may give rows of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CatalogueKind = Literal["stac-api", "stac-static", "stac-geoparquet", "index", "folder", "zarr"]
Kind = Literal["scenes", "annual", "embedding"]


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
        bands: names of the bands it belongs to; empty: all. Saturation is stated band by band.
        nodata: raw value outside the scene; it is never clear.
    """

    name: str
    keys: tuple[str, ...]
    kind: Literal["bits", "classes"]
    classes: Mapping[str, int]
    spoils: tuple[str, ...]
    buffered: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    nodata: float | None = None


@dataclass(frozen=True)
class Collection:
    """What must be known about a collection before one of its files is read.

    Attributes:
        name: name in a configuration, such as "sentinel-2-l2a".
        title: name in a sentence.
        kind: "scenes" are composited by year; "annual" are composites as published; "embedding" are
            annual vectors of unit length.
        catalogue: kind of catalogue.
        endpoint: address of the catalogue.
        id: name of the collection in the catalogue.
        bands, masks: the bands and the quality bands.
        hosts: hosts from which its files may come ("*.example.org" matches subdomains).
        signing: name of the way its addresses are signed (`remote.signing`), or None.
        resolution: size of a pixel, m.
        years: first and last year known; None: still growing.
        decode: how raw numbers become values beyond scale and offset: "alphaearth" is
            sign(v) (v / 127.5)^2.
        offset_claim: property of an item by which a catalogue says whether the offset of the
            values has been applied already; see `offsets.py`.
        licence: SPDX name or text.
        attribution: sentence that must be shown with results.
        citation: paper or DOI.
        source: public document from which the address was taken.
        verified: whether the address has been opened by the authors.
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
    signing: str | None = None
    resolution: float = 30.0
    years: tuple[int, int | None] | None = None
    decode: Literal["linear", "alphaearth", "tessera"] = "linear"
    offset_claim: str | None = None
    licence: str = ""
    attribution: str = ""
    citation: str = ""
    source: str = ""
    verified: bool = False
    properties: Mapping[str, object] = field(default_factory=dict)
