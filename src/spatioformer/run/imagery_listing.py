"""Print what the sources of a configuration would read: a table a source, with its terms."""

from collections.abc import Iterable
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from spatioformer.config.archives import STATIC
from spatioformer.run.imagery_search import SourceListing, YearListing

COLUMNS = (
    *("\nyear", "\nitems", "\ndates", "\ntiles", "\ncloud"),
    *("region\npixels", "\nsize", "plots\nnumber", "\nsize"),
)
SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def print_listings(listings: Iterable[SourceListing], console: Console | None = None) -> None:
    """Print a table for each source on stdout.

    Args:
        console: of `rich`; None: one for stdout.
    """
    console = console or Console(highlight=False)
    for listing in listings:
        console.print(rendered(listing))


def rendered(listing: SourceListing) -> RenderableType:
    """The table of a source, below it where it comes from and its terms."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in COLUMNS:
        side: Literal["left", "right"] = "left" if "dates" in name else "right"
        table.add_column(name, justify=side, no_wrap=True)
    for year in listing.years:
        table.add_row(*_cells(year))
    if len(listing.years) > 1:
        table.add_section()
        table.add_row(*_total(listing.years))
    title = Text(f"{listing.name}: {listing.title}", style="bold")
    return Group(title, table, *_notes(listing), Text())


def _cells(year: YearListing) -> list[str]:
    # Days alone: those of a season that ends in the next year come after its first day anyway.
    dates = f"{year.first[5:]} to {year.last[5:]}" if year.first and year.last else "none"
    if year.year == STATIC:
        dates = "no date"
    return [
        str(year.year) if year.year != STATIC else "all",
        f"{year.items:,}",
        dates,
        f"{year.tiles:,}",
        "" if year.cloud is None else f"{year.cloud:.0%}",
        pixels_of(year.megapixels),
        size_of(year.bytes),
        f"{year.plots:,}",
        size_of(year.plot_bytes),
    ]


def _total(years: Iterable[YearListing]) -> list[str]:
    years = list(years)
    return [
        "all",
        f"{sum(year.items for year in years):,}",
        "",
        "",
        "",
        pixels_of(sum(year.megapixels for year in years)),
        size_of(sum(year.bytes for year in years)),
        f"{sum(year.plots for year in years):,}",
        size_of(sum(year.plot_bytes for year in years)),
    ]


def _notes(listing: SourceListing) -> list[Text]:
    """Lines below a table."""
    lines = list(listing.about) or [f"bands: {', '.join(listing.bands)}"]
    lines += _left_out(listing)
    if not all(year.exact for year in listing.years):
        lines.append("sizes: pixels without compression, in blocks of 512 x 512 for the plots")
    unverified = "" if listing.verified else " (not verified: never opened by the authors)"
    lines.append(f"from: {listing.endpoint}{unverified}")
    if listing.note:
        lines.append(f"note: {listing.note}")
    lines.append(f"licence: {listing.licence or 'not known'}")
    if listing.attribution:
        lines.append(f"to be shown with results: {listing.attribution}")
    if listing.citation:
        lines.append(f"cite: {listing.citation}")
    return [_hanging(line) for line in lines]


def _left_out(listing: SourceListing) -> list[str]:
    """How many items were left out, and why."""
    counts = {
        "older processings of the same scenes": sum(year.older for year in listing.years),
        "items with more cloud than max_cloud": sum(year.cloudy for year in listing.years),
        "items that lack a band": sum(year.lacking for year in listing.years),
    }
    phrases = [f"{count:,} {what}" for what, count in counts.items() if count]
    return [f"left out: {', '.join(phrases)}"] if phrases else []


def _hanging(line: str) -> Text:
    key, colon, rest = line.partition(": ")
    return Text.assemble((key + colon, "dim"), rest)


def pixels_of(megapixels: float) -> str:
    """Pixels in a cell of a table: "12.3 Mpx"."""
    if megapixels >= 99_950:
        return f"{megapixels / 1e3:,.0f} Gpx"
    if megapixels >= 1000:
        return f"{megapixels / 1e3:.1f} Gpx"
    return f"{megapixels:.0f} Mpx" if megapixels >= 10 else f"{megapixels:.1f} Mpx"


def size_of(length: float) -> str:
    """Bytes in a cell of a table: "1.2 GB"."""
    for unit, name in SIZES:
        if length >= unit:
            return f"{length / unit:.{0 if length >= 100 * unit else 1}f} {name}"
    return f"{length:.0f} B"
