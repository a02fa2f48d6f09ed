r"""The public module for the authors of dialects.

A package adds a dialect with an entry point of the group ``polyglot.dialects``. Its name is that of the driver, and its
value is a module with two tables:

``ROUTES``
    The dialects by a regular expression, which is matched against path, question mark and query of a request. Named
    groups are added to the body that the dialect receives, under the name of the group. The first match counts.
``ACCESS``
    How the drivers of the package reach the dialects: an `Access` by the name of the driver.

::

    class Acme(Dialect):
        ...

    ROUTES = {r"/replies\?.*": Acme()}
    ACCESS = {"acme": Access(base="")}
"""

from __future__ import annotations

from polyglot_simulator.contents import (
    arguments_json,
    arguments_value,
    interleaved,
    only_reply,
    texts,
    tokens,
    usage_of,
)
from polyglot_simulator.contract import Access, Dialect, Problem, Turn
from polyglot_simulator.openai_chat import OpenAIChat
from polyglot_simulator.reply import Reply, ToolCall
from polyglot_simulator.steps import Send

__all__ = [
    "Access",
    "Dialect",
    "OpenAIChat",
    "Problem",
    "Reply",
    "Send",
    "ToolCall",
    "Turn",
    "arguments_json",
    "arguments_value",
    "interleaved",
    "only_reply",
    "texts",
    "tokens",
    "usage_of",
]
