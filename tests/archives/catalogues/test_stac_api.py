"""Pages of a STAC API: all of them, each item once, and never in a circle."""

import dataclasses
import json

import pytest

from spatioformer.archives.catalogues import stac_api
from spatioformer.archives.catalogues.query import Query, boxes_of, span_of
from spatioformer.archives.collections import collection_of
from spatioformer.common.errors import ImageryError
from tests.helpers.catalogues import access_to, scene, source

QUERY = Query(boxes_of((9, 12, 39, 42)), *span_of(2020, None))


def found(endpoint, cache, query=QUERY):
    held = collection_of(source(kind="stac-api", endpoint=endpoint))
    return [item["id"] for item in stac_api.find(held, query, access_to(cache))]


def test_pages(api, tmp_path, monkeypatch):
    whole = found(api, tmp_path)
    monkeypatch.setattr(stac_api, "PAGE", 1)
    assert len(whole) == 4
    assert found(api, tmp_path) == whole


class Server:
    """Answers for `read_text`: a root that offers searches, and pages by the number of a request.

    Attributes:
        requests: method, address and parameters of each search.
        counts: further members of each page, such as numberMatched.
    """

    def __init__(self, methods, pages, **counts):
        self.methods, self.pages, self.requests, self.counts = methods, pages, [], counts

    def __call__(self, href, access, body=None):
        if "/search" not in href:
            links = [
                {"rel": "search", "href": "https://a.org/search", "method": method}
                for method in self.methods
            ]
            core = "https://api.stacspec.org/v1.0.0/"
            return json.dumps(
                {
                    "type": "Catalog", "id": "a", "description": "", "stac_version": "1.0.0",
                    "conformsTo": [f"{core}core", f"{core}item-search"],
                    "links": [{"rel": "root", "href": "https://a.org"}, *links],
                }
            )  # fmt: skip
        self.requests.append((href, json.loads(body) if body else None))
        number = min(len(self.requests), len(self.pages)) - 1
        links = []
        if len(self.pages) > number + 1:
            links = [{"rel": "next", "href": f"https://a.org/search?page={number + 1}"}]
        return json.dumps(
            {"type": "FeatureCollection", "features": self.pages[number], "links": links}
            | self.counts
        )


A, B = (scene(name, "2020-01-01", (10, 40, 11, 41)) for name in "ab")


def test_a_server_without_post(tmp_path, monkeypatch):
    server = Server(["GET"], [[A], [B]])
    monkeypatch.setattr(stac_api, "read_text", server)
    assert found("https://a.org", tmp_path) == ["a", "b"]
    assert server.requests[0][0] == (
        "https://a.org/search?limit=250&bbox=9.0,39.0,12.0,42.0&"
        "datetime=2020-01-01T00:00:00Z/2020-12-31T23:59:59Z&collections=landsat-c2-l2"
    )


def test_a_server_with_post(tmp_path, monkeypatch):
    server = Server(["GET", "POST"], [[A]])
    monkeypatch.setattr(stac_api, "read_text", server)
    assert found("https://a.org", tmp_path) == ["a"]
    [(address, parameters)] = server.requests
    assert address == "https://a.org/search"
    assert parameters == {
        "limit": 250,
        "bbox": [9, 39, 12, 42],
        "datetime": "2020-01-01T00:00:00Z/2020-12-31T23:59:59Z",
        "collections": ["landsat-c2-l2"],
    }


def test_two_boxes(tmp_path, monkeypatch):
    server = Server(["POST"], [[A]])
    monkeypatch.setattr(stac_api, "read_text", server)
    query = dataclasses.replace(QUERY, boxes=boxes_of((178, -178, -20, -10)))
    found("https://a.org", tmp_path, query)
    boxes = [parameters["bbox"] for _, parameters in server.requests]
    assert boxes == [[178, -20, 180, -10], [-180, -20, -178, -10]]


def test_pages_that_go_round_in_a_circle(tmp_path, monkeypatch):
    class Circle(Server):
        def __call__(self, href, access, body=None):
            answer = json.loads(super().__call__(href, access, body))
            if answer["type"] == "FeatureCollection":
                answer["links"] = [{"rel": "next", "href": "https://a.org/search?page=1"}]
            return json.dumps(answer)

    monkeypatch.setattr(stac_api, "read_text", Circle(["GET"], [[A], [B]]))
    with pytest.raises(ImageryError, match="sends the same page of items again and again after 2"):
        found("https://a.org", tmp_path)


@pytest.mark.parametrize("counts", [{"numberMatched": 3}, {"context": {"matched": 3}}])
def test_items_that_never_come_are_missed(tmp_path, monkeypatch, counts):
    """A composite of a part of the scenes would look like any other."""
    monkeypatch.setattr(stac_api, "read_text", Server(["GET"], [[A], [B]], **counts))
    with pytest.raises(ImageryError, match=r"https://a.org sent 2 of 3 items that it found"):
        found("https://a.org", tmp_path)
    for fitting in ({"numberMatched": 2}, {"numberMatched": 1}, {"context": None}):
        monkeypatch.setattr(stac_api, "read_text", Server(["GET"], [[A], [B]], **fitting))
        assert found("https://a.org", tmp_path) == ["a", "b"]
    estimated = Server(["GET"], [[A], [B]], numberMatched=1_000_000)
    monkeypatch.setattr(stac_api, "read_text", estimated)
    assert found("https://a.org", tmp_path) == ["a", "b"]
