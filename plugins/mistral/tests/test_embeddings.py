"""Embeddings: what is sent for each option, and what is read from the bodies of the provider."""

from __future__ import annotations

import json

import pytest

import polyglot_mistral.driver
from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import Connection, Usage
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

DRIVER = bind(polyglot_mistral.driver, Connection(name="here", driver="mistral", api_key="test-key"))
USAGE = {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0}


def body(*rows):
    data = [{"object": "embedding", "embedding": numbers, "index": index} for index, numbers in rows]
    return json.dumps({"id": "1", "object": "list", "data": data, "model": "mistral-embed", "usage": USAGE}).encode()


def test_embeddings_pass_their_check():
    """The check of the testkit."""
    found = check_embeddings(DRIVER, ["one", "two"], body((0, [0.5, 1]), (1, [-1, 0.25])))
    assert found.vectors == [[0.5, 1.0], [-1.0, 0.25]]
    assert (found.usage, found.model) == (Usage(input_tokens=9, raw=USAGE), "mistral-embed")


def test_rows_are_ordered_by_index():
    """They may be in another order."""
    assert embed_texts(DRIVER, "ab", body((1, [2]), (0, [1]))).embeddings.vectors == [[1.0], [2.0]]


def test_index_that_is_repeated_is_an_error():
    """One of the texts has no vector."""
    assert isinstance(embed_texts(DRIVER, "ab", body((1, [2]), (1, [1]))).error, Malformed)


@pytest.mark.parametrize(
    ("options", "sent"), [({}, {}), ({"dimensions": 5}, {"output_dimension": 5}), ({"encoding": "float"}, {})]
)
def test_fields_of_the_body(options, sent):
    """Numbers are text unless something else is requested."""
    wire = embed_texts(DRIVER, ["a", "b"], **options).request
    assert wire.url == "https://api.mistral.ai/v1/embeddings"
    assert json.loads(wire.body) == {"model": "m", "input": ["a", "b"], **sent}


@pytest.mark.parametrize("options", [{"input_type": "query"}, {"encoding": "base64"}], ids=str)
def test_options_that_the_driver_refuses(options):
    """None is dropped."""
    with pytest.raises(RequestError, match="cannot express"):
        embed_texts(DRIVER, "a", **options)
