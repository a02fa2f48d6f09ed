"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from polyglot_core.plugin import Model
from polyglot_testkit import list_models

ROW = {"id": "garden-1", "object": "model", "created": 1770000000, "name": "Garden", "max_context_length": 32768}


@pytest.mark.parametrize("body", [{"object": "list", "data": [ROW]}, [ROW]], ids=["in an object", "alone"])
def test_the_list_is_read(harness, body):
    """It has one page."""
    models, requests, error = list_models(harness.connect(), [json.dumps(body).encode()])
    assert (error, [wire.url for wire in requests]) == (None, ["https://api.mistral.ai/v1/models"])
    created = datetime.fromtimestamp(1770000000, UTC)
    assert models == [Model(id="garden-1", name="Garden", created=created, context_tokens=32768, raw=ROW)]
