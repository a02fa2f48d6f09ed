"""The columns of a row for a place that speaks OpenAI Responses, and the defaults."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Facts"]


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row's facts, read. The facts are explained where the rows are, in `polyglot_openai.responses.presets`."""

    own_calls: tuple[str, ...] = ()
    query: dict[str, str] = {}
    thinking: Literal["summary_text", "reasoning_text"] = "summary_text"
