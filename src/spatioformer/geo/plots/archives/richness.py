"""Richness of visits: which names on their lists count as one taxon, and which do not count.

Rules of names, the option `taxa`:

- `species`: a subspecies, variety or form counts as its species. Hybrids and morphospecies
  (`Poa sp. 1`) are taxa of their own. A name of a genus alone counts if no other taxon of that
  genus is on the list. Names above the genus, and plants without a name, do not count.
- `strict`: as `species`, but hybrids, morphospecies and names of a genus alone do not count.
- `written`: each accepted name counts as it is written, except plants without a name.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatioformer.geo.plots.archives import names as kinds
from spatioformer.geo.plots.archives.names import Taxon, is_titled, parse_name, rank_kind
from spatioformer.geo.plots.archives.survey import Name, Records
from spatioformer.geo.plots.source import quoted
from spatioformer.geo.plots.taxa import fold

TaxaRule = Literal["species", "strict", "written"]
RULES: tuple[TaxaRule, ...] = ("species", "strict", "written")

_DROPPED = {
    "species": (kinds.HIGHER, kinds.UNNAMED),
    "strict": (kinds.HIGHER, kinds.UNNAMED, kinds.HYBRID, kinds.MORPHOSPECIES, kinds.GENUS),
    "written": (kinds.UNNAMED,),
}

Codes = NDArray[np.int64]

_FEWEST_TITLED = 3  # names such as `Poa Annua` from which the whole list is taken to be so written


@dataclass(frozen=True)
class Lists:
    """The taxa on the lists of visits.

    Attributes:
        visits, taxa: codes of the distinct pairs (n,), ordered by visit.
        genera: genus of each taxon, by its code; -1 for none.
        is_genus: whether a taxon is a genus alone, by its code.
        summary: how many names were joined or do not count.
        notes: sentences for the report.
    """

    visits: Codes
    taxa: Codes
    genera: Codes
    is_genus: NDArray[np.bool_]
    summary: dict[str, Any]
    notes: list[str]

    def richness(self, count: int) -> Codes:
        """Number of taxa of each of `count` visits."""
        return np.bincount(self.visits[self.counted()], minlength=count)

    def counted(self) -> NDArray[np.bool_]:
        """Pairs (n,) that count: not a genus beside another taxon of that genus."""
        keep = np.ones(len(self.visits), dtype=bool)
        alone = self.is_genus[self.taxa]
        if alone.any():
            keys = self.visits * (int(self.genera.max(initial=0)) + 2) + self.genera[self.taxa]
            keep[alone] = ~np.isin(keys[alone], keys[~alone])
        return keep

    def joined(self, visits: Codes) -> "Lists":
        """The same lists with other codes of their visits, so that lists of one code are one."""
        codes = visits[self.visits]
        kept = codes >= 0
        pairs = np.unique(codes[kept] << 32 | self.taxa[kept])
        return Lists(
            pairs >> 32, pairs & 0xFFFFFFFF, self.genera, self.is_genus, self.summary, self.notes
        )


def count_names(records: Records, rule: TaxaRule) -> Lists:
    """The taxa on the lists of visits by a rule of names."""
    names = records.names
    titled = [is_titled(name.accepted or name.recorded) for name in names]
    taxa, is_style = _taxa(names, titled)
    dropped = [taxon.kind in _DROPPED[rule] for taxon in taxa]
    keys = [taxon.full if rule == "written" else taxon.key for taxon in taxa]
    code: dict[str, int] = {}
    codes = np.array(
        [-1 if d else code.setdefault(k, len(code)) for k, d in zip(keys, dropped, strict=True)],
        np.int64,
    )
    genus: dict[str, int] = {}
    genera = np.full(len(code), -1, np.int64)
    is_genus = np.zeros(len(code), dtype=bool)
    for c, taxon in zip(codes.tolist(), taxa, strict=True):
        if c >= 0 and taxon.genus:
            genera[c] = genus.setdefault(taxon.genus, len(genus))
            is_genus[c] = rule == "species" and taxon.kind == kinds.GENUS
    visits, written = records.pairs()
    kept = codes[written] >= 0 if len(written) else np.zeros(0, dtype=bool)
    pairs = np.unique(visits[kept] << 32 | codes[written[kept]])
    lists = Lists(pairs >> 32, pairs & 0xFFFFFFFF, genera, is_genus, {}, [])
    lists.summary.update(_summary(names, taxa, codes, rule))
    lists.summary["genus beside a species"] = int((~lists.counted()).sum())
    lists.notes.extend(_notes(names, taxa, lists.summary, rule))
    lists.notes.extend(_titled_notes(names, taxa, titled, is_style))
    return lists


def _taxa(names: list[Name], titled: list[bool]) -> tuple[list[Taxon], bool]:
    """The taxa of names, and whether capitalised epithets are the style of the list."""
    taxa = [parse_name(name.accepted or name.recorded, name.rank) for name in names]
    is_style = _is_titled_list(titled, taxa)
    for i, name in enumerate(names):
        if titled[i] and (is_style or rank_kind(name.rank) in (kinds.SPECIES, kinds.INFRASPECIFIC)):
            taxa[i] = parse_name((name.accepted or name.recorded).capitalize(), name.rank)
    return taxa, is_style


def _is_titled_list(titled: list[bool], taxa: list[Taxon]) -> bool:
    """Whether epithets are capitalised in a list, so that they are no authors: `Poa Annua`."""
    epithets = sum(taxon.kind in (kinds.SPECIES, kinds.INFRASPECIFIC) for taxon in taxa)
    return sum(titled) >= _FEWEST_TITLED and sum(titled) > epithets


def _titled_notes(
    names: list[Name], taxa: list[Taxon], titled: list[bool], is_style: bool
) -> list[str]:
    """A sentence on names with a capitalised second word."""
    authored = [
        n for n, t, x in zip(names, titled, taxa, strict=True) if t and x.kind == kinds.GENUS
    ]
    if is_style:
        example = next(n for n, t in zip(names, titled, strict=True) if t)
        return [
            f"{sum(titled):,} names have a capitalised second word, such as "
            f"{quoted(example.accepted or example.recorded)}, and count as species"
        ]
    if not authored:
        return []
    return [
        f"{len(authored):,} names were read as a genus and its author, such as "
        f"{quoted(authored[0].accepted or authored[0].recorded)}; write epithets in small letters"
    ]


def _summary(names: list[Name], taxa: list[Taxon], codes: Codes, rule: TaxaRule) -> dict[str, Any]:
    recorded = {fold(n.recorded or n.accepted) for n in names}
    synonyms = {
        fold(n.recorded)
        for n, taxon in zip(names, taxa, strict=True)
        if n.accepted and n.recorded and parse_name(n.recorded).key != taxon.key
    }
    by_kind: dict[str, set[str]] = {kind: set() for kind in kinds.KINDS}
    for taxon in taxa:
        by_kind[taxon.kind].add(taxon.full)
    return {
        "rule": rule,
        "names": len(recorded),
        "spellings_joined": len({n.recorded for n in names if n.recorded})
        - len({fold(n.recorded) for n in names if n.recorded}),
        "synonyms_joined": len(synonyms),
        "taxa": int(len(np.unique(codes[codes >= 0]))),
        "kinds": {kind: len(found) for kind, found in by_kind.items() if found},
        "dropped": {kind: len(by_kind[kind]) for kind in _DROPPED[rule] if by_kind[kind]},
    }


def _notes(
    names: list[Name], taxa: list[Taxon], summary: dict[str, Any], rule: TaxaRule
) -> list[str]:
    """Sentences on names that were joined, dropped, or are not understood."""
    notes = [
        f"names: {summary['names']:,} as recorded became {summary['taxa']:,} taxa by the rule "
        f"{rule!r}; {summary['synonyms_joined']:,} were joined with an accepted name and "
        f"{summary['spellings_joined']:,} with another spelling"
    ]
    if summary["kinds"].get(kinds.INFRASPECIFIC) and rule != "written":
        notes.append(
            f"{summary['kinds'][kinds.INFRASPECIFIC]:,} subspecies, varieties and forms count as "
            f"their species"
        )
    for kind, count in summary["dropped"].items():
        example = next(n for n, t in zip(names, taxa, strict=True) if t.kind == kind)
        shown = quoted(example.accepted or example.recorded)
        notes.append(f"{count:,} names do not count ({kind}), such as {shown}")
    if beside := summary["genus beside a species"]:
        notes.append(
            f"names of a genus alone do not count on {beside:,} lists with another taxon of it"
        )
    if other := summary["kinds"].get(kinds.OTHER):
        example = next(n for n, t in zip(names, taxa, strict=True) if t.kind == kinds.OTHER)
        notes.append(
            f"{other:,} names are no Latin names and count as written, such as "
            f"{quoted(example.accepted or example.recorded)}"
        )
    unknown = Counter(n.rank for n in names if rank_kind(n.rank) is None)
    if unknown:
        rank = unknown.most_common(1)[0][0]
        notes.append(
            f"{unknown.total():,} names have a taxonRank that is not known, such as "
            f"{quoted(rank)}; their form decided"
        )
    return notes
