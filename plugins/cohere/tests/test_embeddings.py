"""Embeddings: what is sent for each option, and what is read from the bodies of the provider."""

from __future__ import annotations

import json

import pytest

import polyglot_cohere.driver
from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import Connection
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

DRIVER = bind(polyglot_cohere.driver, Connection(name="here", driver="cohere", api_key="test-key"))


def body(*vectors, **meta):
    embeddings, meta = {"float": vectors}, {"api_version": {"version": "2"}, **meta}
    fields = {"id": "1", "embeddings": embeddings, "texts": ["a"], "meta": meta, "response_type": "embeddings_by_type"}
    return json.dumps(fields).encode()


def test_embeddings_pass_their_check():
    """The check of the testkit."""
    found = check_embeddings(DRIVER, ["one", "two"], body([0.5, 1], [-1, 0.25], billed_units={"input_tokens": 4}))
    assert found.vectors == [[0.5, 1.0], [-1.0, 0.25]]
    assert found.usage.input_tokens == 4
    assert found.usage.raw["billed_units"] == {"input_tokens": 4}
    assert "embeddings" not in found.raw[0]


def test_tokens_precede_billed_units():
    """Where the response has both."""
    found = embed_texts(DRIVER, "a", body([1], billed_units={"input_tokens": 4}, tokens={"input_tokens": 5}))
    assert found.embeddings.usage.input_tokens == 5


def test_vectors_of_another_type_are_an_error():
    """A type that was not requested is no list of numbers."""
    data = json.dumps({"embeddings": {"int8": [[1, 2]]}}).encode()
    assert isinstance(embed_texts(DRIVER, "a", data).error, Malformed)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"input_type": "search_document"}),
        ({"input_type": "query"}, {"input_type": "search_query"}),
        ({"input_type": "clustering"}, {"input_type": "clustering"}),
        ({"dimensions": 256, "encoding": "float"}, {"input_type": "search_document", "output_dimension": 256}),
    ],
    ids=str,
)
def test_fields_of_the_body(options, sent):
    """The API requires a type of input."""
    wire = embed_texts(DRIVER, ["a", "b"], **options).request
    assert wire.url == "https://api.cohere.com/v2/embed"
    assert json.loads(wire.body) == {"model": "m", "texts": ["a", "b"], "embedding_types": ["float"], **sent}


@pytest.mark.parametrize("options", [{"input_type": "similarity"}, {"encoding": "base64"}], ids=str)
def test_options_that_the_driver_refuses(options):
    """None is dropped."""
    with pytest.raises(RequestError, match="cannot express"):
        embed_texts(DRIVER, "a", **options)
