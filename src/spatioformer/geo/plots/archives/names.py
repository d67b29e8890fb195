"""Names of plants as taxa that are counted: genus, rank, hybrids, morphospecies.

The forms are those of the International Code of Nomenclature for algae, fungi, and plants (Shenzhen
Code, 2018; articles 20-24 on species and infraspecific names, H.1-H.6 on hybrids), and those that
botanists write in field lists: sp., cf., agg., s.l., sp. 1.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from spatioformer.geo.plots.taxa import fold

SPECIES, INFRASPECIFIC, HYBRID = "species", "infraspecific", "hybrid"
MORPHOSPECIES, GENUS, HIGHER, UNNAMED = "morphospecies", "genus", "above genus", "unnamed"
OTHER = "other"  # a code or a vernacular name, which is counted as it is written

KINDS = (SPECIES, INFRASPECIFIC, HYBRID, MORPHOSPECIES, GENUS, HIGHER, UNNAMED, OTHER)

_RANKS = {
    **dict.fromkeys(
        ("subspecies", "variety", "form", "forma", "infraspecific_name", "infraspecificname",
         "subvariety", "subform", "cultivar", "subsp.", "subsp", "ssp.", "ssp", "var.", "var",
         "f.", "infrasubspecific_name", "infrageneric_name", "varietas", "cultivar_group",
         "infraspecific name", "nothosubspecies", "nothovariety"), INFRASPECIFIC),
    **dict.fromkeys(("species", "sp.", "sp", "species_aggregate", "species aggregate",
                     "aggregate", "nothospecies", "speciesaggregate", "agg."), SPECIES),
    **dict.fromkeys(("genus", "subgenus", "section", "series", "nothogenus", "gen."), GENUS),
    **dict.fromkeys(
        ("kingdom", "phylum", "division", "class", "subclass", "order", "suborder", "family",
         "subfamily", "tribe", "subtribe", "superfamily", "subphylum", "subkingdom", "domain",
         "superorder", "clade", "life", "fam.", "ord."), HIGHER),
    **dict.fromkeys(("", "unranked", "no rank", "unknown", "na", "null", "other"), ""),
}  # fmt: skip
"""taxonRank in lower case -> kind of name; '' for ranks that say nothing."""

_MARKS = {"subsp.", "subsp", "ssp.", "ssp", "var.", "var", "f.", "fo.", "forma", "subvar.", "cv.",
          "convar.", "nothosubsp.", "nothovar.", "subf."}  # fmt: skip
_SECTIONS = {"sect.", "sect", "section", "subg.", "subgen.", "subgenus", "ser.", "series"}
_QUALIFIERS = {"cf.", "cf", "aff.", "aff", "?", "cfr.", "conf.", "prob."}
_UNNAMED = {
    "unknown", "unidentified", "indet", "indet.", "indeterminate", "indetermined", "undetermined",
    "unnamed", "dead", "no", "none", "annual", "perennial", "bare", "litter", "seedling",
    "seedlings", "indeterminada", "indeterminado", "desconocida", "desconocido", "inconnu",
    "unbestimmt", "species", "sp", "sp.", "spp", "spp.", "dicot", "monocot", "forb", "grass",
    "shrub", "tree", "herb", "unident.", "unid", "morphospecies", "morphotype",
}  # fmt: skip
_SP = re.compile(r"(?:sp|spp|spec|species|esp|espec)\.?", re.I)
_SP_NUMBER = re.compile(
    r"(?:sp|spp|spec|esp|morphosp|msp|morphotype|morpho)\.?_?-?\w{0,3}\d+\w?", re.I
)
_EPITHET = re.compile(r"[^\W\d_A-Z][^\W\d_]*(?:-[^\W\d_]+)*")
_TITLED = re.compile(r"[A-Z][a-z]{2,}(?:-[A-Za-z][a-z]+)*")
_GENUS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_HIGHER = re.compile(r".+(?:aceae|ales|oideae|opsida|phyta|inae|ineae|phytina)")
_FORMULA = re.compile(r"\s+[×x]\s+(?=[^\W\d_])|\s*×\s+", re.I)
_FAMILIES = {"compositae", "gramineae", "leguminosae", "umbelliferae", "labiatae", "cruciferae",
             "palmae", "guttiferae"}  # fmt: skip


class Taxon(NamedTuple):
    """A name as a taxon.

    Attributes:
        key: form in which taxa are compared; infraspecific names have the key of their species.
        full: as `key`, with the infraspecific part.
        genus: genus in lower case; '' if there is none.
        kind: one of KINDS.
    """

    key: str
    full: str
    genus: str
    kind: str


def rank_kind(rank: str) -> str | None:
    """Kind of name of a taxonRank; '' if it says nothing, None if it is not known."""
    return _RANKS.get(rank.strip().lower())


@lru_cache(maxsize=200_000)
def parse_name(text: str, rank: str = "") -> Taxon:
    """A name, with or without authors, as a taxon.

    Args:
        text: the name; `Acacia.aneura` and `Acacia_aneura` are read as two words.
        rank: its taxonRank, which decides over what the form shows.
    """
    taxon = _parse(text)
    stated = rank_kind(rank)
    if stated in (GENUS, HIGHER) and taxon.kind not in (MORPHOSPECIES, UNNAMED):
        name = taxon.full if stated == HIGHER else taxon.genus or taxon.full
        return Taxon(name, name, taxon.genus if stated == GENUS else "", stated)
    return taxon


def is_titled(text: str) -> bool:
    """Whether a capitalised word, an author or an epithet, follows a genus: `Poa Annua`."""
    words = _spaced(text).split()
    return (
        len(words) > 1
        and bool(_TITLED.fullmatch(words[1]))
        and not _SP.fullmatch(words[1])
        and parse_name(text).kind == GENUS
    )


def _parse(text: str) -> Taxon:
    plain = _spaced(text)
    folded = fold(plain)
    words = [w for w in plain.split() if w.lower() not in _QUALIFIERS]
    words = [w.removesuffix("?") or w for w in words]
    if not words or words[0].lower() in _UNNAMED:
        return Taxon(folded, folded, "", UNNAMED)
    if hybrid := _hybrid(plain, words):
        return hybrid
    first = words[0]
    genus = fold(first)
    if not _GENUS.fullmatch(first) or (first.isupper() and len(words) == 1):
        return Taxon(folded, folded, "", OTHER)
    if _HIGHER.fullmatch(genus) or genus in _FAMILIES:
        return Taxon(genus, genus, "", HIGHER)
    rest = words[1:]
    if not rest:
        return Taxon(genus, genus, genus, GENUS)
    second = rest[0]
    if _SP_NUMBER.fullmatch(second) or (_SP.fullmatch(second) and len(rest) > 1):
        return Taxon(folded, folded, genus, MORPHOSPECIES)
    if _SP.fullmatch(second) or second.lower() in ("indet", "indet."):
        return Taxon(genus, genus, genus, GENUS)
    if second.lower() in _SECTIONS and len(rest) > 1:
        section = f"{genus} {fold(' '.join(rest[:2]))}"
        return Taxon(section, section, genus, SPECIES)
    epithet = second.lower() if plain.isupper() else second
    epithet = epithet.split("/")[0] or epithet  # Poa annua/trivialis counts as its first name
    if not _EPITHET.fullmatch(epithet):  # an author, or a number
        if any(mark.isdigit() for mark in second):
            return Taxon(folded, folded, genus, MORPHOSPECIES)
        return Taxon(genus, genus, genus, GENUS)
    return _below_species(genus, fold(epithet), rest[1:])


def _below_species(genus: str, epithet: str, rest: list[str]) -> Taxon:
    key = full = f"{genus} {epithet}"
    for mark, name in pairwise(rest):
        if mark.lower() in _MARKS and _EPITHET.fullmatch(name):
            full += f" {fold(name)}"
    return Taxon(key, full, genus, INFRASPECIFIC if full != key else SPECIES)


def _hybrid(plain: str, words: list[str]) -> Taxon | None:
    """A hybrid: a formula (Quercus robur x petraea) or a name with × before a part."""
    parents = _FORMULA.split(plain)
    if len(parents) == 2 and len(parents[0].split()) > 1 and parents[1].strip():
        left = _parse(parents[0])
        right = _parse(_whole(parents[1], words[0]))
        if left.kind in (SPECIES, INFRASPECIFIC) and right.kind in (SPECIES, INFRASPECIFIC):
            key = " × ".join(sorted((left.key, right.key)))
            return Taxon(key, key, left.genus, HYBRID)
    marked = [w for w in words if w.startswith("×") or w.lower() == "x"]
    if not marked or (len(words) > 2 and marked[0] not in words[:2]):
        return None
    named = [w.lstrip("×") for w in words if w.lower() not in ("x", "×")]
    named = [w for w in named if w]
    taxon = _parse(" ".join(named)) if named else None
    if taxon is None or taxon.kind not in (SPECIES, INFRASPECIFIC, GENUS):
        return None
    if taxon.kind == GENUS:
        return taxon
    key = f"{taxon.key} ×"
    return Taxon(key, key, taxon.genus, HYBRID)


def _whole(parent: str, genus: str) -> str:
    """The second parent of a formula with its genus: `petraea` and `Q. petraea` become whole."""
    words = parent.split()
    if re.fullmatch(r"[A-Z]\.", words[0]):
        return " ".join([genus, *words[1:]])
    return parent if words[0][:1].isupper() else f"{genus} {parent}"


def _spaced(text: str) -> str:
    """A name with single spaces; dots and underscores between words without spaces are spaces."""
    plain = " ".join(text.split())
    if " " in plain:
        return plain.replace("_", " ")
    plain = plain.replace("_", " ")
    if "." in plain.rstrip("."):
        plain = " ".join(part for part in plain.split(".") if part)
    return plain
