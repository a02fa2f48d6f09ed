"""Shapes of generateContent's responses: only the fields that are read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Blob", "Candidate", "FunctionCall", "JSONObject", "Part", "PartialArg", "Response"]

JSONObject = dict[str, Any]
"""A JSON object that is passed on unchanged."""


class PartialArg(Struct, rename="camel", gc=False):
    """A value of a tool call's arguments, or a piece of a string among them."""

    json_path: str = ""
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None
    null_value: Any = msgspec.UNSET
    will_continue: bool | None = None


class FunctionCall(Struct, rename="camel", gc=False):
    """A tool call: whole, opened, continued, or closed."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw()
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Blob(Struct, rename="camel", gc=False):
    """A file in the response; its bytes are sent as base64."""

    mime_type: str | None = None
    data: bytes | None = None


class Part(Struct, rename="camel", gc=False):
    """A part of the response: one of these fields, with its attributes."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    executable_code: JSONObject | None = None
    code_execution_result: JSONObject | None = None
    tool_call: JSONObject | None = None
    tool_response: JSONObject | None = None


class Content(Struct, gc=False):
    """The content of a candidate."""

    parts: list[Part] | None = None


class Candidate(Struct, rename="camel", gc=False):
    """A candidate response, or more of it."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | int | None = None
    citation_metadata: JSONObject | None = None
    grounding_metadata: JSONObject | None = None
    url_context_metadata: JSONObject | None = None
    logprobs_result: JSONObject | None = None


class Feedback(Struct, rename="camel", gc=False):
    """The assessment of the prompt."""

    block_reason: str | int | None = None


class Response(Struct, rename="camel", gc=False):
    """A chunk, or a whole response."""

    candidates: list[Candidate] | None = None
    usage_metadata: JSONObject | None = None
    prompt_feedback: Feedback | None = None
    response_id: str | None = None
    model_version: str | None = None
    error: Any = None
