"""The answer of the catalogues as a JSON file, so that a run reads the same items again.

The file holds nothing of the time of the search, and paths that start at the catalogue: the same
answer has the same bytes, also where a run was moved with its data.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from spatioformer.archives.items import Asset, Item
from spatioformer.archives.opening import sources_of
from spatioformer.archives.search import empty_message, look_up
from spatioformer.archives.stack import SourceStack
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import hash_value, read_json, write_json
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.archives import STATIC, span
from spatioformer.config.fields import is_address
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid

Answer = Mapping[str, Mapping[int, tuple[Item, ...]]]
"""Items of each source and year."""


def ask(
    section: ImagerySection,
    grid: Grid,
    years: Sequence[int],
    needed: Collection[int],
    *,
    offline: bool = False,
    console: Console = SILENT,
) -> Answer:
    """Search the catalogues for the items of some years; no imagery is read.

    Args:
        needed: years without which the run cannot go on.

    Raises:
        ConfigError: a collection, band or class is not known.
        ImageryError: a catalogue cannot be read, or has nothing for a needed or for any year.
    """
    answer: dict[str, dict[int, tuple[Item, ...]]] = {}
    for source in sources_of(section, offline=offline):
        part, asked = source.section, (source.section, source.collection, grid.region)
        answer[part.name] = items = {}
        for year in console.track(years if part.years else (STATIC,), part.name):
            answer_of_year = look_up(*asked, year, source.access)
            items[year] = answer_of_year.items
            for remark in answer_of_year.remarks:
                console.say(f"  {part.name}, {year or 'no year'}: {remark}")
            if not answer_of_year.items and (year in needed or year == STATIC):
                raise ImageryError(empty_message(*asked, year, source.access, answer_of_year))
        if not any(items.values()):
            raise ImageryError(empty_message(*asked, years[-1], source.access))
        if empty := [year for year, several in items.items() if not several]:
            console.say(f"  {part.name}: there is no item of {span(empty)}")
    return answer


def with_answer(
    section: ImagerySection, grid: Grid, answer: Answer, *, offline: bool = False
) -> SourceStack:
    """Open the sources with the items of an earlier search; no catalogue is asked.

    Raises:
        ConfigError: a collection, band or class is not known.
        ImageryError: the answer lacks a source.
    """
    sources = sources_of(section, offline=offline)
    for source in sources:
        if source.section.name not in answer:
            raise ImageryError(
                f"{source.owner} was not searched yet; run `spatioformer run --until search` again"
            )
    return SourceStack(
        tuple(replace(source, items=answer[source.section.name]) for source in sources), grid
    )


def write_answer(answer: Answer, section: ImagerySection, path: Path) -> None:
    """Write an answer as JSON.

    Args:
        section: in which the sources say where catalogues on this computer lie.

    Raises:
        OutputError: it cannot be written.
    """
    bases = _bases(section)
    items = {
        name: {
            str(year): [_to_json(item, bases[name]) for item in several]
            for year, several in years.items()
        }
        for name, years in answer.items()
    }
    files = {name: _local_files(years, bases[name]) for name, years in answer.items()}
    write_json(path, {"items": items, "files": {k: v for k, v in files.items() if v}})


def read_answer(section: ImagerySection, path: Path) -> Answer:
    """Read an answer to the sources of a section.

    Raises:
        ImageryError: it is absent or damaged.
    """
    bases = _bases(section)
    try:
        return {
            name: {
                int(year): tuple(_from_json(item, bases.get(name)) for item in several)
                for year, several in years.items()
            }
            for name, years in read_json(path)["items"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageryError(
            f"{path} holds no items of a search; run with --refresh, which searches again"
        ) from error


def base_of(endpoint: str | None) -> Path | None:
    """Folder at which paths of a catalogue on this computer start; None: it is not on this one."""
    if endpoint is None or is_address(endpoint):
        return None
    path = Path(endpoint)
    return path if path.is_dir() else path.parent


def _bases(section: ImagerySection) -> dict[str, Path | None]:
    return {source.name: base_of(source.endpoint) for source in section.sources}


def changes(before: Answer, now: Answer) -> list[str]:
    """What differs between two answers, a line for each source and year."""
    lines = []
    for name in now:
        for year, several in now[name].items():
            old = {item.id: identity(item) for item in before.get(name, {}).get(year, ())}
            new = {item.id: identity(item) for item in several}
            counts = {
                "new": len(new.keys() - old.keys()),
                "gone": len(old.keys() - new.keys()),
                "changed": sum(old[key] != new[key] for key in old.keys() & new.keys()),
            }
            if words := [f"{count:,} {word}" for word, count in counts.items() if count]:
                when = f"{name}, {year}" if year != STATIC else name
                lines.append(f"{when}: {', '.join(words)}")
    return lines


def identity(item: Item, base: Path | None = None) -> str:
    """Hash of all that the catalogue says of an item, with paths that start at `base`."""
    return hash_value(_to_json(item, base))


def _local_files(years: Mapping[int, Iterable[Item]], base: Path | None) -> dict[str, Any]:
    """Size and time of change of each file on this computer; None for one that is absent."""
    paths = {
        asset.href
        for items in years.values()
        for item in items
        for asset in item.assets.values()
        if not is_address(asset.href)
    }
    return {_portable(path, base): _stamp(Path(path)) for path in sorted(paths)}


def _stamp(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None  # its reading says what is wrong
    return [stat.st_size, stat.st_mtime_ns]


HERE = "./"
"""Beginning of a path that starts at the folder of the catalogue."""


def _portable(href: str, base: Path | None) -> str:
    if base is None or is_address(href) or not Path(href).is_relative_to(base):
        return href
    return HERE + Path(href).relative_to(base).as_posix()


def _placed(href: str, base: Path | None) -> str:
    return str(base / href[len(HERE) :]) if base is not None and href.startswith(HERE) else href


def _to_json(item: Item, base: Path | None) -> dict[str, Any]:
    value = asdict(item)
    value["start"], value["end"] = item.start.isoformat(), item.end.isoformat()
    value["assets"] = {
        name: {k: v for k, v in asdict(asset).items() if v is not None}
        | {"href": _portable(asset.href, base)}
        for name, asset in sorted(item.assets.items())
    }
    value["properties"] = _plain(item.properties)
    if item.href is not None:
        value["href"] = _portable(item.href, base)
    return {k: v for k, v in value.items() if v is not None}


def _plain(value: Any) -> Any:
    """Properties as JSON holds them."""
    if isinstance(value, Mapping):
        return {str(k): _plain(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, list | tuple | set):
        return [_plain(entry) for entry in _ordered(value)]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _ordered(values: Iterable[Any]) -> Iterable[Any]:
    return sorted(values, key=str) if isinstance(values, set) else values


def _from_json(value: Mapping[str, Any], base: Path | None) -> Item:
    fields = dict(value)
    fields["start"] = datetime.fromisoformat(value["start"])
    fields["end"] = datetime.fromisoformat(value["end"])
    fields["bbox"] = tuple(value["bbox"])
    fields["assets"] = {
        name: Asset(**{**asset, "href": _placed(asset["href"], base)})
        for name, asset in value["assets"].items()
    }
    if "href" in fields:
        fields["href"] = _placed(fields["href"], base)
    for name in ("transform", "shape"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return Item(**fields)
