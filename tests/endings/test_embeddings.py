"""Embeddings of every driver that has them, over the simulator on a real socket, sync and async.

The expected vectors are the simulator's own, which it makes from the texts and from what the request states.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest

from polyglot_core import (
    AsyncInference,
    AuthenticationError,
    Inference,
    PolyglotError,
    RateLimited,
    RequestError,
    Retries,
    Truncated,
)
from polyglot_core.errors import InvalidRequest, Malformed, NotFound, ServerError, TransportError
from polyglot_simulator import ContentType, Drop, Gzip, RawReply, Reset, Simulator, Status
from polyglot_simulator.dialect import vector_of

from .secrecy import texts_of

pytestmark = pytest.mark.http

KEY = "key-that-nobody-may-see"


class Row(NamedTuple):
    """What differs between the drivers.

    Attributes:
        driver: Name of the driver.
        model: A model with embeddings.
        most: Most texts of a request.
        size: Length of a vector if none is requested.
        input_types: Option → the provider's word, which changes the vector.
        usual: The provider's word if the option is not set.
        counts: Whether responses state tokens.
    """

    driver: str
    model: str
    most: int
    size: int = 256
    input_types: dict[str, str] = {}  # noqa: RUF012 (it is not changed)
    usual: str = ""
    counts: bool = True


GOOGLE = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "similarity": "SEMANTIC_SIMILARITY",
}
COHERE = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
DOCUMENT = "search_document"
ROWS = {
    "openai": Row("openai", "text-embedding-3-small", 2048),
    "azure-openai": Row("azure-openai", "my-deployment", 2048),
    "mistral": Row("mistral", "mistral-embed", 256),
    "cohere": Row("cohere", "embed-v4.0", 96, input_types=COHERE, usual=DOCUMENT),
    "ollama": Row("ollama", "nomic-embed-text", 256),
    "gemini": Row("gemini", "gemini-embedding-001", 100, input_types=GOOGLE),
    "vertex": Row("vertex", "text-embedding-005", 250, input_types=GOOGLE),
    "vertex, a Gemini model": Row("vertex", "gemini-embedding-001", 1, input_types=GOOGLE),
    "bedrock, Titan": Row("bedrock", "amazon.titan-embed-text-v2:0", 1, 1024),
    "bedrock, Cohere": Row("bedrock", "eu.cohere.embed-v4:0", 96, input_types=COHERE, usual=DOCUMENT, counts=False),
}


SEVERAL = [name for name, row in ROWS.items() if row.most > 1]


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request):
    """Return one of the drivers with embeddings."""
    return request.param


@pytest.fixture
def embed(style):
    """Embed texts over a connection in the style of the test."""

    def embed(connection: Any, texts: Any, **arguments: Any) -> Any:
        if style == "sync":
            with Inference.from_connection(connection) as inference:
                return inference.embed(texts, **arguments)

        async def main() -> Any:
            async with AsyncInference.from_connection(connection) as inference:
                return await inference.embed(texts, **arguments)

        return asyncio.run(main())

    return embed


def connection_to(simulator, row, **fields):
    return simulator.connection_for(row.driver).with_changes(model=row.model, **fields)


def texts_for(row, *, requests):
    """Return texts that need this number of requests."""
    return [f"Text {number}: grüße, 北京, 🌧" for number in range(row.most * (requests - 1) + 1)]


def tokens_in(simulator, texts):
    """Return the tokens that the simulator counts, by its own plain dialect."""
    return Inference.from_connection(simulator.connection).embed(texts, model="m").usage.input_tokens


def test_vectors_are_those_of_the_texts_in_order(embed, row, simulate):
    """Several batches, joined; the usage is the sum."""
    simulator = simulate()
    texts = texts_for(row, requests=3 if row.most < 100 else 2)[: 3 if row.most == 1 else None]
    found = embed(connection_to(simulator, row), texts, batch_size=None)
    assert found.vectors == [vector_of(text, row.size, row.usual) for text in texts]
    sent = len(simulator.requests)
    assert len(found.raw) == sent > 1
    assert not any(
        "embedding" in name and isinstance(value, list) for each in found.raw for name, value in each.items()
    )
    if row.counts:
        assert found.usage.input_tokens == tokens_in(simulator, texts)
    else:
        assert found.usage is None
    assert all(request.method == "POST" for request in simulator.requests)


def test_dimensions_are_requested(embed, row, simulate):
    """The simulator makes a vector of that length, which is another one."""
    simulator = simulate()
    found = embed(connection_to(simulator, row), ["Hi"], options={"dimensions": 512})
    assert found.vectors == [vector_of("Hi", 512, row.usual)]


@pytest.mark.parametrize("word", GOOGLE)
def test_input_type_is_requested_or_refused(embed, row, word, simulate):
    """A provider that has no word for it does not get one silently."""
    simulator = simulate()
    connection = connection_to(simulator, row)
    if word in row.input_types:
        found = embed(connection, ["Hi"], options={"input_type": word})
        assert found.vectors == [vector_of("Hi", row.size, row.input_types[word])]
        return
    with pytest.raises(RequestError, match="input_type"):
        embed(connection, ["Hi"], options={"input_type": word})
    assert simulator.requests == []
    found = embed(connection, ["Hi"], options={"input_type": word}, unsupported="drop")
    assert found.vectors == [vector_of("Hi", row.size, row.usual)]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_encoding_is_requested_or_refused(embed, row, encoding, simulate):
    """Numbers are the same in either encoding; a dialect without base64 refuses it."""
    simulator = simulate()
    connection = connection_to(simulator, row)
    if encoding == "float" or "openai" in row.driver:
        found = embed(connection, ["Hi"], options={"encoding": encoding})
        assert found.vectors == [vector_of("Hi", row.size, row.usual)]
        return
    with pytest.raises(RequestError, match="encoding 'base64'"):
        embed(connection, ["Hi"], options={"encoding": encoding})
    assert simulator.requests == []


def test_compressed_response(embed, row, simulate):
    """A server may compress what it was not asked to."""
    assert embed(connection_to(simulate(fault=Gzip()), row), ["Hi"]).vectors == [vector_of("Hi", row.size, row.usual)]


# Errors


STATUSES = {401: AuthenticationError, 404: NotFound, 429: RateLimited, 500: ServerError}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=map(str, STATUSES))
def test_error_status_keeps_the_vectors_before(embed, row, status, kind, simulate):
    """The second batch fails, in the dialect's own shape."""
    simulator = simulate(faults=[None, Status(status)])
    with pytest.raises(kind, match="The simulator was configured to return status") as caught:
        embed(connection_to(simulator, row), ["Hi", "there"], batch_size=1)
    assert caught.value.status == status
    assert caught.value.embeddings.vectors == [vector_of("Hi", row.size, row.usual)]
    assert caught.value.partial is None


