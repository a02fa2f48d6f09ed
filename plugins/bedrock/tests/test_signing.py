"""Authorization with a key, the key of the environment, or a signature with AWS credentials."""

from __future__ import annotations

import sys

import msgspec
import pytest

from polyglot_bedrock.driver import authorize, encode_request, list_models
from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Connection, InferenceRequest, Message, Secret

ASKED = InferenceRequest(model="us.garden.leaf-v1:0", messages=(Message(role="user", content="Hello"),))


def headers(**fields):
    connection = Connection(name="garden", driver="bedrock", **fields)
    return dict(authorize(connection, encode_request(connection, ASKED)).headers)


@pytest.fixture
def credentials(monkeypatch):
    """Set credentials in the environment; skip if botocore is missing."""
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "test-token")


def test_connection_key_is_a_bearer_token(credentials):
    """A key takes precedence, and is secret in the header."""
    sent = headers(api_key="test-key")
    assert sent["authorization"] == Secret("Bearer test-key")
    assert "x-amz-date" not in sent


def test_environment_key_is_sent_to_amazon_only(credentials, monkeypatch):
    """Requests to another host are signed instead: a signature is useless to it."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "test-key")
    assert headers()["authorization"] == Secret("Bearer test-key")
    for base_url in ("https://garden.test", "https://amazonaws.com.garden.test", "http://x.amazonaws.com"):
        assert headers(base_url=base_url, allow_http=True)["authorization"].reveal().startswith("AWS4-HMAC-SHA256 ")


def test_request_is_signed_for_region_and_service(credentials):
    """The signature names both, and covers the host and the content type."""
    sent = headers(facts={"region": "eu-central-1"})
    signature = sent["authorization"].reveal()
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=test-id/")
    assert "/eu-central-1/bedrock/aws4_request, " in signature
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in signature
    assert sent["x-amz-security-token"] == Secret("test-token")


def test_request_for_the_models_is_signed(credentials):
    """It is a GET request without a body, at the host of the control plane."""
    connection = Connection(name="garden", driver="bedrock", facts={"region": "eu-central-1"})
    sent = authorize(connection, list_models(connection, None, []))
    assert sent.url == "https://bedrock.eu-central-1.amazonaws.com/foundation-models"
    signature = sent.headers["authorization"].reveal()
    assert "/eu-central-1/bedrock/aws4_request, " in signature
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, " in signature


def test_signature_of_the_specification(credentials, monkeypatch):
    """Computed by hand from the rules of Signature Version 4, with the path encoded twice."""
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


MORE = {
    "one": {"x-amzn-tenant": "b", "x-amz-tenant": "blue"},
    "several": {"X-Amz-Tenant": "blue", "x-amz-bed": "roses"},
    "one with a key": {"x-amz-garden-key": "key-12345"},
}


@pytest.mark.parametrize("source", ["connection", "call"])
@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
def test_headers_of_amazon_are_signed(credentials, source, more):
    """Each is in the list of signed headers, and sent as the user gave it; others are sent unsigned."""
    pytest.importorskip("polyglot_simulator")
    from polyglot_core import Inference
    from polyglot_simulator import Simulator

    with Simulator("ok") as simulator:
        connection = simulator.connection_for("bedrock").with_changes(api_key=None)
        given = {"connection": {}, "call": {}, source: more}
        inference = Inference.from_connection(connection.with_changes(headers=given["connection"]))
        inference.create("Hi", headers=given["call"]).response()
        sent = simulator.requests[-1].headers
    signed = sent["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name, text in more.items():
        assert sent[name.lower()] == text
        assert (name.lower() in signed) == name.lower().startswith("x-amz-")


@pytest.mark.parametrize("name", ["x-amz-date", "X-Amz-Security-Token"])
def test_headers_of_the_signature_cannot_be_set(credentials, name):
    """The error names the header; with a key, which needs no signature, it is sent."""
    connection = Connection(name="garden", driver="bedrock")
    wire = encode_request(connection, ASKED)
    wire = msgspec.structs.replace(wire, headers={**wire.headers, name.lower(): "a"})
    with pytest.raises(ConfigError, match=f"the header '{name.lower()}', which belongs to the signature"):
        authorize(connection, wire)
    assert authorize(connection.with_changes(api_key="test-key"), wire).headers[name.lower()] == "a"


def test_region_of_the_base_url_is_the_default(credentials):
    """A connection to another region's base URL is signed for that region."""
    sent = headers(base_url="https://bedrock-runtime.ap-south-1.amazonaws.com")
    assert "/ap-south-1/bedrock/" in sent["authorization"].reveal()


def test_profile_has_its_own_credentials(credentials, no_credentials_of_this_machine):
    """The profile is read from AWS's files, and takes precedence over the environment."""
    (no_credentials_of_this_machine / "shared_credentials_file").write_text(
        "[rose]\naws_access_key_id = rose-id\naws_secret_access_key = rose-secret\n"
    )
    assert "Credential=rose-id/" in headers(facts={"profile": "rose"})["authorization"].reveal()


def test_secrets_are_not_printed(credentials):
    """Neither signature nor session token are shown."""
    connection = Connection(name="garden", driver="bedrock")
    shown = repr(authorize(connection, encode_request(connection, ASKED)))
    assert "test-token" not in shown
    assert "Signature=" not in shown


@pytest.mark.parametrize("facts", [{}, {"profile": "nobody"}])
def test_missing_credentials_are_reported(facts):
    """There is no key, no credentials, and no such profile."""
    pytest.importorskip("botocore")
    with pytest.raises(ConfigError, match="AWS credentials"):
        headers(facts=facts)


def test_missing_botocore_is_reported(monkeypatch):
    """Only a signature needs it."""
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ConfigError, match="botocore"):
        headers()
    assert headers(api_key="test-key")["authorization"] == Secret("Bearer test-key")
