"""Signatures of addresses, fetched when a file is read and renewed before they expire.

"planetary-computer": files in Azure blob storage need a token of their container, which anyone gets
(https://planetarycomputer.microsoft.com/docs/concepts/sas, "Using Tokens for Data Access").

"earthdata": NASA's servers want the token of a user's free account in a header
(https://ladsweb.modaps.eosdis.nasa.gov/learn/download-files-using-edl-tokens/). It is read from the
environment variable EARTHDATA_TOKEN, as earthaccess does.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from spatioformer.archives.remote.access import Access, RemoteError
from spatioformer.archives.remote.addresses import is_permitted
from spatioformer.archives.remote.connection import Query
from spatioformer.archives.remote.retries import Fault, persist
from spatioformer.archives.remote.transport import Refused, send

PLANETARY_COMPUTER = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
RENEWED = 300.0
"""Seconds before its end at which a token is renewed, so that it outlives a request."""
LARGEST_TOKEN = 65_536


@dataclass(frozen=True)
class Signature:
    """What must be added to a request: parameters of the address, or headers."""

    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


UNSIGNED = Signature()


class Signer(Protocol):
    def sign(self, url: str, access: Access, refused: Signature | None) -> Signature:
        """The signature of an address.

        Args:
            refused: a signature that the server has refused; a new one is fetched.

        Raises:
            RemoteError: none can be had.
        """


class ContainerTokens:
    """Tokens by storage account and container.

    Args:
        endpoint: address to which `/ACCOUNT/CONTAINER` is added.
        hosts: hosts whose files are signed, "ACCOUNT.blob...".
    """

    def __init__(
        self,
        endpoint: str = PLANETARY_COMPUTER,
        hosts: tuple[str, ...] = ("*.blob.core.windows.net",),
    ):
        self.endpoint, self.hosts = endpoint, hosts
        self._tokens: dict[tuple[str, str], tuple[Signature, float]] = {}
        self._lock = threading.Lock()

    def sign(self, url: str, access: Access, refused: Signature | None) -> Signature:
        if not is_permitted(url, self.hosts):
            return UNSIGNED
        parts = urlsplit(url)
        place = (parts.hostname or "").split(".")[0], parts.path.lstrip("/").split("/")[0]
        with self._lock:  # one thread asks, the others wait for its token
            token, end = self._tokens.get(place, (UNSIGNED, 0.0))
            if token in (UNSIGNED, refused) or end - RENEWED < time.time():
                token, end = self._fetch("/".join(place), access)
                self._tokens[place] = token, end
        return token

    def _fetch(self, place: str, access: Access) -> tuple[Signature, float]:
        url = f"{self.endpoint}/{place}"
        host = urlsplit(url).netloc
        query = Query(url, url, limit=LARGEST_TOKEN)
        inner = replace(access, hosts=(host,), signing=None)

        def ask() -> tuple[Signature, float]:
            try:
                answer = json.loads(send(query, inner).data)
                moment = datetime.fromisoformat(answer["msft:expiry"])
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=UTC)
                return Signature(query=str(answer["token"])), moment.timestamp()
            except (ValueError, KeyError, TypeError) as error:
                raise Fault("the answer holds no token") from error
            except Refused as error:
                raise RemoteError(
                    f"{access.owner}: {host} gives no token for {place} ({error.status}); the "
                    "collection may have been closed to the public",
                    url,
                ) from error

        return persist(ask, inner, url)


class BearerToken:
    """A token of the user's account, sent as a header.

    Args:
        variable: environment variable that holds it.
        account: where an account is made.
        hosts: hosts that get it.
    """

    def __init__(self, variable: str, account: str, hosts: tuple[str, ...]):
        self.variable, self.account, self.hosts = variable, account, hosts

    def sign(self, url: str, access: Access, refused: Signature | None) -> Signature:
        if not is_permitted(url, self.hosts):
            return UNSIGNED
        token = os.environ.get(self.variable, "").strip()
        if not token or refused is not None:
            problem = "refuses the token in" if token else "wants a token in"
            raise RemoteError(
                f"{access.owner}: {urlsplit(url).hostname} {problem} the environment variable "
                f"{self.variable}; make one at {self.account} and set the variable",
                url,
            )
        return Signature(headers={"Authorization": f"Bearer {token}"})


SIGNERS: dict[str, Callable[[], Signer]] = {
    "planetary-computer": ContainerTokens,
    "earthdata": lambda: BearerToken(
        "EARTHDATA_TOKEN",
        "https://urs.earthdata.nasa.gov",
        ("*.earthdatacloud.nasa.gov", "*.earthdata.nasa.gov"),
    ),
}
"""How each name in `Collection.signing` is signed."""

_made: dict[str, Signer] = {}
if hasattr(os, "register_at_fork"):  # a lock of theirs may be held while the process forks
    os.register_at_fork(after_in_child=_made.clear)


def sign(url: str, access: Access, href: str, refused: Signature | None = None) -> Signature:
    """The signature of an address, as its source is signed.

    Raises:
        RemoteError: the source's signer is not known, or gives no signature.
    """
    name = access.signing
    if name is None or name == "none":
        return UNSIGNED
    if name not in SIGNERS:
        raise RemoteError(
            f"{access.owner}: its addresses are signed by {name!r}, which is not known; known are "
            f"none, {', '.join(SIGNERS)}",
            href,
        )
    if name not in _made:
        _made[name] = SIGNERS[name]()
    return _made[name].sign(url, access, refused)
