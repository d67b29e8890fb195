"""What a source may read from the network, where it keeps it, and the errors of reading."""

from dataclasses import dataclass
from pathlib import Path

from spatioformer.common.errors import ImageryError
from spatioformer.common.files import user_cache


@dataclass(frozen=True)
class Access:
    """How the files of one source are read.

    Attributes:
        hosts: hosts from which files may come; "*.example.org" matches subdomains, and
            "example.org:8080" one port.
        signing: name of a signer (`signing.SIGNERS`) of the addresses, or None.
        cache: folder of the cache of blocks.
        limit_gb: largest size of the cache, GB (1e9 bytes).
        offline: whether only the cache is read, never the network.
        attempts: how often a request is tried.
        timeout: seconds without a byte after which an attempt ends.
        owner: the source in messages: its key in the configuration, "imagery.sources[0]".
        by_user: whether a user gave the address itself, not a catalogue; messages advise by it.
    """

    hosts: tuple[str, ...]
    cache: Path
    signing: str | None = None
    limit_gb: float = 20.0
    offline: bool = False
    attempts: int = 5
    timeout: float = 30.0
    owner: str = "imagery"
    by_user: bool = False


class RemoteError(ImageryError):
    """A file of an archive that cannot be read.

    Attributes:
        href: address of the file, without a signature.
    """

    def __init__(self, message: str, href: str):
        super().__init__(message)
        self.href = href

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.href)


class NotFound(RemoteError):
    """The server has no such file (404)."""


def not_found(href: str, access: Access, status: int = 404) -> NotFound:
    """The error for a file that the server does not have."""
    remedy = (
        "check the address"
        if access.by_user
        else "the catalogue names a file that its server does not have"
    )
    return NotFound(f"{access.owner}: {href} does not exist ({status}); {remedy}", href)


class Unreachable(RemoteError):
    """The host does not answer, so no other file of it can be read either."""


class NotCached(RemoteError):
    """The file is not in the cache, or not all of it, and the network may not be used."""


class FileChanged(RemoteError):
    """The file is not the one of which other parts have been read; what is cached is removed."""


def default_cache() -> Path:
    """The folder of the cache below the user's cache folder."""
    return user_cache() / "archives"
