"""Typed responses, tools from functions, and conversations."""

from __future__ import annotations

from polyglot_answers.conversation import (
    AsyncConversationStream,
    CacheMarks,
    Conversation,
    ConversationStream,
    Turn,
    pending_calls,
)
from polyglot_answers.functions import FunctionTool, arun, on_tool_call, registry_of, run, tool_of
from polyglot_answers.tool_loop import AsyncToolRun, Step, ToolRun, TooManyTurns, Verdict, run_tools

__all__ = [
    "AsyncConversationStream",
    "AsyncToolRun",
    "CacheMarks",
    "Conversation",
    "ConversationStream",
    "FunctionTool",
    "Step",
    "TooManyTurns",
    "ToolRun",
    "Turn",
    "Verdict",
    "arun",
    "on_tool_call",
    "pending_calls",
    "registry_of",
    "run",
    "run_tools",
    "tool_of",
]
