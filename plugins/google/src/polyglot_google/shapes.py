"""The shape of what generateContent answers: only the fields that are read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Answer", "Blob", "Candidate", "FunctionCall", "JSONObject", "Part", "PartialArg"]

JSONObject = dict[str, Any]
"""A JSON object that is handed on as it is."""


class PartialArg(Struct, rename="camel", gc=False):
    """A value of a function call's arguments, or a piece of a text among them."""

    json_path: str = ""
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None
    null_value: Any = msgspec.UNSET
    will_continue: bool | None = None


class FunctionCall(Struct, rename="camel", gc=False):
    """A call, whole, opened, continued, or closed."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw()
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Blob(Struct, rename="camel", gc=False):
    """A file in the answer; its bytes come as base64."""

    mime_type: str | None = None
    data: bytes | None = None


class Part(Struct, rename="camel", gc=False):
    """A part of the answer: one of these fields and what goes with it."""

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
    """What a candidate says."""

    parts: list[Part] | None = None


class Candidate(Struct, rename="camel", gc=False):
    """One of the answers, or more of it."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | int | None = None
    citation_metadata: JSONObject | None = None
    grounding_metadata: JSONObject | None = None
    url_context_metadata: JSONObject | None = None
    logprobs_result: JSONObject | None = None


class Feedback(Struct, rename="camel", gc=False):
    """What was found in the prompt."""

    block_reason: str | int | None = None


class Answer(Struct, rename="camel", gc=False):
    """A chunk, or a whole answer."""

    candidates: list[Candidate] | None = None
    usage_metadata: JSONObject | None = None
    prompt_feedback: Feedback | None = None
    response_id: str | None = None
    model_version: str | None = None
    error: Any = None
