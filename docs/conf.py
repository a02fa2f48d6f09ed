"""Settings of Sphinx: ``tox -e docs`` builds the site, with warnings as errors.

The source folder is the checkout, because pages link to the READMEs of the packages. The pages are plain Markdown and
have to read well without Sphinx, so the tables of contents are made here: of the lists of docs/index.md, and of
`CONTENTS`. A page in neither is a warning. ``python -m sphinx -b linkcheck -c docs . FOLDER`` checks external links.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.logging import getLogger

import polyglot_core
import polyglot_core.errors
import polyglot_core.events
import polyglot_core.plugin
import polyglot_core.testing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_log = getLogger(__name__)

project = "Polyglot"
copyright = "the Polyglot authors"  # noqa: A001 (Sphinx's name for it)
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "core/README.md", "plugins/*/README.md", "docs/**"]
exclude_patterns = [".*", "**/.*"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

linkcheck_anchors = False  # of pages that scripts build

myst_heading_anchors = 4
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(typing|collections\.abc|datetime|decimal|dt|os|re|msgspec)\..*",
    ),  # other projects' documentation is not downloaded
    (r"py:.*", r"(.*\.)?_\w+"),  # private names
    (r"py:.*", r"polyglot_core\.\w+\..*"),  # types of fields that have no public name
    (r"py:.*", r"polyglot_(answers|batch|streams|testkit)\.\w+\..*"),  # the same, of other packages
    (r"py:.*", r".*[\[ ].*"),  # a piece of an annotation that could not be evaluated
    # imported for type checkers alone, or without a public name
    (
        r"py:.*",
        r"DataT|ValueT_co|DataReading|Mode|CallArguments|TextArguments|ConnectionFields|ResponseFormat|OnLength",
    ),
    (
        r"py:.*",
        r"SimulatedResponse|Faults|Replies|Generation|Charge|Stage|Upstream|AsyncUpstream|Item|ItemT_co|T|U",
    ),
    (r"py:.*", r"Path|PathLike|TracerProvider|MeterProvider|BackgroundTask"),  # of other projects
    (
        r"py:.*",
        r"ErrorFacts|Client|Messages|Part|Event|CallEvent|Observers|ConnectionInfo|DecodeError|Driver|Implementation",
    ),
    (
        r"py:.*",
        r"EmbedArguments|ExamArguments|InferenceT|Matched",
    ),
]
suppress_warnings = ["ref.python"]  # `type` in an annotation, where fields have that name too

CONTENTS: dict[str, dict[str, list[str]]] = {
    "docs/index": {"Packages": ["/core/README", "/plugins/*/README"]},
    "docs/providers": {"Providers": ["providers/*"]},
    "docs/cookbook/index": {
        "Cookbook": [
            *("extraction", "elements", "files", "tools", "chat", "caching", "jupyter", "trio"),
            *("fastapi", "django"),
        ]
    },
    "docs/reference/index": {
        "Core": ["core", "events", "plugin", "testing", "errors"],
        "Other packages": ["answers", "batch", "http1", "otel", "simulator", "streams", "testkit"],
    },
    "docs/decisions/index": {"Decisions": ["0*"]},
}
"""Pages below a page, by caption. Those of the index precede them, and are its lists: see `listed`."""

autodoc_mock_imports = ["daft", "ray"]  # large, and only subclassed
_MOCKED = {"polyglot_batch.daft"}  # a module that such a library has to be installed for

MODULES = (polyglot_core.errors, polyglot_core, polyglot_core.events, polyglot_core.plugin, polyglot_core.testing)
"""Public modules. A name that several of them have is described in the first one of these."""


_HEADING = re.compile(r"^## (?P<caption>.+)$|^- \[(?P<title>[^]]+)\]\((?P<page>[^)#]+)\.md\)", re.MULTILINE)


def listed(index: str) -> dict[str, list[str]]:
    """Return the pages of an index by caption: the first link of each item of a list, below each heading."""
    pages: dict[str, list[str]] = {}
    for found in _HEADING.finditer(index):
        if found["caption"]:
            below = pages.setdefault(found["caption"], [])
        else:
            below.append(f"{found['title']} <{found['page'].replace('../', '/')}>")
    return {caption: each for caption, each in pages.items() if each}


def append_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents of a page, which are shown in the sidebar alone."""
    first = listed(source[0]) if page == root_doc else {}
    for caption, pages in {**first, **CONTENTS.get(page, {})}.items():
        lines = ["", "", "```{toctree}", ":hidden:", ":glob:", f":caption: {caption}", "", *pages, "```"]
        source[0] += "\n".join(lines)


class IndexEntries(SphinxTransform):
    """Make entries of the index from comments such as ``<!-- index: retry; backoff -->`` below a heading.

    The search lists a page with an entry that equals the query first, and leads to the section of the heading. A
    directive would do the same, but would be shown as text where the pages are read without Sphinx.
    """

    default_priority = 500  # before the entries are collected
    _COMMENT = re.compile(r"<!-- index: (.+?) -->\s*", re.DOTALL)

    def apply(self, **_: object) -> None:
        """Replace each comment by its entries, which lead to the section that it is in."""
        for node in list(self.document.findall(nodes.raw)):
            if found := self._COMMENT.fullmatch(node.astext()):
                anchor = node.parent["ids"][0]
                terms = [" ".join(term.split()) for term in found[1].split(";")]
                entries = [("single", term, anchor, "main", None) for term in terms]
                node.replace_self(addnodes.index(entries=entries, inline=False))


def skip_described(app: Sphinx, _kind: str, name: str, value: object, *_: Any) -> bool | None:  # noqa: ANN401
    """Skip a member that another module describes."""
    homes = [module for module in MODULES if name in module.__all__ and getattr(module, name) is value]
    page = app.env.docname.rpartition("/")[2]
    return True if homes and not homes[0].__name__.endswith(page) else None


def protect_colon(_app: Sphinx, kind: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from reading the words before a colon as the type of a property."""
    if kind in {"attribute", "property"}:
        lines.insert(0, "")


_PUBLIC = re.compile(r"^\.\. automodule:: (\S+)", re.MULTILINE)


def report_missing(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each name in the `__all__` of a documented module that has no entry, there or where it is described."""
    described: Mapping[str, object] = env.domains.python_domain.objects
    folder = Path(__file__).with_name("reference")
    texts = [page.read_text("utf-8") for page in sorted(folder.glob("*.rst"))]
    modules = {name: import_module(name) for text in texts for name in _PUBLIC.findall(text) if name not in _MOCKED}
    for module, values in modules.items():
        for name in values.__all__:
            value = getattr(values, name)
            homes = [home for home, other in modules.items() if getattr(other, name, None) is value]
            if not any(f"{home}.{name}" in described for home in homes):
                _log.warning("%s.%s has no entry in the reference; add one to a page of docs/reference", module, name)


def setup(app: Sphinx) -> None:
    """Register the functions of this file."""
    app.add_lexer("mermaid", TextLexer)
    app.add_transform(IndexEntries)
    app.connect("source-read", append_contents)
    app.connect("autodoc-skip-member", skip_described)
    app.connect("env-check-consistency", report_missing)
    app.connect("autodoc-process-docstring", protect_colon, priority=400)
