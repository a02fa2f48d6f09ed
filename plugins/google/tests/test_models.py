"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Model
from polyglot_testkit import list_models

from .conftest import connect

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000"
VERTEX = "aiplatform.googleapis.com/v1beta1/publishers/google/models?pageSize=100"
ROW = {"name": "models/gemini-leaf", "displayName": "Gemini Leaf", "inputTokenLimit": 1048576, "outputTokenLimit": 8192}


def encoded(*pages):
    return [json.dumps(page).encode() for page in pages]


def test_pages_of_gemini_are_requested_by_their_token():
    """The names of models are without the collection that requests may omit."""
    pages = encoded({"models": [ROW], "nextPageToken": "a=/b"}, {"models": [{"name": "tunedModels/mine"}]})
    models, requests, error = list_models(connect(), pages)
    assert error is None
    assert [wire.url for wire in requests] == [GEMINI, f"{GEMINI}&pageToken=a%3D%2Fb"]
    names = {"id": "gemini-leaf", "name": "Gemini Leaf"}
    assert models[0] == Model(**names, context_tokens=1048576, output_tokens=8192, raw=ROW)
    assert models[1].id == "tunedModels/mine"


def test_pages_of_vertex_are_requested_by_their_token():
    """Only the beta version has the list."""
    row = {"name": "publishers/google/models/gemini-leaf", "versionId": "default"}
    models, requests, error = list_models(
        connect("vertex"), encoded({"publisherModels": [row], "nextPageToken": "p2"}, {"publisherModels": [row]})
    )
    assert error is None
    assert [wire.url for wire in requests] == [f"https://{VERTEX}", f"https://{VERTEX}&pageToken=p2"]
    assert models == [Model(id="gemini-leaf", raw=row)] * 2


@pytest.mark.parametrize("driver", ["gemini", "vertex"])
def test_a_page_without_models_has_no_list(driver):
    """Google omits empty lists; another page may follow."""
    models, requests, error = list_models(connect(driver), encoded({"nextPageToken": "p2"}, {}))
    assert (models, len(requests), error) == ([], 2, None)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"facts": {"location": "europe-west4", "project": "p"}}, f"https://europe-west4-{VERTEX}"),
        ({"base_url": "https://aiplatform.googleapis.com/v1/projects/p/locations/global"}, f"https://{VERTEX}"),
        (
            {"base_url": "http://127.0.0.1:1/gateway/v1"},
            "http://127.0.0.1:1/gateway/v1beta1/publishers/google/models?pageSize=100",
        ),
    ],
    ids=["location", "project in the URL", "gateway"],
)
def test_the_list_of_vertex_has_no_project(fields, url):
    """Its path has the publisher alone."""
    assert list_models(connect("vertex", **fields), ()).requests[0].url == url


def test_the_project_is_not_added_to_the_list(monkeypatch):
    """An access token is, as for any other request."""
    from polyglot_google import vertex

    monkeypatch.setattr(vertex, "_token", lambda *_: ({"authorization": "Bearer x"}, "p"))
    driver = connect("vertex", api_key=None)
    signed = driver.authorize(list_models(driver, ()).requests[0])
    assert (signed.url, signed.headers["authorization"]) == (f"https://{VERTEX}", "Bearer x")
