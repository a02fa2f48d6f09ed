"""The list of models, which all endpoints of OpenAI's dialects share.

Sources: OpenAI's API reference, page "List models"; the references of the providers whose lists have more fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from polyglot_core.plugin import json_access

if TYPE_CHECKING:
    from polyglot_core.plugin import Model

__all__ = ["read_models"]

_PATHS = {
    "id": ("id",),
    "name": ("name", "display_name"),
    "created": ("created", "created_at"),
    "context_tokens": ("context_length", "context_window", "max_model_len", "max_context_length"),
    "output_tokens": ("max_completion_tokens", "max_output_tokens", "top_provider.max_completion_tokens"),
}


def read_models(data: bytes) -> list[Model]:
    """Return the models in the body of a response. Some servers send the list alone, or in another field."""
    body = msgspec.json.decode(data)
    fields = [body, json_access.get(body, "data"), json_access.get(body, "models")]
    return json_access.models(next((listed for listed in fields if isinstance(listed, list)), None), _PATHS)
