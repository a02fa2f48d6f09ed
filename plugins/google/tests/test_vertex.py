"""Vertex AI: URLs and authorization."""

from __future__ import annotations

import json
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from polyglot_core.errors import AuthenticationError, ConfigError, RequestError, TransportError
from polyglot_core.plugin import Connection, Secret
from polyglot_google import vertex
from polyglot_google.presets import PRESETS

HOST = "https://aiplatform.googleapis.com/v1"
GOOGLE_MODEL = "publishers/google/models/gemini-garden-1"


def place(facts=(), **fields):
    return {"driver": "vertex", "facts": dict(facts), **fields}


@pytest.mark.parametrize(
    ("facts", "base_url", "expected"),
    [
        ({}, None, f"{HOST}/{GOOGLE_MODEL}"),
        ({"project": "p"}, HOST, f"{HOST}/projects/p/locations/global/{GOOGLE_MODEL}"),
        (
            {"project": "p", "location": "europe-west4"},
            HOST,
            f"https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/{GOOGLE_MODEL}",
        ),
        (
            {"project": "example.com:p", "location": "eu"},
            None,
            f"https://aiplatform.eu.rep.googleapis.com/v1/projects/example.com:p/locations/eu/{GOOGLE_MODEL}",
        ),
        ({}, "https://gateway.test/vertex", f"https://gateway.test/vertex/{GOOGLE_MODEL}"),
        ({"project": "p"}, f"{HOST}/projects/q/locations/x/", f"{HOST}/projects/q/locations/x/{GOOGLE_MODEL}"),
    ],
)
def test_project_and_location_are_in_the_url(encode, facts, base_url, expected):
    """A base URL that already names a project is used as it is."""
    wire = encode("x", connection=place(facts, base_url=base_url))
    assert wire.url == f"{expected}:generateContent"


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        ("meta/llama-5", "projects/p/locations/global/publishers/meta/models/llama-5"),
        ("publishers/google/models/g@1", "projects/p/locations/global/publishers/google/models/g%401"),
        ("endpoints/12", "projects/p/locations/global/endpoints/12"),
        ("projects/q/locations/x/endpoints/12", "projects/q/locations/x/endpoints/12"),
    ],
)
def test_names_of_models(encode, model, resource):
    """Of a publisher, of an endpoint, or whole."""
    wire = encode("x", connection=place({"project": "p"}), model=model)
    assert wire.url == f"{HOST}/{resource}:generateContent"


@pytest.mark.parametrize("model", ["../x", "a/../b", "a//b", "/a", "."])
def test_model_with_dot_segments_is_rejected(encode, model):
    """A name is no path."""
    with pytest.raises(RequestError, match="not a valid model name"):
        encode("x", connection=place({"project": "p"}), model=model)


def test_invalid_location_is_rejected(encode):
    """It becomes a part of the host."""
    with pytest.raises(ConfigError, match=r"at `\$\.location`"):
        encode("x", connection=place({"location": "evil.test/"}))


def test_presets_send_the_key_in_googles_header():
    """And in no other header."""
    for row in PRESETS.values():
        assert (row.auth_header, row.auth_scheme) == ("x-goog-api-key", "")
    assert PRESETS["gemini"].api_key_env == "GEMINI_API_KEY"


# Authorization

LOADED = []


class Credentials:
    """Replaces Google's credentials: returns a token, or raises the error that it was made with."""

    def __init__(self, error=None):
        self.error = error

    def before_request(self, request, method, url, headers):
        if self.error is not None:
            raise self.error
        headers["authorization"] = "Bearer test-token"
        headers["x-goog-user-project"] = "billed"


class Account(Credentials):
    """Replaces a service account; its project shows the file that it is from."""

    @classmethod
    def from_service_account_file(cls, path, scopes):
        account = cls()
        account.project_id = f"of {path}"
        return account


@pytest.fixture
def google_auth(monkeypatch):
    """Install a google-auth of the tests' own; `use` sets what it returns."""
    errors = types.ModuleType("google.auth.exceptions")
    errors.GoogleAuthError = type("GoogleAuthError", (Exception,), {})
    for name in ("TransportError", "DefaultCredentialsError", "MalformedError", "RefreshError"):
        setattr(errors, name, type(name, (errors.GoogleAuthError,), {}))
    requests = types.ModuleType("google.auth.transport.requests")
    requests.Request = object
    auth = types.ModuleType("google.auth")
    given = {"credentials": Credentials(), "project": "found"}

    def default(scopes):
        LOADED.append(scopes)
        if isinstance(given["credentials"], Exception):
            raise given["credentials"]
        return given["credentials"], given["project"]

    auth.default = default
    accounts = types.ModuleType("google.oauth2.service_account")
    accounts.Credentials = Account
    names = ("auth", "auth.exceptions", "auth.transport.requests", "oauth2.service_account")
    for name, module in zip(names, (auth, errors, requests, accounts), strict=True):
        monkeypatch.setitem(sys.modules, f"google.{name}", module)
    monkeypatch.setattr(vertex, "_identities", {})
    LOADED.clear()
    return types.SimpleNamespace(given=given, errors=errors)


