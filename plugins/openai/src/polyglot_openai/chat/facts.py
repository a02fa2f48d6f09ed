"""The facts of a preset: how an endpoint differs from the dialect, and the defaults."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

__all__ = ["Facts"]


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parsed facts of a preset. They are explained below the rows, in `polyglot_openai.chat.presets`."""

    # the endpoint
    path: str = "/chat/completions"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    deployment: str | None = None
    token_provider: Any = None
    # the request
    body: dict[str, Any] = {}
    token_limit: str = "max_tokens"  # noqa: S105 (tokens of text)
    options: dict[str, str] = {}
    unsupported: tuple[str, ...] = ()
    developer_role: str = "developer"
    stream_usage: bool = True
    schema_at: tuple[str, str] = ("json_schema", "json_schema")
    cache_marks: bool = False
    document_urls: bool = False
    result_parts: bool = False
    reasoning_back: tuple[str, ...] = ()
    reasoning_default: str = ""
    prefill: dict[str, dict[str, Any]] | None = None
    # embeddings
    embedding_path: str = "/embeddings"
    embedding_limits: tuple[int, int | None] = (2048, 300_000)
    embedding_encoding: Literal["base64", "float"] | None = "base64"
    # the response
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    reasoning_blocks: str = "reasoning_details"
    reasoning_signature: str = ""
    reasoning_encrypted: str = ""
    think_tags: tuple[str, str] | None = None
    call_signature: str = ""
    citations_at: tuple[str, ...] = ()
    usage_at: tuple[str, ...] = ()
    error_at: str | None = None
    error_statuses: dict[str, int] = {}
    failed_on: dict[str, int] = {}
    complete_on: Literal["finish", "end", "both"] = "finish"
    finish_counts: Literal["first", "last"] = "first"
    flush_at_eof: bool = False
    response_headers: tuple[str, ...] = ("helicone-id", "x-vercel-id")
