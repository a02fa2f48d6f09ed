"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json

import pytest

from polyglot_core.plugin import Model
from polyglot_testkit import list_models

HERE = "https://api.cohere.com/v1/models?page_size=1000"
ROW = {"name": "command-leaf", "endpoints": ["chat"], "finetuned": False, "context_length": 128000}


def test_pages_are_requested_by_their_token(harness):
    """Only version 1 of the API has the list."""
    pages = [{"models": [ROW], "next_page_token": "p/2"}, {"models": [{"name": "embed-leaf"}], "next_page_token": ""}]
    models, requests, error = list_models(harness.connect(), [json.dumps(page).encode() for page in pages])
    assert error is None
    assert [wire.url for wire in requests] == [HERE, f"{HERE}&page_token=p%2F2"]
    assert models[0] == Model(id="command-leaf", context_tokens=128000, raw=ROW)
    assert models[1] == Model(id="embed-leaf", raw={"name": "embed-leaf"})


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:1/v2/", "http://127.0.0.1:1/v1/models"),
        ("http://127.0.0.1:1/gateway", "http://127.0.0.1:1/gateway/models"),
    ],
)
def test_a_base_url_is_kept(harness, base_url, url):
    """Its version is replaced, if it has one."""
    assert list_models(harness.connect(base_url=base_url), ()).requests[0].url == f"{url}?page_size=1000"