def test_rate_limit_is_waited_for(embed, row, simulate):
    """The batch is sent again after the seconds that the response states."""
    simulator = simulate(fault=Status(429, headers={"retry-after": "0"}, times=2))
    connection = connection_to(simulator, row, retries=Retries(max_retries=2, initial_backoff=0.01))
    assert embed(connection, ["Hi"]).vectors == [vector_of("Hi", row.size, row.usual)]
    assert len(simulator.requests) == 3


def test_wrong_key_is_refused(embed, row, simulate):
    """The dialect takes the key where its provider does."""
    simulator = simulate(api_key=KEY)
    connection = connection_to(simulator, row)
    assert len(embed(connection, ["Hi"]).vectors) == 1
    with pytest.raises(AuthenticationError):
        embed(connection.with_changes(api_key="another-key"), ["Hi"])


BROKEN = {
    "cut off": (Drop(after_bytes=40), (Truncated, TransportError)),
    "reset": (Reset(after_bytes=40), (Truncated, TransportError)),
    "garbage": (ContentType("application/json", body=b"\x00\xff{["), (Malformed, Truncated)),
    "a page": (ContentType("text/html", body="<p>Sorry"), PolyglotError),
    "an empty object": (ContentType("application/json", body={}), Malformed),
    "an error": (
        ContentType("application/json", body={"error": {"message": "No.", "code": "overloaded"}}),
        PolyglotError,
    ),
}


@pytest.mark.parametrize(("fault", "kind"), BROKEN.values(), ids=BROKEN)
def test_broken_body_is_an_error(embed, row, fault, kind, simulate):
    """It is never a short list, and no fault of the driver."""
    simulator = simulate(faults=[None, fault])
    with pytest.raises(kind) as caught:
        embed(connection_to(simulator, row), ["Hi", "there"], batch_size=1)
    assert type(caught.value).__name__ != "PluginError"
    assert len(caught.value.embeddings.vectors) == 1


def test_body_that_is_cut_off_is_requested_again(embed, row, simulate):
    """Nothing of it was used."""
    simulator = simulate(fault=Drop(after_bytes=40, times=1))
    connection = connection_to(simulator, row, retries=Retries(max_retries=1, initial_backoff=0.01))
    assert embed(connection, ["Hi"]).vectors == [vector_of("Hi", row.size, row.usual)]
    assert len(simulator.requests) == 2


