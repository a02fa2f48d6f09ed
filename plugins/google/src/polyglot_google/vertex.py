"""The driver ``vertex``: generateContent on Vertex AI, with an access token, or with an API key in express mode."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

from msgspec import Meta, Struct
from msgspec.structs import replace

from polyglot_core.errors import AuthenticationError, RequestError, TransportError
from polyglot_core.plugin import Secret, config_error, hookimpl, import_optional, read_facts, url_of
from polyglot_google.decoding import decode_chunk, extract_usage
from polyglot_google.embeddings import read_vertex, vertex_limits, vertex_request
from polyglot_google.encoding import wire_request
from polyglot_google.models import list_models_at
from polyglot_google.presets import PRESETS
from polyglot_google.provider_errors import decode_error

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, EmbeddingRequest, Embeddings, InferenceRequest, Model, WireRequest

__all__ = [
    "authorize",
    "decode_chunk",
    "decode_embeddings",
    "decode_error",
    "embedding_limits",
    "encode_embeddings",
    "encode_request",
    "extract_usage",
    "list_models",
]

_EVERYWHERE = str(PRESETS["vertex"].base_url)
_MULTI_REGIONS = frozenset({"eu", "us"})
_WHOLE_NAMES = ("projects/", "publishers/", "endpoints/")
_GOOGLE = "googleapis.com"


class _Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parsed facts of a connection. They are explained below the rows, in `polyglot_google.presets`."""

    project: str | None = None
    location: Annotated[str, Meta(pattern="^[a-z0-9-]+$")] = "global"
    credentials_file: str | None = None
    google_token: bool = False


# URL


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as generateContent, or as streamGenerateContent with server-sent events.

    Raises:
        ConfigError: The facts of the connection are invalid, for example a location that is no name of one.
        RequestError: The model's name is invalid, or the request uses a feature that the API does not have.
    """
    base_url, resource = _place(connection, request.model)
    return wire_request(f"{base_url}/{resource}", base_url, request, driver="vertex")


@hookimpl
def embedding_limits(model: str) -> tuple[int, int | None]:
    """Return how many texts, and bytes, one request to the model may have."""
    return vertex_limits(model)


@hookimpl
def encode_embeddings(connection: Connection, request: EmbeddingRequest) -> WireRequest:
    """Encode the request as embedContent for a Gemini model, as predict for any other.

    Raises:
        ConfigError: The facts of the connection are invalid.
        RequestError: The model's name is invalid.
    """
    return vertex_request("/".join(_place(connection, request.model)), request, driver="vertex")


@hookimpl
def decode_embeddings(request: EmbeddingRequest, data: bytes) -> Embeddings:
    """Read the vectors of texts."""
    return read_vertex(request, data)


def _place(connection: Connection, model: str) -> tuple[str, str]:
    """Return the base URL, with the project if the facts have one, and the path of the model below it."""
    facts = read_facts(connection, _Facts, shared=True)
    base_url, resource = _root(connection, facts), _resource(model)
    if facts.project and not resource.startswith("projects/") and "/projects/" not in base_url:
        base_url += _scope(facts, facts.project)
    return base_url, resource


def _root(connection: Connection, facts: _Facts) -> str:
    """Return the base URL without a project: the connection's own or that of the location."""
    base_url = url_of(connection, default=_EVERYWHERE)
    if base_url != _EVERYWHERE or facts.location == "global":
        return base_url
    if facts.location in _MULTI_REGIONS:
        return f"https://aiplatform.{facts.location}.rep.{_GOOGLE}/v1"
    return f"https://{facts.location}-aiplatform.{_GOOGLE}/v1"


def _scope(facts: _Facts, project: str) -> str:
    return f"/projects/{quote(project, safe=':')}/locations/{facts.location}"


