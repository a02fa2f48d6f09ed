"""Small turns of our own: for each dialect and kind of block, what a provider sends, or why the dialect has none."""

from __future__ import annotations

import base64
import json
from typing import Any

from ..conformance.corpus import Exchange

__all__ = ["DIALECTS", "KINDS", "exchange_of", "turn_of"]

JSONObject = dict[str, Any]

# reasoning has its signature where the dialect has signatures
KINDS = (
    *("text", "reasoning", "redacted reasoning", "tool call", "server tool", "citation", "media"),
    *("refusal", "compaction", "unknown block"),
)
DIALECTS = {
    "openai": "openai-chat",
    "azure-openai": "azure-openai",
    "openai-responses": "openai-responses",
    "anthropic": "anthropic-messages",
    "bedrock": "bedrock-converse",
    "gemini": "gemini-generate",
    "vertex": "vertex",
    "mistral": "mistral-chat",
    "cohere": "cohere-v2-chat",
    "ollama": "ollama-chat",
}
"""Dialect of each driver."""

NOT_THERE = "not in this dialect"
_PICTURE = base64.b64encode(b"\x89PNG rose").decode()
_UNKNOWN = {"type": "hologram", "of": "a rose"}
_SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "roses"}}
_FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
_LOCATION = {
    "type": "char_location",
    "cited_text": "Sun.",
    "document_index": 0,
    "start_char_index": 0,
    "end_char_index": 4,
}
_SOURCE = {"type": "url_citation", "url": "https://a.test/", "title": "A", "start_index": 0, "end_index": 5}
_CALL = {"id": "abcdef123", "type": "function", "function": {"name": "rake", "arguments": '{"bed":1}'}}
_COHERE_SOURCE = {"start": 0, "end": 5, "text": "Roses", "sources": [{"type": "document", "id": "doc_1"}]}


def _message(text: str, **fields: Any) -> JSONObject:
    content = [{"type": "output_text", "text": text, "annotations": [], **fields}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


_CHAT: dict[str, object] = {
    "text": {"content": "Roses."},
    "reasoning": {
        "content": "Roses.",
        "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "c2VlZA==", "index": 0}],
    },
    "redacted reasoning": {
        "content": "Roses.",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "cm9vdA==", "index": 0}],
    },
    "tool call": {"content": "", "tool_calls": [_CALL]},
    "server tool": NOT_THERE,
    "citation": "the API has no field for the sources of earlier turns",
    "media": {
        "content": "A rose.",
        "images": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PICTURE}"}}],
    },
    "refusal": {"content": None, "refusal": "I cannot."},
    "compaction": NOT_THERE,
    "unknown block": {"content": [{"type": "text", "text": "Roses."}, _UNKNOWN]},
}
_GOOGLE: dict[str, object] = {
    "text": [{"text": "Roses."}],
    "reasoning": [{"text": "Hm.", "thought": True}, {"text": "Roses.", "thoughtSignature": "c2VlZA=="}],
    "redacted reasoning": NOT_THERE,
    "tool call": [{"functionCall": {"id": "c1", "name": "rake", "args": {"bed": 1}}, "thoughtSignature": "c2VlZA=="}],
    "server tool": [
        {"executableCode": {"language": "PYTHON", "code": "2 + 3"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "5"}},
    ],
    "citation": "sources are beside the turn, and no part of it",
    "media": [{"text": "A rose."}, {"inlineData": {"mimeType": "image/png", "data": _PICTURE}}],
    "refusal": NOT_THERE,
    "compaction": NOT_THERE,
    "unknown block": [{"text": "Roses."}, {"hologram": {"of": "a rose"}}],
}