@pytest.mark.parametrize("row", [ROWS[name] for name in SEVERAL], ids=SEVERAL)
def test_response_to_fewer_texts_is_an_error(embed, row, simulate):
    """The body of a request for one text is the response to one for two."""
    simulator = simulate()
    embed(connection_to(simulator, row), ["Hi"])
    body = _received(simulator, row)
    other = simulate(RawReply(writes=[body], headers={"content-type": "application/json"}))
    with pytest.raises(Malformed, match=r"The response has 1 vectors for the 2 texts from texts\[0\] on"):
        embed(connection_to(other, row), ["Hi", "there"])


def _received(simulator, row):
    """Return the body of the response to the latest request, sent once more with the standard library."""
    request = simulator.requests[-1]
    url = f"http://127.0.0.1:{simulator.port}{request.path}?{request.query}"
    headers = {name: text for name, text in request.headers.items() if name not in {"host", "content-length"}}
    headers["accept-encoding"] = "identity"
    with urlopen(Request(url, json.dumps(request.body).encode(), headers)) as response:
        return response.read()


FAULTS = {
    "refused": Status(401),
    "server error": Status(500),
    "cut off": Drop(after_bytes=40),
    "reset": Reset(after_bytes=9),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_key_is_in_nothing_that_a_failure_leaves(embed, row, fault, simulate, caplog):
    """Texts, tracebacks with local variables, pickles and logs."""
    caplog.set_level(logging.DEBUG)
    connection = connection_to(simulate(fault=fault), row, api_key=KEY)
    with pytest.raises(PolyglotError) as caught:
        embed(connection, ["Hi"])
    assert KEY not in "".join(texts_of(caught.value))
    assert KEY not in caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):  # noqa: S301 (our own)
        assert twin.embeddings == caught.value.embeddings


# Single facts of drivers


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.most > 1 and row.driver != "ollama"])
def test_more_texts_than_the_provider_takes_are_its_error(embed, row, simulate):
    """A size that the caller gives is not corrected: the provider's own error results. Ollama states no limit."""
    with pytest.raises(InvalidRequest):
        embed(connection_to(simulate(), row), ["Hi"] * (row.most + 1), batch_size=row.most + 1)


@pytest.mark.parametrize(("driver", "tokens"), [("openai", 300_000), ("mistral", 16_384), ("vertex", 20_000)])
def test_batches_stay_below_a_limit_of_tokens(embed, driver, tokens, simulate):
    """A text has at most as many tokens as bytes."""
    row = ROWS[driver]
    simulator = simulate()
    texts = [f"{number:02} {'word ' * 1000}" for number in range(70)]
    assert len(embed(connection_to(simulator, row), texts).vectors) == 70
    fields = {"openai": "input", "mistral": "input", "vertex": "instances"}
    batches = [request.body[fields[driver]] for request in simulator.requests]
    sizes = [sum(len(text if isinstance(text, str) else text["content"]) for text in batch) for batch in batches]
    assert len(batches) > 1
    assert all(tokens - 5010 < size <= tokens for size in sizes[:-1])


def test_an_endpoint_without_embeddings_is_not_found(embed, simulate):
    """A row of the dialect whose endpoint has none gives the endpoint's own 404."""
    connection = simulate().connection.with_changes(base_url=simulate().base_url + "/nowhere")
    with pytest.raises(NotFound, match="Unknown request URL"):
        embed(connection, ["Hi"], model="m")


def test_bedrock_knows_two_families(embed, simulate):
    """Another model's body is not known, and a Titan model takes one text."""
    simulator = simulate()
    connection = simulator.connection_for("bedrock")
    with pytest.raises(RequestError, match=r"'amazon.nova-lite' is no model whose embeddings the driver can request"):
        embed(connection, ["Hi"], model="amazon.nova-lite")
    with pytest.raises(RequestError, match="embeds one text in a request; leave out batch_size"):
        embed(connection, ["Hi", "there"], model=ROWS["bedrock, Titan"].model, batch_size=2)
    assert simulator.requests == []


def test_default_simulator_is_for_plain_clients(simulate):
    """It is what the tests above rely on: the same text has the same vector in each run."""
    assert vector_of("Hi", 3) == vector_of("Hi", 3) != vector_of("Ho", 3)
    assert sum(number * number for number in vector_of("Hi", 64)) == pytest.approx(1)
    assert isinstance(simulate(), Simulator)