def authorized(encode, facts=(), **fields):
    settings = {"api_key": None, **place(facts, **fields)}
    connection = Connection(name="garden", model="gemini-garden-1", **settings)
    return vertex.authorize(connection, encode("x", connection=settings))


def test_key_is_sent_unchanged(encode, google_auth):
    """In express mode no token is requested."""
    wire = authorized(encode, api_key="test-key", auth_header="x-goog-api-key", auth_scheme="")
    assert wire.headers["x-goog-api-key"] == Secret("test-key")
    assert wire.url == f"{HOST}/{GOOGLE_MODEL}:generateContent"
    assert LOADED == []


def test_token_is_added_as_a_secret(encode, google_auth):
    """With the project of the credentials, if the connection has none."""
    wire = authorized(encode)
    assert wire.headers["authorization"] == Secret("Bearer test-token")
    assert wire.headers["x-goog-user-project"] == "billed"
    assert "test-token" not in repr(wire)
    assert wire.url == f"{HOST}/projects/found/locations/global/{GOOGLE_MODEL}:generateContent"


def test_connection_project_takes_precedence(encode, google_auth):
    """The configured project counts."""
    assert "/projects/mine/locations/us-east5/" in authorized(encode, {"project": "mine", "location": "us-east5"}).url


def test_credentials_are_loaded_once(encode, google_auth):
    """They refresh their tokens themselves."""
    authorized(encode)
    authorized(encode)
    assert len(LOADED) == 1


def test_credentials_file(encode, google_auth):
    """It is another identity than the default one."""
    assert "/projects/of%20keys.json/" in authorized(encode, {"credentials_file": "keys.json"}).url


def test_token_is_sent_to_google_only(encode, google_auth):
    """Another host gets one only if the connection sets it."""
    gateway = "https://gateway.test/v1"
    assert "authorization" not in authorized(encode, base_url=gateway).headers
    assert "authorization" not in authorized(encode, base_url="https://googleapis.com.evil.test/v1").headers
    assert (
        "authorization"
        not in authorized(encode, base_url="http://aiplatform.googleapis.com/v1", allow_http=True).headers
    )
    asked = authorized(encode, {"google_token": True}, base_url=gateway)
    assert asked.headers["authorization"] == Secret("Bearer test-token")
    assert asked.url.startswith(f"{gateway}/publishers/")


def test_missing_project_is_reported(encode, google_auth):
    """The message names what to set."""
    google_auth.given["project"] = None
    with pytest.raises(ConfigError, match=r"facts\.project"):
        authorized(encode)


def test_missing_credentials_are_reported(encode, google_auth):
    """The message names the command that creates them."""
    google_auth.given["credentials"] = google_auth.errors.DefaultCredentialsError("none")
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        authorized(encode)


@pytest.mark.parametrize(("name", "kind"), [("TransportError", TransportError), ("RefreshError", AuthenticationError)])
def test_token_errors(encode, google_auth, name, kind):
    """A transport error may be retried, an authentication error not."""
    google_auth.given["credentials"] = Credentials(getattr(google_auth.errors, name)("no"))
    with pytest.raises(kind) as caught:
        authorized(encode)
    assert caught.value.retryable is (kind is TransportError)


def test_missing_google_auth_is_reported(encode, monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "google.auth.exceptions", None)
    with pytest.raises(ConfigError, match=r"polyglot-google\[vertex\]"):
        authorized(encode)


def test_service_account_gets_its_token(encode, tmp_path, monkeypatch):
    """With the real google-auth, a key made here, and a token server on loopback."""
    pytest.importorskip("google.auth.transport.requests")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization as kinds

    monkeypatch.setattr(vertex, "_identities", {})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption()).decode()
    asked = []

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            answer = json.dumps({"access_token": f"token-{len(asked)}", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = {
            "type": "service_account",
            "project_id": "gardens",
            "client_email": "robot@gardens.example",
            "private_key_id": "1",
            "private_key": pem,
            "token_uri": f"http://127.0.0.1:{server.server_port}/token",
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(account))
        first, second = (authorized(encode, {"credentials_file": str(path)}) for _ in range(2))
        server.shutdown()
    assert first.headers["authorization"] == second.headers["authorization"] == Secret("Bearer token-1")
    assert "/projects/gardens/locations/global/" in first.url
    assert len(asked) == 1
