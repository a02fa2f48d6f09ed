"""Who asks: a key, the key of the environment, or a signature with AWS credentials."""

from __future__ import annotations

import sys

import pytest

from polyglot_bedrock.driver import authorize, encode_request
from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Connection, InferenceRequest, Message, Secret

ASKED = InferenceRequest(model="us.garden.leaf-v1:0", messages=(Message(role="user", content="Hello"),))


def headers(**fields):
    connection = Connection(name="garden", driver="bedrock", **fields)
    return dict(authorize(connection, encode_request(connection, ASKED)).headers)


@pytest.fixture
def credentials(monkeypatch):
    """Credentials in the environment; skipped where nothing can sign."""
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "test-token")


def test_the_connections_key_is_a_bearer_token(credentials):
    """A key comes before everything else, and is secret in the header."""
    sent = headers(api_key="test-key")
    assert sent["authorization"] == Secret("Bearer test-key")
    assert "x-amz-date" not in sent


def test_the_key_of_the_environment_is_for_amazon_alone(credentials, monkeypatch):
    """Another address is signed for instead: a signature is of no use to whoever gets it."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "test-key")
    assert headers()["authorization"] == Secret("Bearer test-key")
    for base_url in ("https://garden.test", "https://amazonaws.com.garden.test", "http://x.amazonaws.com"):
        assert headers(base_url=base_url, allow_http=True)["authorization"].reveal().startswith("AWS4-HMAC-SHA256 ")


def test_a_request_is_signed_for_the_region_and_the_service(credentials):
    """The signature names both, and covers the host and the content type."""
    sent = headers(facts={"region": "eu-central-1"})
    signature = sent["authorization"].reveal()
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=test-id/")
    assert "/eu-central-1/bedrock/aws4_request, " in signature
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in signature
    assert sent["x-amz-security-token"] == Secret("test-token")


def test_the_same_request_at_the_same_time_has_the_signature_of_the_specification(credentials, monkeypatch):
    """Worked out by hand from the rules of Signature Version 4, with the path encoded twice."""
    import hashlib
    import hmac

    connection = Connection(name="garden", driver="bedrock")
    wire = encode_request(connection, ASKED)
    sent = authorize(connection, wire).headers
    date = sent["x-amz-date"]
    canonical = "\n".join(
        [
            "POST",
            "/model/us.garden.leaf-v1%253A0/converse",
            "",
            "content-type:application/json",
            "host:bedrock-runtime.us-east-1.amazonaws.com",
            f"x-amz-date:{date}",
            "x-amz-security-token:test-token",
            "",
            "content-type;host;x-amz-date;x-amz-security-token",
            hashlib.sha256(wire.body).hexdigest(),
        ]
    )
    scope = f"{date[:8]}/us-east-1/bedrock/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4test-secret"
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert sent["authorization"].reveal().endswith(f"Signature={key.hex()}")


def test_the_region_of_an_address_counts_where_none_is_named(credentials):
    """A connection to another region's address is signed for that region."""
    sent = headers(base_url="https://bedrock-runtime.ap-south-1.amazonaws.com")
    assert "/ap-south-1/bedrock/" in sent["authorization"].reveal()


def test_a_profile_has_credentials_of_its_own(credentials, no_credentials_of_this_machine):
    """The profile is looked up in AWS's files, and comes before the environment."""
    (no_credentials_of_this_machine / "shared_credentials_file").write_text(
        "[rose]\naws_access_key_id = rose-id\naws_secret_access_key = rose-secret\n"
    )
    assert "Credential=rose-id/" in headers(facts={"profile": "rose"})["authorization"].reveal()


def test_nothing_secret_is_printed(credentials):
    """Neither signature nor session token show."""
    connection = Connection(name="garden", driver="bedrock")
    shown = repr(authorize(connection, encode_request(connection, ASKED)))
    assert "test-token" not in shown
    assert "Signature=" not in shown


@pytest.mark.parametrize("facts", [{}, {"profile": "nobody"}])
def test_without_credentials_it_says_what_to_do(facts):
    """There is no key, no credentials, and no such profile."""
    pytest.importorskip("botocore")
    with pytest.raises(ConfigError, match="AWS credentials"):
        headers(facts=facts)


def test_without_botocore_it_says_what_to_do(monkeypatch):
    """Only a signature needs it."""
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigError, match="botocore"):
        headers()
    assert headers(api_key="test-key")["authorization"] == Secret("Bearer test-key")
