"""The lists of models of both APIs: pages, each with the token of the next.

Sources: Google's references "Method: models.list" of the Gemini API and "publishers.models.list" of Vertex AI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from polyglot_core.plugin import json_access, json_request

if TYPE_CHECKING:
    from polyglot_core.plugin import Model, WireRequest

__all__ = ["list_models_at"]

_PATHS = {
    "id": ("name",),
    "name": ("displayName",),
    "context_tokens": ("inputTokenLimit",),
    "output_tokens": ("outputTokenLimit",),
}
_TOKEN = "nextPageToken"  # noqa: S105 (of a page)


def list_models_at(
    url: str, data: bytes | None, models: list[Model], *, field: str, prefix: str, most: int
) -> WireRequest | None:
    """Encode the request for the first page of a list, or read a page and encode that for the next.

    Args:
        url: URL of the list.
        data: The body of a page; None for the first request.
        models: Where the models of the page are appended to.
        field: Field of the page that holds the models.
        prefix: What the names of the models begin with, and requests may omit.
        most: As many models as a page may have.
    """
    query = {"pageSize": most}
    if data is not None:
        page = msgspec.json.decode(data)
        listed = [] if page in ({}, {_TOKEN: json_access.get(page, _TOKEN)}) else json_access.get(page, field)
        found = json_access.models(listed, _PATHS)  # an empty list is left out of its page
        models += [replace(model, id=model.id.removeprefix(prefix)) for model in found]
        if not (token := json_access.get(page, _TOKEN)):
            return None
        query["pageToken"] = token
    return json_request(f"{url}?{urlencode(query)}", None, stream=False)
