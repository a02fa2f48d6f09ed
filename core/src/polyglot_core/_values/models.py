"""The models that a provider lists, and what a driver can express in requests to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, get_type_hints

from msgspec import Struct

from polyglot_core._values.parts import Audio, Document, Image, Part, Text
from polyglot_core._values.request import JSONSchema, Message, Tool

__all__ = ["PROBES", "Capabilities", "Model"]


class Model(Struct, frozen=True, kw_only=True):
    """A model of a provider's list. What the provider does not state is None.

    Attributes:
        id: The name by which requests select the model.
        name: The name for people.
        created: When the model was created or released; on a local server, when its files were last changed.
        context_tokens: Most tokens of a prompt. Some providers count the response as well.
        output_tokens: Most tokens of a response.
        raw: The provider's object, unchanged.
    """

    id: str
    name: str | None = None
    created: datetime | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    raw: Mapping[str, Any] = {}


_URL, _TOOLS = "https://example.com/file", (Tool("a"),)


def _with(part: Part) -> dict[str, Any]:
    return {"messages": (Message(role="user", content=(Text("A"), part)),)}


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a driver can express in requests for one model of a connection. The model itself may support less.

    Attributes:
        system: System messages.
        images: Images as bytes.
        image_urls: Images by URL.
        audio: Audio as bytes.
        documents: PDF documents as bytes.
        document_urls: PDF documents by URL.
        cache: Marks of what the provider caches, ``cache=True``.
        tools: Tools.
        tool_choice: ``tool_choice="required"``.
        parallel_tool_calls: ``parallel_tool_calls=False``, which allows one tool call per response.
        json: ``response_format="json"``.
        json_schema: A `JSONSchema` as response format.
        n: Several choices.
        prefill: ``resume="prefill"``.
        resume: ``resume="provider"``, at least for some requests.
        models: The list of models.
        embeddings: Embeddings of texts.
    """

    system: Annotated[bool, {"messages": (Message(role="system", content="A"), Message(role="user", content="A"))}]
    images: Annotated[bool, _with(Image(data=b"A", mime_type="image/png"))]
    image_urls: Annotated[bool, _with(Image(url=f"{_URL}.png"))]
    audio: Annotated[bool, _with(Audio(data=b"A", mime_type="audio/wav"))]
    documents: Annotated[bool, _with(Document(data=b"A", mime_type="application/pdf", name="a.pdf"))]
    document_urls: Annotated[bool, _with(Document(url=f"{_URL}.pdf"))]
    cache: Annotated[bool, _with(Text("A", cache=True))]
    tools: Annotated[bool, {"tools": _TOOLS}]
    tool_choice: Annotated[bool, {"tools": _TOOLS, "tool_choice": "required"}]
    parallel_tool_calls: Annotated[bool, {"tools": _TOOLS, "parallel_tool_calls": False}]
    json: Annotated[bool, {"response_format": "json"}]
    json_schema: Annotated[bool, {"response_format": JSONSchema({"type": "object"})}]
    n: Annotated[bool, {"options": {"n": 2}}]
    prefill: bool
    resume: bool
    models: bool
    embeddings: bool


_hints = get_type_hints(Capabilities, include_extras=True).items()
PROBES: dict[str, dict[str, Any]] = {name: hint.__metadata__[0] for name, hint in _hints if hint is not bool}
"""Capability → fields of a request that only a driver with the capability encodes."""
