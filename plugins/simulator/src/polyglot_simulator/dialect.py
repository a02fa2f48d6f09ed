r"""The public module for the authors of dialects.

A package adds a dialect with an entry point of the group ``polyglot.dialects``. Its name is that of the driver, and its
value is a module with these tables:

``ROUTES``
    The dialects by a regular expression, which is matched against path, question mark and query of a request. Named
    groups are added to the body that the dialect receives, under the name of the group. The first match counts.
``MODELS``
    Optional: the lists of models by a regular expression, matched in the same way. The value is a function that returns
    a page as JSON, for the names of all models and the cursor, which is the named group ``after``.
``ACCESS``
    How the drivers of the package reach the dialects: an `Access` by the name of the driver.

::

    class Acme(Dialect):
        ...

    def models(names, after):
        page, more = page_of(names, after)
        return {"models": [{"name": name} for name in page], "more": more}

    ROUTES = {r"/replies\?.*": Acme()}
    MODELS = {r"/models\?(?:after=(?P<after>.+))?": models}
    ACCESS = {"acme": Access(base="")}
"""

from __future__ import annotations

from polyglot_simulator.contents import (
    arguments_json,
    arguments_value,
    interleaved,
    only_reply,
    page_of,
    texts,
    tokens,
    usage_of,
)
from polyglot_simulator.contract import Access, Dialect, ModelList, Problem, Turn
from polyglot_simulator.embeddings import OpenAIEmbeddings, WholeOnly, base64_of, tokens_of, vector_of
from polyglot_simulator.openai_chat import OpenAIChat, openai_models
from polyglot_simulator.reply import Reply, ToolCall
from polyglot_simulator.steps import Send

__all__ = [
    "Access",
    "Dialect",
    "ModelList",
    "OpenAIChat",
    "OpenAIEmbeddings",
    "Problem",
    "Reply",
    "Send",
    "ToolCall",
    "Turn",
    "WholeOnly",
    "arguments_json",
    "arguments_value",
    "base64_of",
    "interleaved",
    "only_reply",
    "openai_models",
    "page_of",
    "texts",
    "tokens",
    "tokens_of",
    "usage_of",
    "vector_of",
]
