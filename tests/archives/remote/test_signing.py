"""Signatures: fetched, renewed, and sent to nobody else."""

import pytest

from spatioformer.archives.remote import RemoteError, RemoteFile, signing
from spatioformer.archives.remote.signing import BearerToken, ContainerTokens
from tests.helpers import servers
from tests.helpers.servers import FileServer, always


@pytest.fixture
def tokens(served, monkeypatch) -> FileServer:
    """The server demands tokens of the signer "test"."""
    served.serves_tokens()
    (served.folder / "box").mkdir()
    (served.folder / "box" / "b.bin").write_bytes(bytes(100_000))
    monkeypatch.setattr(signing, "_made", {})
    signer = ContainerTokens(f"{served.url}/token", (served.host,))
    monkeypatch.setitem(signing.SIGNERS, "test", lambda: signer)
    return served


def paths(server: FileServer) -> list[str]:
    return [f"{sent.path} {sent.status}" for sent in server.sent]


def test_one_token_serves_all_files_of_a_container(tokens, tmp_path):
    access = tokens.access(tmp_path / "cache", signing="test")
    (tokens.folder / "box" / "c.bin").write_bytes(b"cc")
    for name in ("b.bin", "c.bin"):
        with RemoteFile(f"{tokens.url}/box/{name}", access) as file:
            file.read_at(50_000, 10)
    assert paths(tokens) == [
        "/token/127/box 200",
        "/box/b.bin 206",
        "/box/b.bin 206",
        "/box/c.bin 206",
    ]
    assert all("sig=token0" in sent.query for sent in tokens.sent[1:])
    assert all("token0" not in str(path) for path in (tmp_path / "cache").rglob("*"))
    assert all(
        b"token0" not in path.read_bytes()
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file()
    )


def test_an_expired_token_is_renewed_once(tokens, tmp_path):
    access = tokens.access(tmp_path / "cache", signing="test")
    with RemoteFile(f"{tokens.url}/box/b.bin", access) as file:
        tokens.tokens.clear()  # the server forgets it
        assert file.read_at(50_000, 2_000) == bytes(2_000)
    assert paths(tokens)[2:] == ["/box/b.bin 403", "/token/127/box 200", "/box/b.bin 206"]


def test_a_token_is_renewed_before_its_end(tokens, tmp_path):
    tokens.serves_tokens(life=signing.RENEWED - 10)
    access = tokens.access(tmp_path / "cache", signing="test")
    with RemoteFile(f"{tokens.url}/box/b.bin", access) as file:
        file.read_at(50_000, 10)
    assert paths(tokens) == ["/token/127/box 200", "/box/b.bin 206"] * 2


def test_a_file_that_stays_refused_is_said_so(tokens, tmp_path):
    tokens.plan = servers.only("/box/*", always(servers.status(403)))
    access = tokens.access(tmp_path / "cache", signing="test")
    with pytest.raises(RemoteError, match="it also refused a new signature of 'test'") as caught:
        RemoteFile(f"{tokens.url}/box/b.bin", access)
    assert "sig=" not in str(caught.value)
    assert len(tokens.sent) == 4


def test_no_token_is_said_so(tokens, tmp_path):
    tokens.plan = servers.only("/token/*", always(servers.status(403)))
    access = tokens.access(tmp_path / "cache", signing="test")
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:\d+ gives no token for 127/box \(403\)"):
        RemoteFile(f"{tokens.url}/box/b.bin", access)


def test_a_token_goes_to_no_other_host(tokens, tmp_path):
    with FileServer(tokens.folder) as other:
        # A server that copies the parameters into its redirect.
        tokens.plan = servers.only(
            "/box/*", always(servers.redirect(f"{other.url}{{path}}?sig=token0&year=2020"))
        )
        hosts = (tokens.host, other.host)
        access = tokens.access(tmp_path / "cache", signing="test", hosts=hosts)
        with RemoteFile(f"{tokens.url}/box/b.bin", access) as file:
            assert file.size() == 100_000
        assert [sent.query for sent in other.sent] == ["year=2020"]


@pytest.fixture
def bearer(served, monkeypatch) -> FileServer:
    (served.folder / "b.bin").write_bytes(bytes(100))
    monkeypatch.setattr(signing, "_made", {})
    signer = BearerToken("TEST_TOKEN", "https://accounts.example.org", (served.host,))
    monkeypatch.setitem(signing.SIGNERS, "test", lambda: signer)
    return served


def test_a_bearer_token_goes_to_its_host_only(bearer, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_TOKEN", "secret")
    with FileServer(bearer.folder) as other:
        bearer.plan = always(servers.redirect(f"{other.url}{{path}}"))
        hosts = (bearer.host, other.host)
        access = bearer.access(tmp_path / "cache", signing="test", hosts=hosts)
        RemoteFile(f"{bearer.url}/b.bin", access).close()
        assert bearer.sent[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.sent[0].headers


@pytest.mark.parametrize(("token", "verb"), [("", "wants a"), ("old", "refuses the")])
def test_a_missing_bearer_token(bearer, tmp_path, monkeypatch, token, verb):
    monkeypatch.setenv("TEST_TOKEN", token)
    bearer.tokens = set()
    access = bearer.access(tmp_path / "cache", signing="test")
    message = rf"{verb} token in the environment variable TEST_TOKEN; make one at https://acc"
    with pytest.raises(RemoteError, match=message):
        RemoteFile(f"{bearer.url}/b.bin", access)


def test_an_unknown_signer(served, tmp_path):
    access = served.access(tmp_path / "cache", signing="ours")
    with pytest.raises(RemoteError, match="'ours', which is not known; known are none, planetary"):
        RemoteFile(f"{served.url}/b.bin", access)


def test_the_public_signers():
    azure = signing.SIGNERS["planetary-computer"]()
    assert azure.endpoint == "https://planetarycomputer.microsoft.com/api/sas/v1/token"
    assert azure.hosts == ("*.blob.core.windows.net",)
