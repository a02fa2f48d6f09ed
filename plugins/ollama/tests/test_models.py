"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json
from datetime import timedelta

from polyglot_testkit import list_models

ROW = {"name": "garden:1b", "model": "garden:1b", "modified_at": "2026-03-04T05:06:07.123456789+02:00", "size": 9}


def test_the_models_on_the_server_are_read(harness):
    """Their date is that of their files."""
    body = json.dumps({"models": [ROW, {"name": "older:1b"}]}).encode()
    models, requests, error = list_models(harness.connect(base_url="http://127.0.0.1:1/"), [body])
    assert (error, [wire.url for wire in requests]) == (None, ["http://127.0.0.1:1/api/tags"])
    assert [(model.id, model.raw) for model in models] == [("garden:1b", ROW), ("older:1b", {"name": "older:1b"})]
    assert models[0].created.utcoffset() == timedelta(hours=2)
    assert models[1].created is None
