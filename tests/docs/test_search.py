"""The search of the built site lists the right page first. It is the site's own JavaScript, run without a browser."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

SITE = Path(os.environ.get("POLYGLOT_SITE", ""))

FIRST = {
    "retry": "docs/errors.html#retries",
    "timeout": "docs/configuration.html#clocks",
    "system prompt": "docs/requests.html#messages",
    "rate limit": "docs/rates.html",
    "429": "docs/rates.html",
    "tool": "docs/tools.html",
    "stream hangs": "docs/hangs.html",
    "api key": "docs/configuration.html#the-configuration-file",
    "cost": "docs/costs.html",
    "embedding": "docs/embeddings.html",
    "structured output": "docs/data.html",
    "image": "docs/requests.html#parts",
    "cancel": "docs/quickstart.html#close-early",
    "async": "docs/quickstart.html#async",
    "fallback": "docs/errors.html#fallbacks",
    "logging": "docs/observers.html#logging",
    "opentelemetry": "docs/observers.html#opentelemetry",
    "test": "docs/testing.html",
    "chat": "docs/conversations.html",
    "claude": "docs/start.html#claude",
    "local model": "docs/start.html#a-local-model",
    "litellm": "docs/migration.html",
    "proxy": "docs/configuration.html#connection",
    "logprobs": None,
    "RateLimited": "docs/reference/errors.html#polyglot_core.errors.RateLimited",
}
"""The page, and its section if it has one, that a search has to list first; None for any page."""

_BROWSER = """
var window = globalThis, document = {documentElement: {dataset: {content_root: ""}}, getElementById: () => null};
var _ready = () => {}, _ = text => text, SPHINX_HIGHLIGHT_ENABLED = false;
"""
_SEARCH = """
query => {
    const parts = Search._parseQuery(query);
    return JSON.stringify(Search._performSearch(...parts).reverse().slice(0, 5));
}
"""


@pytest.fixture(scope="module")
def search():
    """Return a function that returns the addresses that the site's search lists for a query, the best one first."""
    racer = pytest.importorskip("py_mini_racer")
    scripts = [SITE / "_static" / "language_data.js", SITE / "_static" / "searchtools.js", SITE / "searchindex.js"]
    if (stemmer := SITE / "_static" / "english-stemmer.js").exists():
        scripts = [SITE / "_static" / "base-stemmer.js", stemmer, *scripts]
    with racer.MiniRacer() as engine:
        engine.eval(_BROWSER + ";\n".join(script.read_text("utf-8") for script in scripts))

        def addresses(query):
            results = json.loads(engine.eval(f"({_SEARCH})({json.dumps(query)})"))
            return [f"{page}.html{anchor}" for page, _title, anchor, *_ in results]

        yield addresses


@pytest.mark.parametrize("query", FIRST)
def test_a_search_lists_the_right_page_first(search, query):
    """Sphinx's own scoring puts the page of a topic before all pages that merely mention it."""
    page = FIRST[query]
    if page and not (SITE / page.partition("#")[0]).exists():
        pytest.skip("the page is not part of this checkout")
    found = search(query)
    assert found
    anchor = page.partition("#")[2] if page else ""
    assert page is None or (found[0] == page if anchor else found[0].partition("#")[0] == page), found
