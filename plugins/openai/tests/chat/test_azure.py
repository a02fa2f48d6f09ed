"""Chat completions at deployments of Azure."""

from __future__ import annotations

import json

import pytest

import polyglot_openai.chat.azure
from polyglot_core import ConfigError
from polyglot_core._drivers.bound import Driver
from polyglot_core.plugin import Chunk, Connection, InferenceRequest, Message, Secret, TextDelta

HERE = "https://mine.openai.azure.com"
VERSION = "?api-version=2025-04-01-preview"


def bound(base_url=HERE, key="test-key", **facts):
    connection = Connection(name="here", driver="azure-openai", base_url=base_url, api_key=key, facts=facts)
    return Driver("azure-openai", polyglot_openai.chat.azure).bind(connection)


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
def test_an_address_may_stop_anywhere_on_the_way_to_the_deployment(base_url, url):
    """What is missing between the address and the path of chat completions is put there, the version behind it."""
    assert encoded(base_url).url == url


def test_the_deployment_is_the_model_unless_it_has_a_name_of_its_own():
    """The path names the deployment, as text in a path; the body names the model."""
    assert "/deployments/gpt%204%2Fx/" in encoded(model="gpt 4/x").url
    wire = encoded(deployment="mine")
    assert "/deployments/mine/" in wire.url
    assert json.loads(wire.body)["model"] == "gpt"


def test_a_version_of_the_users_own():
    """Columns say which version of the API is meant, and may say another path altogether."""
    assert encoded(query={"api-version": "2024-10-21"}).url.endswith("?api-version=2024-10-21")
    assert encoded(path="/openai/v1/chat/completions", query={}).url == f"{HERE}/openai/v1/chat/completions"


def test_without_an_address_it_says_what_one_looks_like():
    """The driver knows no address that could be meant, and shows the shape of one."""
    with pytest.raises(ConfigError, match=r"https://RESOURCE\.openai\.azure\.com"):
        encoded(None)


def test_the_key_goes_into_its_own_header():
    """A key is put into ``api-key``, as a secret, and nowhere else."""
    wire = bound().authorize(encoded())
    assert wire.headers["api-key"] == Secret("test-key")
    assert "authorization" not in wire.headers
    assert "test-key" not in repr(wire)
    assert "api-key" not in bound(key=None).authorize(encoded()).headers


def test_a_token_is_fetched_for_each_request():
    """A provider of tokens is asked for every attempt, and its token replaces the key."""
    tokens = iter(["one", "two"])
    driver = bound(token_provider=lambda: next(tokens))
    for token in ("one", "two"):
        wire = driver.authorize(encoded())
        assert wire.headers["authorization"] == Secret(f"Bearer {token}")
        assert "api-key" not in wire.headers
        assert token not in repr(wire.headers)


@pytest.mark.parametrize("token", [None, "", b"bytes", 5])
def test_a_provider_without_a_token(token):
    """What is no token is an error that names the connection and shows the type alone."""
    with pytest.raises(ConfigError, match=f"'here' has a token_provider that gave no token but {type(token).__name__}"):
        bound(token_provider=lambda: token).authorize(encoded())


def test_it_speaks_the_same_dialect():
    """The request's body and the answer's chunks are those of chat completions."""
    body = json.loads(encoded(options={"max_tokens": 5}).body)
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert body["max_completion_tokens"] == 5  # the newer models take no other name
    filtered = b'{"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}'
    piece = b'{"id": "1", "model": "gpt", "choices": [{"index": 0, "delta": {"content": "a"}}]}'
    decode = bound(query={"api-version": "1"}).decoder({})
    assert list(decode(Chunk(filtered, filtered))) == []
    assert list(decode(Chunk(piece, piece)))[-1] == TextDelta("a")