_CELLS: dict[str, dict[str, object]] = {
    "openai-chat": _CHAT,
    "azure-openai": {
        **_CHAT,
        "reasoning": NOT_THERE,
        "redacted reasoning": NOT_THERE,
        "media": NOT_THERE,
    },
    "openai-responses": {
        "text": [_message("Roses.")],
        "reasoning": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "c2VlZA==",
            },
            _message("Roses."),
        ],
        "redacted reasoning": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VlZA=="},
            _message("Roses."),
        ],
        "tool call": [
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "rake",
                "arguments": '{"bed":1}',
                "status": "completed",
            }
        ],
        "server tool": [
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "roses"},
            },
            _message("Roses."),
        ],
        "citation": [_message("Roses", annotations=[_SOURCE])],
        "media": [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": _PICTURE}],
        "refusal": [
            {**_message(""), "content": [{"type": "refusal", "refusal": "I cannot."}]},
        ],
        "compaction": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "c2VlZA=="}, _message("Roses.")],
        "unknown block": [{"id": "h_1", **_UNKNOWN}, _message("Roses.")],
    },
    "anthropic-messages": {
        "text": [{"type": "text", "text": "Roses."}],
        "reasoning": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2VlZA=="},
            {"type": "text", "text": "Roses."},
        ],
        "redacted reasoning": [{"type": "redacted_thinking", "data": "cm9vdA=="}, {"type": "text", "text": "Roses."}],
        "tool call": [{"type": "tool_use", "id": "toolu_1", "name": "rake", "input": {"bed": 1}}],
        "server tool": [_SEARCH, _FOUND, {"type": "text", "text": "Roses."}],
        "citation": [
            {"type": "text", "text": "Roses "},
            {"type": "text", "text": "need sun.", "citations": [_LOCATION]},
        ],
        "media": NOT_THERE,
        "refusal": "a refusal is a finish reason, and its words are a text",
        "compaction": [{"type": "compaction", "content": "Roses were planted."}, {"type": "text", "text": "Go on?"}],
        "unknown block": [_UNKNOWN, {"type": "text", "text": "Roses."}],
    },
    "bedrock-converse": {
        "text": [{"text": "Roses."}],
        "reasoning": [
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2VlZA=="}}},
            {"text": "Roses."},
        ],
        "redacted reasoning": [{"reasoningContent": {"redactedContent": "cm9vdA=="}}, {"text": "Roses."}],
        "tool call": [{"toolUse": {"toolUseId": "c1", "name": "rake", "input": {"bed": 1}}}],
        "server tool": [
            {
                "toolUse": {
                    "toolUseId": "s1",
                    "name": "nova_grounding",
                    "type": "server_tool_use",
                    "input": {"query": "roses"},
                }
            },
            {"toolResult": {"toolUseId": "s1", "type": "nova_grounding_result", "content": [{"text": "Roses."}]}},
            {"text": "Roses."},
        ],
        "citation": [
            {
                "citationsContent": {
                    "content": [{"text": "Roses."}],
                    "citations": [{"location": {"web": {"url": "https://a.test/"}}}],
                }
            }
        ],
        "media": [{"text": "A rose."}, {"image": {"format": "png", "source": {"bytes": _PICTURE}}}],
        "refusal": NOT_THERE,
        "compaction": NOT_THERE,
        "unknown block": [{"text": "Roses."}, {"hologram": {"of": "a rose"}}],
    },
    "gemini-generate": _GOOGLE,
    "vertex": _GOOGLE,
    "mistral-chat": {
        "text": {"content": "Roses."},
        "reasoning": {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "c2VlZA=="},
                {"type": "text", "text": "Roses."},
            ]
        },
        "redacted reasoning": NOT_THERE,
        "tool call": {"content": "", "tool_calls": [_CALL]},
        "server tool": {
            "content": [
                {"type": "tool_reference", "tool": "web_search", "title": "A"},
                {"type": "text", "text": "Roses."},
            ]
        },
        "citation": {"content": [{"type": "text", "text": "Roses."}, {"type": "reference", "reference_ids": [1]}]},
        "media": {
            "content": [
                {"type": "text", "text": "A rose."},
                {"type": "image_url", "image_url": f"data:image/png;base64,{_PICTURE}"},
            ]
        },
        "refusal": NOT_THERE,
        "compaction": NOT_THERE,
        "unknown block": {"content": [{"type": "text", "text": "Roses."}, _UNKNOWN]},
    },
    "cohere-v2-chat": {
        "text": {"content": [{"type": "text", "text": "Roses."}]},
        "reasoning": {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Roses."}]},
        "redacted reasoning": NOT_THERE,
        "tool call": {"tool_plan": "I rake.", "tool_calls": [_CALL]},
        "server tool": NOT_THERE,
        "citation": {"content": [{"type": "text", "text": "Roses."}], "citations": [_COHERE_SOURCE]},
        "media": NOT_THERE,
        "refusal": NOT_THERE,
        "compaction": NOT_THERE,
        "unknown block": {"content": [{"type": "text", "text": "Roses."}, _UNKNOWN]},
    },
    "ollama-chat": {
        "text": {"content": "Roses."},
        "reasoning": {"content": "Roses.", "thinking": "Hm."},
        "redacted reasoning": NOT_THERE,
        "tool call": {
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "rake", "arguments": {"bed": 1}}}],
        },
        "server tool": NOT_THERE,
        "citation": NOT_THERE,
        "media": {"content": "A rose.", "images": [_PICTURE]},
        "refusal": NOT_THERE,
        "compaction": NOT_THERE,
        "unknown block": "the API has no blocks; an unknown field of a message is in `response.details`",
    },
}


def turn_of(driver: str, kind: str) -> object:
    """Return the blocks or the message with a block of this kind, or a string: why the dialect has none."""
    return _CELLS[DIALECTS[driver]][kind]


def exchange_of(driver: str, turn: object) -> Exchange:
    """Return a plain response of a provider with this turn."""
    dialect = DIALECTS[driver]
    return Exchange(
        path=f"openrouter/{driver}" if dialect == "openai-chat" else f"ours/{driver}",
        dialect=dialect,
        status=200,
        headers=(("content-type", "application/json"),),
        body=json.dumps(_body(dialect, turn)).encode(),
        streamed=False,
        framing="json",
    )


def _body(dialect: str, turn: Any) -> JSONObject:
    role, ids = {"role": "assistant"}, {"id": "1", "model": "m"}
    bodies = {
        "openai-responses": {**ids, "status": "completed", "output": turn},
        "anthropic-messages": {**ids, "type": "message", **role, "content": turn, "stop_reason": "end_turn"},
        "bedrock-converse": {"output": {"message": {**role, "content": turn}}, "stopReason": "end_turn"},
        "gemini-generate": {"candidates": [{"content": {"role": "model", "parts": turn}, "finishReason": "STOP"}]},
    }
    bodies["vertex"] = bodies["gemini-generate"]
    if dialect in bodies:
        return bodies[dialect]
    message = {**role, **turn}
    return {
        "cohere-v2-chat": {**ids, "message": message, "finish_reason": "COMPLETE"},
        "ollama-chat": {**ids, "message": message, "done": True, "done_reason": "stop"},
    }.get(dialect, {**ids, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})
