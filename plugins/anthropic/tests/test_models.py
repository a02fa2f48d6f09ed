"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import Model
from polyglot_testkit import list_models

HERE = "https://api.anthropic.com/v1/models?limit=1000"
LEAF = {"type": "model", "id": "claude-leaf-1", "display_name": "Claude Leaf", "created_at": "2026-03-04T00:00:00Z"}
ROOT = {"type": "model", "id": "claude-root-1", "display_name": "Claude Root", "created_at": "1970-01-01T00:00:00Z"}


def page(*rows, **fields):
    return json.dumps({"data": rows, "has_more": False, **fields}).encode()


def test_pages_are_requested_after_the_last_id(harness):
    """Each request has the version of the API. Limits of 0 and the beginning of 1970 stand for what is not known."""
    limits = {"max_input_tokens": 200000, "max_tokens": 64000}
    pages = [
        page({**LEAF, **limits}, has_more=True, last_id="claude-leaf-1"),
        page({**ROOT, "max_input_tokens": 0, "max_tokens": 0}),
    ]
    models, requests, error = list_models(harness.connect(), pages)
    assert error is None
    assert [wire.url for wire in requests] == [HERE, f"{HERE}&after_id=claude-leaf-1"]
    assert {(wire.method, wire.headers["anthropic-version"]) for wire in requests} == {("GET", "2023-06-01")}
    released = datetime(2026, 3, 4, tzinfo=UTC)
    leaf = {"id": "claude-leaf-1", "name": "Claude Leaf", "context_tokens": 200000, "output_tokens": 64000}
    assert models[0] == Model(**leaf, created=released, raw={**LEAF, **limits})
    assert (models[1].id, models[1].created, models[1].context_tokens) == ("claude-root-1", None, None)


@pytest.mark.parametrize(
    ("fields", "requested"),
    [
        ({}, None),
        ({"last_id": "claude-leaf-1"}, None),
        ({"has_more": True, "last_id": "a&b"}, "&after_id=a%26b"),
        ({"has_more": True}, "&after_id=claude-leaf-1"),
        ({"has_more": True, "last_id": None}, "&after_id=claude-leaf-1"),
    ],
    ids=["no more", "a last id", "more", "more without an id", "more with null"],
)
def test_a_further_page_is_requested_if_there_is_more(harness, fields, requested):
    """Without an id of the page, that of its last model counts."""
    requests = list_models(harness.connect(), [page(LEAF, **fields)]).requests
    assert [wire.url for wire in requests[1:]] == ([f"{HERE}{requested}"] if requested else [])


def test_a_base_url_is_kept(harness):
    """The list is next to the messages."""
    assert (
        list_models(harness.connect(base_url="http://127.0.0.1:1/v1/"), ())
        .requests[0]
        .url.startswith("http://127.0.0.1:1/v1/models?")
    )


def test_a_cloud_with_other_paths_has_no_list(harness):
    """The preset of a cloud puts the version into the body."""
    driver = harness.connect(base_url="https://example.com/p", facts={"body_version": "v9"})
    with pytest.raises(RequestError, match="'garden' has no list of models"):
        list_models(driver, ())
