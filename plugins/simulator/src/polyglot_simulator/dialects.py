"""The dialects that the simulator speaks, by the path that they are asked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_simulator.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_simulator.dialect import Dialect

__all__ = ["DEFAULT_DIALECT", "DIALECTS"]

DEFAULT_DIALECT: Dialect = OpenAIChat()
"""Answers what no dialect is named for, as an unknown path."""

DIALECTS: Mapping[str, Dialect] = {"/v1/chat/completions": DEFAULT_DIALECT}
