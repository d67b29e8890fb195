"""Who may ask, and what no request reaches: files, other hosts, other people's pages."""

import pytest
from fastapi import APIRouter, Request

from spatioformer.viewer.app import create_app
from spatioformer.viewer.routes import router
from spatioformer.viewer.security import LOOPBACK, MOST_BODY, Gate, host_name
from tests.viewer.conftest import client_of

OPEN = Gate(LOOPBACK | {"10.0.0.5"}, "s3cret-token", always=True)
PROXIED = Gate(LOOPBACK, "s3cret-token", framed=True)


def test_every_answer_says_what_the_page_may_load(client):
    for path in ("/api/run.json", "/nothing", "/tiles/mean/all/99/0/0.png"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == (
            "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; object-src 'none'; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/config.resolved.yaml",
        "/map.tif",
        "/model/config.json",
        "/report.html/../config.resolved.yaml",
        "/tiles/..%2f..%2fmap/all/0/0/0.png",
        "/tiles/%2fetc%2fpasswd/all/0/0/0.png",
        "/tiles/%2fvsicurl%2fhttp%3a%2f%2fexample.org%2fa.tif/all/0/0/0.png",
        "/tiles//vsicurl/http://example.org/a.tif/all/0/0/0.png",
        "/tiles/mean/..%2f..%2fmap.tif/0/0/0.png",
        "/tiles/mean/1999/0/0/0.png",
        "/tiles/mean/-1/0/0/0.png",
        "/tiles/mean/²/0/0/0.png",
        "/tiles/mean/all/0/0/0.png%00.tif",
        "/tiles/mean%00/all/0/0/0.png",
    ],
)
def test_only_registered_rasters_are_served(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 404), answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tiles/mean/all/23/0/0.png", 400),
        ("/tiles/mean/all/99999999999999999999/0/0.png", 400),
        ("/tiles/mean/all/-1/0/0.png", 400),
        ("/tiles/mean/all/1.5/0/0.png", 400),
        ("/tiles/mean/all/0/1/0.png", 404),
        ("/tiles/mean/all/22/4194304/0.png", 400),
        ("/tiles/mean/all/22/4194303/0.png", 204),
        ("/tiles/mean/all/x/0/0.png", 400),
        ("/api/at.json", 400),
        ("/api/at.json?lon=140", 400),
        ("/api/at.json?lon=140&lat=inf", 400),
        ("/api/at.json?lon=nan&lat=0", 400),
        ("/api/at.json?lon=361&lat=0", 400),
        ("/api/at.json?lon=140&lat=-91", 400),
        ("/api/at.json?lon=140&lat=-21&year=1999", 404),
        ("/api/at.json?lon=140&lat=-21&year=x", 400),
        ("/api/explain.json?lon=1e400&lat=0", 400),
        ("/api/at.json?lon=%ff&lat=0", 400),
        ("/api/at.json?" + "a" * 5000, 414),
    ],
)
def test_malformed_requests_get_one_sentence(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    if status != 204:
        assert set(answer.json()) == {"error"}
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8421", 200),
        ("localhost:9999", 200),  # forwarded by ssh from another port
        ("LocalHost.", 200),
        ("[::1]:8421", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("evil.example#localhost", 403),
        ("", 403),
        ("[::1", 403),
        ("169.254.169.254", 403),
    ],
)
def test_other_names_of_this_machine_are_refused(client, host, status):
    """A name that an attacker lets resolve to 127.0.0.1 (DNS rebinding) is not ours."""
    assert client.get("/api/run.json", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8421", 200),
        ("http://localhost:8421", 403),
        ("http://127.0.0.1:8888", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_origins_are_refused(client, origin, status):
    assert client.get("/api/run.json", headers={"origin": origin}).status_code == status
    zones = client.post("/api/zonal.json", json={"geometries": []}, headers={"origin": origin})
    assert zones.status_code == (400 if status == 200 else 403)


def test_a_server_that_others_reach_needs_its_token(run):
    client = client_of(create_app([router(run)], OPEN))
    assert client.get("/api/run.json").status_code == 401
    assert client.get("/").status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    assert client.get("/?token=").status_code == 401
    assert (
        client.get("/api/run.json", headers={"cookie": "spatioformer_view=no"}).status_code == 401
    )
    first = client.get("/index.html?token=s3cret-token&layer=mean")
    assert (first.status_code, first.headers["location"]) == (303, "./index.html?layer=mean")
    assert first.headers["set-cookie"] == (
        "spatioformer_view=s3cret-token; HttpOnly; SameSite=Strict"
    )
    assert client.get("/api/run.json").status_code == 200  # the client keeps the cookie
    assert client.get("/api/run.json", headers={"origin": "http://evil.example"}).status_code == 403


def test_behind_a_notebooks_proxy_the_token_stands_for_the_name(run):
    """The hub's name is not known here; its page shows the map in a frame."""
    client = client_of(create_app([router(run)], PROXIED))
    assert client.get("/api/run.json").status_code == 200
    hub = {"host": "hub.example.org"}
    assert client.get("/api/run.json", headers=hub).status_code == 403
    first = client.get("/?token=s3cret-token", headers=hub)
    assert (first.status_code, first.headers["location"]) == (303, "./")
    with_cookie = hub | {"cookie": "spatioformer_view=s3cret-token"}
    answer = client.get("/api/run.json", headers=with_cookie)
    assert answer.status_code == 200
    assert "frame-ancestors" not in answer.headers["content-security-policy"]
    forwarded = {"host": "127.0.0.1:8421", "x-forwarded-host": "hub.example.org"}
    origin = {"origin": "https://hub.example.org"}
    assert client.get("/api/run.json", headers=forwarded | origin).status_code == 200


@pytest.mark.parametrize(
    ("name", "host"),
    [("a.b", "A.b:80"), ("::1", "[::1]:80"), ("", "[::1"), ("b", "a@b"), ("", "")],
)
def test_host_name(name, host):
    assert host_name(host) == name


def test_bodies_are_bounded_also_in_pieces():
    seen = []
    echo = APIRouter()

    @echo.post("/echo")
    async def length(request: Request) -> int:
        seen.append(len(await request.body()))
        return seen[-1]

    client = client_of(create_app([echo], Gate()))
    piece = b"x" * 500_000
    assert client.post("/echo", content=piece * 4).json() == MOST_BODY
    assert client.post("/echo", content=piece * 4 + b"x").status_code == 413
    in_pieces = client.post("/echo", content=iter([piece] * 5))
    assert (in_pieces.status_code, seen) == (413, [MOST_BODY])
    assert client.post("/echo", content=iter([piece] * 4)).json() == MOST_BODY


def test_the_report_may_load_nothing(client):
    policy = client.get("/report.html").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_methods_are_those_of_the_addresses(client):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST"):
        answer = client.request(method, "/api/run.json")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert client.get("/api/zonal.json").status_code == 405
