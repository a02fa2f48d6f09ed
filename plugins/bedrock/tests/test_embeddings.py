"""Embeddings: what is sent for each option, and what is read from the bodies of the provider."""

from __future__ import annotations

import json

import pytest

import polyglot_bedrock.driver
from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import Connection, Usage
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

DRIVER = bind(
    polyglot_bedrock.driver, Connection(name="here", driver="bedrock", api_key="k", facts={"region": "us-east-1"})
)
TITAN, COHERE = "amazon.titan-embed-text-v2:0", "us.cohere.embed-v4:0"
ROOT = "https://bedrock-runtime.us-east-1.amazonaws.com/model"


def test_titan_passes_its_check():
    """The vector is in the response twice, and kept once."""
    data = {"embedding": [0.5, 1], "embeddingsByType": {"float": [0.5, 1]}, "inputTextTokenCount": 4}
    found = check_embeddings(DRIVER, ["one"], json.dumps(data).encode(), model=TITAN)
    assert (found.vectors, found.usage) == ([[0.5, 1.0]], Usage(input_tokens=4, raw={"inputTextTokenCount": 4}))
    assert found.raw == ({"inputTextTokenCount": 4},)


@pytest.mark.parametrize("typed", [True, False])
def test_cohere_passes_its_check(typed):
    """Vectors may be below the name of their type."""
    vectors = [[0.5, 1], [-1, 0.25]]
    data = {"id": "1", "embeddings": {"float": vectors} if typed else vectors, "response_type": "embeddings"}
    found = check_embeddings(DRIVER, ["one", "two"], json.dumps(data).encode(), model=COHERE)
    assert (found.vectors, found.usage) == ([[0.5, 1.0], [-1.0, 0.25]], None)


def test_fields_of_both_families():
    """The name of a model is one segment of the path."""
    wire = embed_texts(DRIVER, ["a"], model=TITAN, dimensions=256, encoding="float").request
    assert (wire.url, json.loads(wire.body)) == (
        f"{ROOT}/amazon.titan-embed-text-v2%3A0/invoke",
        {"inputText": "a", "dimensions": 256},
    )
    wire = embed_texts(DRIVER, ["a", "b"], model=COHERE, dimensions=256, input_type="query").request
    assert (wire.url, json.loads(wire.body)) == (
        f"{ROOT}/us.cohere.embed-v4%3A0/invoke",
        {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256},
    )


REFUSED = {
    "another model": (["a"], "amazon.nova-lite-v1:0", {}, "is no model whose embeddings the driver can request"),
    "several texts": (["a", "b"], TITAN, {}, "embeds one text in a request"),
    "input type of Titan": (["a"], TITAN, {"input_type": "query"}, "cannot express option 'input_type'"),
    "input type of Cohere": (["a"], COHERE, {"input_type": "similarity"}, "cannot express the input_type 'similarity'"),
    "base64": (["a"], COHERE, {"encoding": "base64"}, "cannot express the encoding 'base64'"),
}


@pytest.mark.parametrize(("texts", "model", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_driver_refuses(texts, model, options, message):
    """Nothing is dropped."""
    with pytest.raises(RequestError, match=message):
        embed_texts(DRIVER, texts, model=model, **options)


@pytest.mark.parametrize("data", [b"{}", b'{"embeddings": {"int8": [[1]]}}', b'{"embedding": [null]}'])
@pytest.mark.parametrize("model", [TITAN, COHERE])
def test_body_without_vectors_is_an_error(data, model):
    """It is no short list."""
    assert isinstance(embed_texts(DRIVER, ["a"], data, model=model).error, Malformed)


def test_limits_depend_on_the_model():
    """Titan takes one text."""
    assert DRIVER.embedding_limits(TITAN, None) == (1, None)
    assert DRIVER.embedding_limits(COHERE, None) == (96, None)
