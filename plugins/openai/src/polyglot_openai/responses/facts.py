"""The facts of a preset of OpenAI Responses, and the defaults."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Facts"]


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parsed facts of a preset. They are explained below the rows, in `polyglot_openai.responses.presets`."""

    own_calls: tuple[str, ...] = ()
    query: dict[str, str] = {}
    thinking: Literal["summary_text", "reasoning_text"] = "summary_text"
