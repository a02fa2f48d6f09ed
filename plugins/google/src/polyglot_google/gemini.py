"""The driver ``gemini``: generateContent of the Gemini API, with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from polyglot_core.plugin import hookimpl
from polyglot_google.decoding import decode_chunk, extract_usage
from polyglot_google.encoding import wire_request
from polyglot_google.presets import PRESETS
from polyglot_google.provider_errors import decode_error

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, InferenceRequest, WireRequest

__all__ = ["decode_chunk", "decode_error", "encode_request", "extract_usage"]

_COLLECTIONS = frozenset({"models", "tunedModels"})


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as generateContent, or as streamGenerateContent with server-sent events."""
    base_url = (connection.base_url or str(PRESETS["gemini"].base_url)).rstrip("/")
    return wire_request(f"{base_url}/{_resource(request.model)}", base_url, request, driver="gemini")


def _resource(model: str) -> str:
    """Return the path of the model; a name without a collection is one of Google's own models."""
    collection, slash, name = model.partition("/")
    if not slash or collection not in _COLLECTIONS:
        collection, name = "models", model
    return f"{collection}/{quote(name, safe='')}"
