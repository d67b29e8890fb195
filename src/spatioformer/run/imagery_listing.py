"""Print what the sources of a configuration would read: a table a source, with its terms."""

from collections.abc import Iterable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from spatioformer.run.imagery_search import SourceListing, YearListing

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
    table = Table(
        title=Text(f"{listing.name}: {listing.title}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("year", "items", "dates", "tiles", "cloud", "region", "size", "plots", "size"):
        table.add_column(name, justify="left" if name == "dates" else "right", no_wrap=True)
    for year in listing.years:
        table.add_row(*_cells(year))
    if len(listing.years) > 1:
        table.add_section()
        table.add_row(*_total(listing.years))
    return Group(table, *_notes(listing), Text())


def _cells(year: YearListing) -> list[str]:
    dates = f"{year.first} to {year.last}" if year.first and year.last else "none"
    return [
        str(year.year),
        f"{year.items:,}",
        dates.replace(f"{year.year}-", ""),
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
    lines = [f"bands: {', '.join(listing.bands)}"]
    for year in listing.years:
        lines += [f"{year.year}: {remark}" for remark in year.left_out]
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
