"""What an import found, as lines of a printed table and as facts of a report."""

from typing import Any

from spatioformer.common.licences import restrictions
from spatioformer.geo.plots.archives.survey import NO, NOT_STATED, YES
from spatioformer.geo.plots.findings import Decision

_MOST = 4  # data sets and licences that a line names


def decisions(summary: dict[str, Any]) -> list[Decision]:
    """Lines of what was found: what, value, why.

    Args:
        summary: of an intake, with `imported`.
    """
    facts = summary["imported"]
    read, rejected = summary["read"], summary["rejected"]
    lines = [
        Decision("format", facts["format"], facts["source"]),
        Decision("plots", f"{facts['plots']:,}", f"of {read:,} visits, {rejected:,} rejected"),
        Decision("lists", *completeness(facts)),
    ]
    if names := facts.get("names"):
        why = f"from {names['names']:,} names by the rule {names.get('rule', 'species')}"
        lines.append(Decision("taxa", f"{names['taxa']:,}", why))
    lines.append(Decision("area", *_area(facts)))
    for low, high, plots, median in area_rows(facts):
        size = f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"
        lines.append(Decision("", f"{size} m2", f"{plots:,} plots, median richness {median:g}"))
    if spread := facts.get("duration_h"):
        why = f"median {spread['median']:g}, known for {spread['known']:,} plots"
        lines.append(Decision("duration", f"{spread['min']:g} to {spread['max']:g} h", why))
    lines.append(Decision("licence", *_licence(facts)))
    reference = facts["reference"]
    lines.append(Decision("cite", reference["doi"] or "no DOI", reference["citation"] or "-"))
    return lines


def completeness(facts: dict[str, Any]) -> tuple[str, str]:
    """Share of plots whose list is stated to be complete, and how the others stand."""
    counts, plots = facts["completeness"], max(1, facts["plots"])
    share = f"{counts.get(YES, 0) / plots:.0%} complete"
    why = (
        f"complete {counts.get(YES, 0):,}, incomplete {counts.get(NO, 0):,}, not stated "
        f"{counts.get(NOT_STATED, 0):,}"
    )
    scopes = facts.get("scopes") or {}
    if scopes:
        named = sorted(scopes.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{name} ({count:,})" for name, count in named[:_MOST])
        why += f"; recorded: {shown}" + (" ..." if len(named) > _MOST else "")
    return share, why


def area_rows(facts: dict[str, Any]) -> list[tuple[float, float, int, float]]:
    """Least and largest area, number of plots and median richness of each class of area."""
    classes = facts["species_area"]["classes"]
    return [(c["from"], c["to"], c["plots"], c["median"]) for c in classes]


def species_area(facts: dict[str, Any]) -> str:
    """The species-area relation in words; '' where areas do not differ enough."""
    relation = facts["species_area"]
    if relation["exponent"] is None:
        return ""
    return (
        f"richness grows with area to the power {relation['exponent']:.2f} over "
        f"{relation['plots']:,} plots"
    )


def licences(facts: dict[str, Any]) -> dict[str, int]:
    """Licence -> number of plots; '' for plots whose licence is not stated."""
    found: dict[str, int] = {}
    named = 0
    for origin in facts["origins"]:
        licence = origin["licence"] or facts["reference"]["licence"]
        found[licence] = found.get(licence, 0) + origin["plots"]
        named += origin["plots"]
    rest = facts["plots"] - named
    if rest > 0:
        licence = facts["reference"]["licence"]
        found[licence] = found.get(licence, 0) + rest
    return found


def licence_sentences(facts: dict[str, Any]) -> list[str]:
    """Sentences on uses that licences forbid, and on plots without a licence."""
    sentences = []
    by_use: dict[str, int] = {}
    for licence, plots in licences(facts).items():
        if not licence:
            sentences.append(
                f"the licence of {plots:,} plots is not stated; ask their publisher before you "
                f"share results"
            )
        for use in restrictions(licence):
            by_use[use] = by_use.get(use, 0) + plots
    return [*(f"{plots:,} plots: {use}" for use, plots in by_use.items()), *sentences]


def _area(facts: dict[str, Any]) -> tuple[str, str]:
    relation = facts["species_area"]
    known = facts["plots"] - relation["unknown"]
    if not known:
        return "not stated", "no plot states its area"
    why = [f"known for {known:,} of {facts['plots']:,} plots"]
    if words := species_area(facts):
        why.append(words)
    nested = facts.get("nested") or {}
    if nested.get("plots_joined"):
        joined = sorted(nested["areas"].items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{areas} m2 at {count:,} places" for areas, count in joined[:_MOST])
        why.append(f"nested plots joined: {shown}")
    lows = [row[0] for row in area_rows(facts)]
    highs = [row[1] for row in area_rows(facts)]
    return f"{min(lows):,.6g} to {max(highs):,.6g} m2", "; ".join(why)


def _licence(facts: dict[str, Any]) -> tuple[str, str]:
    counts = licences(facts)
    named = sorted(counts, key=lambda name: -counts[name])
    value = ", ".join(name or "not stated" for name in named[:_MOST])
    return value or "not stated", "; ".join(licence_sentences(facts)) or "no restriction is known"
