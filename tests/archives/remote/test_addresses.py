"""Addresses: buckets, signatures, permitted hosts."""

import pytest

from spatioformer.archives.remote import Access, RemoteError
from spatioformer.archives.remote.addresses import (
    check_host,
    https_of,
    is_permitted,
    local_path,
    with_query,
    without,
    without_signature,
)


def access(tmp_path, *hosts: str) -> Access:
    return Access(hosts=hosts, cache=tmp_path, owner="imagery.sources[0]")


@pytest.mark.parametrize(
    ("href", "hosts", "address"),
    [
        ("https://a.org/x.tif", (), "https://a.org/x.tif"),
        ("https://a.org/x.tif?a=1#part", (), "https://a.org/x.tif?a=1"),
        ("s3://open/a/b.tif", (), "https://open.s3.amazonaws.com/a/b.tif"),
        (
            "s3://open/a/b.tif",
            ("x.org", "open.s3.us-west-2.amazonaws.com"),
            "https://open.s3.us-west-2.amazonaws.com/a/b.tif",
        ),
        (
            "s3://us-west-2.opendata.org/a b.tif",
            ("s3.us-west-2.amazonaws.com",),
            "https://s3.us-west-2.amazonaws.com/us-west-2.opendata.org/a%20b.tif",
        ),
        ("gs://bucket/a/b%20c.tif", (), "https://storage.googleapis.com/bucket/a/b%20c.tif"),
    ],
)
def test_buckets_become_addresses(href, hosts, address, tmp_path):
    assert https_of(href, access(tmp_path, *hosts)) == address


@pytest.mark.parametrize(
    ("href", "message"),
    [
        ("ftp://a.org/x.tif", "only addresses of http, https, s3"),
        ("https:///x.tif", "only addresses of"),
        ("https://me:secret@a.org/x.tif", "holds a user name or password"),
    ],
)
def test_other_addresses_are_refused(href, message, tmp_path):
    with pytest.raises(RemoteError, match=message) as caught:
        https_of(href, access(tmp_path))
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith("imagery.sources[0]: ")


@pytest.mark.parametrize(
    ("href", "bare"),
    [
        ("https://a.org/x.tif", "https://a.org/x.tif"),
        ("https://a.org/x.tif?year=2020&st=1", "https://a.org/x.tif?year=2020&st=1"),
        ("https://a.org/x.tif?st=1&se=2&sp=r&sig=k%3D&year=2020", "https://a.org/x.tif?year=2020"),
        ("https://a.org/x.tif?X-Amz-Signature=1&X-Amz-Date=2", "https://a.org/x.tif"),
        ("https://a.org/x.tif?Expires=1&Signature=2&Key-Pair-Id=3", "https://a.org/x.tif"),
        ("https://a.org/x.tif?token=abc&b=", "https://a.org/x.tif?b="),
        ("https://me:pw@a.org/x.tif", "https://a.org/x.tif"),
    ],
)
def test_signatures_are_no_part_of_a_file(href, bare):
    assert without_signature(href) == bare


def test_a_reflected_signature_is_taken_off():
    assert without("https://b.org/x?a=1&sig=k", "sig=k&se=2") == "https://b.org/x?a=1"
    assert without("https://b.org/x?a=1", "") == "https://b.org/x?a=1"
    assert with_query("https://b.org/x?a=1", "sig=k") == "https://b.org/x?a=1&sig=k"
    assert with_query("https://b.org/x", "sig=k") == "https://b.org/x?sig=k"


@pytest.mark.parametrize(
    ("url", "pattern", "permitted"),
    [
        ("https://a.org/x", "a.org", True),
        ("https://A.ORG/x", "a.org", True),
        ("https://b.a.org/x", "a.org", False),
        ("https://b.a.org/x", "*.a.org", True),
        ("https://a.org/x", "*.a.org", False),
        ("https://evila.org/x", "*.a.org", False),
        ("https://a.org.evil.com/x", "a.org", False),
        ("http://a.org:8080/x", "a.org:8080", True),
        ("http://a.org:8081/x", "a.org:8080", False),
        ("https://a.org/x", "a.org:443", True),
    ],
)
def test_permitted_hosts(url, pattern, permitted):
    assert is_permitted(url, (pattern,)) is permitted


def test_another_host_is_named_with_its_remedy(tmp_path):
    with pytest.raises(RemoteError, match=r"the host b\.org, which is not among") as caught:
        check_host("https://b.org/x", access(tmp_path, "a.org"), "https://b.org/x")
    assert "add it to imagery.sources[0].hosts if you trust it" in str(caught.value)


def test_local_paths():
    assert str(local_path("/a b/c.tif")) == "/a b/c.tif"
    assert str(local_path("file:///a%20b/c.tif")) == "/a b/c.tif"