def _resource(model: str) -> str:
    """Return the path of the model: a whole name, ``publisher/model``, or the name of one of Google's own models."""
    segments = model.split("/")
    if not all(segments) or {".", ".."} & set(segments):
        raise RequestError(f"{model!r} is not a valid model name.", provider="vertex", phase="encode")
    if not model.startswith(_WHOLE_NAMES):
        publisher, name = (segments[0], segments[1:]) if segments[1:] else ("google", segments)
        segments = ["publishers", publisher, "models", *name]
    return "/".join(quote(segment, safe="") for segment in segments)


_VERSION = "/v1"
_PUBLISHER = "publishers/google/models"


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for a page of Google's own models, or read the page before.

    Only the beta version of the API has the list. Its path has no project, and other publishers' models are not in it.
    """
    root = _root(connection, read_facts(connection, _Facts, shared=True)).partition("/projects/")[0]
    url = f"{root.removesuffix(_VERSION)}/v1beta1/{_PUBLISHER}"
    return list_models_at(url, data, models, field="publisherModels", prefix=f"{_PUBLISHER}/", most=100)


# Authorization


_identities: dict[str | None, tuple[Any, str | None]] = {}
"""Google's credentials, which refresh themselves, and their project; by the path of their file."""

_lock = threading.Lock()
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


@hookimpl
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:
    """Add the API key or else an access token, and the project of the credentials if the connection has none.

    A token is sent to Google only; to another host if the connection sets ``google_token``.

    Raises:
        ConfigError: google-auth is not installed, or there are no credentials, or no project.
        AuthenticationError: Google returned no token for the credentials.
        TransportError: The token endpoint could not be reached.
    """
    if connection.secret is not None:
        return replace(wire, headers={**wire.headers, **connection.auth_headers()})
    facts = read_facts(connection, _Facts, shared=True)
    if not (_is_google(wire.url) or facts.google_token):
        return wire
    with _lock:
        headers, found = _token(connection, facts.credentials_file, wire.url)
    url = wire.url
    if "/projects/" not in url and _is_google(url) and wire.method == "POST":
        if not found:
            raise config_error(connection, "has no project, and neither have its credentials; set facts.project")
        root = _root(connection, facts)
        url = root + _scope(facts, found) + url.removeprefix(root)
    return replace(wire, url=url, headers={**wire.headers, **headers})


def _is_google(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and f".{parts.hostname}".endswith(f".{_GOOGLE}")


def _token(connection: Connection, path: str | None, url: str) -> tuple[dict[str, str | Secret], str | None]:
    """Return headers with a valid token, and the credentials' project."""
    what = "needs google-auth for access tokens; install polyglot-google[vertex], or set api_key"
    modules = ("google.auth.exceptions", "google.auth.transport.requests")
    errors, requests = import_optional(connection, *modules, what=what)
    headers: dict[str, str] = {}
    try:
        credentials, project = _identity(path)
        credentials.before_request(requests.Request(), "POST", url, headers)
    except (errors.DefaultCredentialsError, errors.MalformedError, OSError) as missing:
        what = (
            "has no Google credentials; run `gcloud auth application-default login`, or set "
            "facts.credentials_file to the file of a service account"
        )
        raise config_error(connection, what) from missing
    except errors.TransportError as broken:
        raise TransportError("Google's token endpoint could not be reached.", phase="connect") from broken
    except errors.GoogleAuthError as refused:
        raise AuthenticationError("Google returned no access token for the credentials.", phase="connect") from refused
    return {name: Secret(text) if name == "authorization" else text for name, text in headers.items()}, project


def _identity(path: str | None) -> tuple[Any, str | None]:
    if path not in _identities:
        _identities[path] = (
            _service_account(path) if path else importlib.import_module("google.auth").default(scopes=_SCOPES)
        )
    return _identities[path]


def _service_account(path: str) -> tuple[Any, str | None]:
    kind = importlib.import_module("google.oauth2.service_account").Credentials
    credentials = kind.from_service_account_file(path, scopes=_SCOPES)
    return credentials, credentials.project_id
