"""A Darwin Core archive as a survey: the core decides how its records make visits."""

import numpy as np

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.darwin_core import metafile
from spatioformer.geo.plots.archives.darwin_core.events import Events
from spatioformer.geo.plots.archives.darwin_core.listing import LISTING_TERMS, Listing
from spatioformer.geo.plots.archives.darwin_core.metadata import read_datasets, read_origin
from spatioformer.geo.plots.archives.darwin_core.metafile import DataFile, Description
from spatioformer.geo.plots.archives.darwin_core.occurrences import (
    read_occurrences,
    single_records,
)
from spatioformer.geo.plots.archives.darwin_core.visits import visit_notes
from spatioformer.geo.plots.archives.origins import Origin
from spatioformer.geo.plots.archives.pieces import TextFormat, read_header
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.archives.survey import VISIT, YES, Survey, visit_frame

SIMPLE = ("gbifID", "datasetKey", "scientificName")
"""Columns by which GBIF's simple CSV is known."""


def read_archive(store: Store, meta: str) -> Survey:
    """The visits of a Darwin Core archive.

    Args:
        meta: name of its meta.xml.

    Raises:
        PlotError: the archive is damaged, or holds no plots with lists of species.
    """
    description = metafile.read_description(store, meta)
    reference, notes = read_origin(store, description.metadata)
    kind = description.core.kind
    if kind == metafile.EVENT:
        survey = _read_events(description, reference)
    elif kind == metafile.OCCURRENCE:
        survey = read_occurrences(
            description.core, "Darwin Core archive, occurrence core", reference
        )
    else:
        what = "a checklist of taxa" if kind == metafile.TAXON else f"a core of {kind}"
        raise PlotError(
            f"{store.path.name} is {what}, which has no plots; fetch a data set of sampling events "
            f"or occurrences"
        )
    survey.origins |= read_datasets(store, [*survey.origins])
    survey.notes[:0] = [*notes, *_reading_notes(description)]
    survey.settings["decimal"] = "."  # the standard's sign
    return survey


def _reading_notes(description: Description) -> list[str]:
    """Sentences on encodings, on extensions that are not read, and on a kingdom that is unknown."""
    core, extensions = description.core, description.extensions
    notes = [note for part in (core, *extensions) for note in part.notes]
    lists = [part for part in (core, *extensions) if part.kind == metafile.OCCURRENCE]
    if core.kind == metafile.OCCURRENCE:
        notes += [
            f"{part.title} describes single records and is not read, so no area or completeness "
            f"is taken from it"
            for part in extensions
            if part.kind in (metafile.HUMBOLDT, metafile.MEASUREMENT)
        ]
    if lists and not any(part.has("kingdom") for part in lists):
        notes.append("the records state no kingdom, so all names count as those of plants")
    return notes


def read_simple(store: Store, name: str, form: TextFormat) -> Survey:
    """The records of a GBIF simple CSV: tab-separated, no quotation marks, UTF-8.

    Source: GBIF download formats. The file does not hold the DOI of the download.
    """
    plain = TextFormat(form.separator, "", form.encoding, 1)
    header = read_header(store, name, plain)
    terms = {term: position for position, term in enumerate(header)}
    core = DataFile(store, (name,), metafile.OCCURRENCE, plain, None, terms, {}, {})
    reference = Origin(title=f"GBIF occurrence download, simple CSV ({store.path.name})")
    survey = read_occurrences(core, "GBIF simple CSV", reference)
    survey.settings["decimal"] = "."
    return survey


def _read_events(description: Description, reference: Origin) -> Survey:
    core, extensions = description.core, description.extensions
    lists = [e for e in extensions if e.kind == metafile.OCCURRENCE]
    if len(lists) != 1:
        raise PlotError(
            f"{core.store.path.name} has an event core with {len(lists)} occurrence extensions, "
            f"but the species of its plots stand in exactly one; fetch the archive again"
        )
    events = Events(core, extensions)
    listing, notes = Listing(), list(events.notes)
    sizes = np.zeros(len(events.ids), np.int64)
    lost = total = 0
    for _, cells in lists[0].pieces(["id", "eventID", *LISTING_TERMS]):
        codes = []
        for key, event in zip(cells["id"], cells["eventID"], strict=True):
            row = events.row(key or event)
            codes.append(events.part_of[row] if row >= 0 else -1)
        kept = [code for code in codes if code >= 0]
        np.add.at(sizes, kept, 1)
        lost += len(codes) - len(kept)
        total += len(codes)
        listing.add(codes, cells)
    if lost == total:
        raise PlotError(
            f"none of the {total:,} occurrences of {core.store.path.name} belongs to one of its "
            f"{len(events.ids):,} events; fetch the archive again"
        )
    if lost:
        notes.append(f"{lost:,} of {total:,} occurrences name no event and do not count")
    survey = _as_visits(events, listing, sizes, reference)
    survey.notes = [*notes, *listing.finish(), *visit_notes(events.remarks)]
    return survey


def _as_visits(events: Events, listing: Listing, sizes: np.ndarray, reference: Origin) -> Survey:
    """Visits: events with a list, and events at the end of a branch that should have one."""
    parents = {row for row in events.parents if row >= 0}
    rows = [
        row
        for row, whole in enumerate(events.part_of)
        if whole == row and (sizes[row] or row not in parents)
    ]
    above = {events.ids[events.parents[row]] for row in rows if events.parents[row] >= 0}
    fields = [dict(events.fields[row]) for row in rows]
    for own in fields:
        if own["plot_id"] in above:  # a plot with a list of its own that holds nested ones
            own["parent"] = own["plot_id"]
    columns = {name: [own.get(name, "") for own in fields] for name in VISIT}
    frame = visit_frame(columns, [events.lines[row] for row in rows])
    survey = Survey("Darwin Core archive, event core", frame, listing.records, reference)
    survey.counts.update(listing.counts)
    counts = sizes[rows]
    complete = (frame["list_complete"] == YES).to_numpy(bool)
    for visit in np.flatnonzero((counts == 0) & ~complete).tolist():
        survey.rejected[visit] = (
            "missing species lists",
            f"event {frame['plot_id'][visit]!r} has no occurrence, and does not state that its "
            f"list is complete",
        )
    codes = _new_codes(rows, len(events.ids))
    survey.without_plants = codes[listing.without_plants()].tolist()
    listing.records.renumber(codes)
    stated = frame["area_m2"] != ""
    single = np.zeros(len(frame), dtype=bool)
    survey.presence_only = single_records(frame, counts, single) & ~stated.to_numpy(bool)
    survey.origins = {key: Origin(key, key) for key in dict.fromkeys(frame["origin"]) if key}
    return survey


def _new_codes(rows: list[int], count: int) -> np.ndarray:
    codes = np.full(count, -1, np.int64)
    codes[rows] = np.arange(len(rows))
    return codes
