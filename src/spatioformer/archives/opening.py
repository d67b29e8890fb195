"""From the configuration's `imagery.sources` to a lazy stack: collections, catalogues, items."""

from pathlib import Path
from urllib.parse import urlsplit

from spatioformer.archives.collections import Collection, collection_of
from spatioformer.archives.remote.access import Access, default_cache
from spatioformer.archives.source import Source
from spatioformer.common.errors import ConfigError
from spatioformer.config.imagery import ImagerySection


def sources_of(section: ImagerySection, *, offline: bool = False) -> tuple[Source, ...]:
    """The sources with their collections and the way to their files; nothing is searched.

    Raises:
        ConfigError: a collection, band or class is not known.
    """
    extra = () if section.collections is None else (section.collections,)
    sources = []
    for number, part in enumerate(section.sources):
        owner = f"imagery.sources[{number}]"
        collection = collection_of(part, extra)
        if collection.kind == "classes":
            raise ConfigError(
                f"{owner}: {collection.name} holds codes of classes, which are no measurements; "
                "use it in `imagery.masks`"
            )
        access = access_of(section, collection, owner, offline=offline)
        sources.append(Source(part, collection, access))
    return tuple(sources)


def access_of(
    section: ImagerySection, collection: Collection, owner: str, *, offline: bool = False
) -> Access:
    """How the files of a collection are read.

    Args:
        owner: key of the configuration, for messages.
    """
    return Access(
        hosts=(*collection.hosts, *_own_host(collection.endpoint)),
        signing=collection.signing,
        cache=Path(section.cache.path) if section.cache.path else default_cache(),
        limit_gb=section.cache.gb,
        offline=offline,
        owner=owner,
    )


def _own_host(endpoint: str) -> list[str]:
    """Host and port of a catalogue on the network; none of a path."""
    parts = urlsplit(endpoint)
    return [parts.netloc] if parts.scheme in ("http", "https") and parts.netloc else []


def source_bands(section: ImagerySection) -> list[str]:
    """Names of the bands of all sources, in order; nothing is searched.

    Raises:
        ConfigError: as `sources_of`.
    """
    return [name for source in sources_of(section) for name in source.band_names]
