"""Chat completions at deployments of Azure."""

from __future__ import annotations

import json

import pytest

import polyglot_openai.chat.azure
from polyglot_core import ConfigError
from polyglot_core.plugin import Chunk, Connection, Details, InferenceRequest, Message, Secret, TextDelta
from polyglot_core.testing import bind

HERE = "https://mine.openai.azure.com"
VERSION = "?api-version=2025-04-01-preview"


def bound(base_url=HERE, key="test-key", **facts):
    connection = Connection(name="here", driver="azure-openai", base_url=base_url, api_key=key, facts=facts)
    return bind(polyglot_openai.chat.azure, connection)


def encoded(base_url=HERE, model="gpt", options=(), **facts):
    asked = {"messages": (Message(role="user", content="Hi"),), "options": dict(options), "stream": True}
    return bound(base_url, **facts).encode(InferenceRequest(model=model, **asked))


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (HERE, f"{HERE}/openai/deployments/gpt/chat/completions{VERSION}"),
        (f"{HERE}/", f"{HERE}/openai/deployments/gpt/chat/completions{VERSION}"),
        (f"{HERE}/openai", f"{HERE}/openai/deployments/gpt/chat/completions{VERSION}"),
        (f"{HERE}/openai/deployments/other", f"{HERE}/openai/deployments/other/chat/completions{VERSION}"),
        (
            "https://mine.services.ai.azure.com/models",
            f"https://mine.services.ai.azure.com/models/chat/completions{VERSION}",
        ),
        ("http://127.0.0.1:1/gateway", f"http://127.0.0.1:1/gateway/openai/deployments/gpt/chat/completions{VERSION}"),
    ],
)
def test_base_url_is_completed(base_url, url):
    """What is missing between the base URL and the deployment is added, with the version in the query."""
    assert encoded(base_url).url == url


def test_deployment_defaults_to_the_model():
    """The path holds the deployment, percent-encoded; the body holds the model."""
    assert "/deployments/gpt%204%2Fx/" in encoded(model="gpt 4/x").url
    wire = encoded(deployment="mine")
    assert "/deployments/mine/" in wire.url
    assert json.loads(wire.body)["model"] == "gpt"


def test_api_version_and_path_can_be_set():
    """Facts set the version of the API and may replace the whole path."""
    assert encoded(query={"api-version": "2024-10-21"}).url.endswith("?api-version=2024-10-21")
    assert encoded(path="/openai/v1/chat/completions", query={}).url == f"{HERE}/openai/v1/chat/completions"


def test_missing_base_url_is_reported_with_an_example():
    """The driver has no default base URL; the error shows its form."""
    with pytest.raises(ConfigError, match=r"https://RESOURCE\.openai\.azure\.com"):
        encoded(None)


def test_key_is_sent_in_its_own_header():
    """The key is sent in ``api-key``, as a secret, and in no other header."""
    wire = bound().authorize(encoded())
    assert wire.headers["api-key"] == Secret("test-key")
    assert "authorization" not in wire.headers
    assert "test-key" not in repr(wire)
    assert "api-key" not in bound(key=None).authorize(encoded()).headers


def test_token_is_fetched_for_each_request():
    """The token provider is called for every attempt, and its token replaces the key."""
    tokens = iter(["one", "two"])
    driver = bound(token_provider=lambda: next(tokens))
    for token in ("one", "two"):
        wire = driver.authorize(encoded())
        assert wire.headers["authorization"] == Secret(f"Bearer {token}")
        assert "api-key" not in wire.headers
        assert token not in repr(wire.headers)


@pytest.mark.parametrize("token", [None, "", b"bytes", 5])
def test_invalid_token_is_reported(token):
    """A value that is no token is an error that names the connection and shows only its type."""
    with pytest.raises(
        ConfigError, match=f"'here' has a token_provider that returned no token but {type(token).__name__}"
    ):
        bound(token_provider=lambda: token).authorize(encoded())


def test_dialect_is_chat_completions():
    """The body and the chunks are those of chat completions."""
    body = json.loads(encoded(options={"max_tokens": 5}).body)
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert body["max_completion_tokens"] == 5  # newer models accept no other name
    filtered = b'{"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}'
    piece = b'{"id": "1", "model": "gpt", "choices": [{"index": 0, "delta": {"content": "a"}}]}'
    decode = bound(query={"api-version": "1"}).decoder({})
    results = {"prompt_filter_results": [{"prompt_index": 0}]}
    assert list(decode(Chunk(filtered, filtered))) == [Details(results)]
    assert list(decode(Chunk(piece, piece)))[-1] == TextDelta("a")
