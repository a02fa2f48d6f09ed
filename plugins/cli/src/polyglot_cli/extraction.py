"""``--extract``: the last fenced code block of a response, or the JSON in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from polyglot_core import ResponseFormatError

if TYPE_CHECKING:
    from polyglot_core import InferenceResponse

__all__ = ["check_json", "extracted"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^`\r\n]*)\r?\n?")


def extracted(response: InferenceResponse) -> str:
    """Return the content of the last fenced block; the whole text if there is none and it is JSON; else its JSON.

    Raises:
        ResponseFormatError: The text has neither a code block nor JSON.
    """
    text = response.content
    block = _last_block(text)
    if block is not None:
        return block
    json_text = _json_in(text)
    if json_text is None:
        msg = "The response has no code block and no JSON to extract."
        raise ResponseFormatError(msg, text, cause="none", partial=response)
    return json_text


def check_json(response: InferenceResponse) -> None:
    """Raise unless the text of a response that was to be JSON is.

    Raises:
        ResponseFormatError: It is not.
    """
    if not response.tool_calls and not _is_json(response.content):
        msg = "The response is no JSON, though --schema requested it."
        raise ResponseFormatError(msg, response.content, partial=response)


def _last_block(text: str) -> str | None:
    """Return the content of the last fenced block, in one pass; one that is not closed extends to the end."""
    found: str | None = None
    fence, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        match = _FENCE.fullmatch(line)
        if not fence:
            if match:
                fence, lines = match[1], []
        elif match and match[1].startswith(fence) and not match[2].strip():
            found, fence = "".join(lines), ""
        else:
            lines.append(line)
    return "".join(lines) if fence else found


def _json_in(text: str) -> str | None:
    """Return the text if it is JSON, or what is from its first brace or bracket to where the JSON ends."""
    start = re.search(r"[\[{]", text)
    if _is_json(text):
        return text.strip()
    if start is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, start.start())
    except (ValueError, RecursionError):
        return None
    return text[start.start() : end]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
