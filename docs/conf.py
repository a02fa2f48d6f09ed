"""Settings of Sphinx: ``tox -e docs`` builds the site, with warnings as errors.

The source folder is the checkout, because pages link to the READMEs of the packages. The pages are plain Markdown and
have to read well without Sphinx, so the tables of contents are here: a page that is missing here is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygments.lexers.special import TextLexer

import polyglot_core
import polyglot_core.errors
import polyglot_core.events
import polyglot_core.plugin
import polyglot_core.testing

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Polyglot"
copyright = "the Polyglot authors"  # noqa: A001 (Sphinx's name for it)
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "core/README.md", "plugins/*/README.md", "docs/**"]
exclude_patterns = [".*", "**/.*"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = project
html_copy_source = False

myst_heading_anchors = 4
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(typing|collections\.abc|datetime|os|msgspec)\..*"),  # other projects' documentation is not downloaded
    (r"py:.*", r"(.*\.)?_\w+"),  # private names
    (r"py:.*", r"polyglot_core\.\w+\..*"),  # types of fields that have no public name
    (r"py:.*", r".*[\[ ].*"),  # a piece of an annotation that could not be evaluated
    # imported for type checkers alone, or without a public name
    (
        r"py:.*",
        r"DataT|ValueT_co|DataReading|Mode|CallArguments|TextArguments|ConnectionFields|ResponseFormat|OnLength",
    ),
    (
        r"py:.*",
        r"ErrorFacts|Client|Messages|Part|Event|CallEvent|Observers|ConnectionInfo|DecodeError|Driver|Implementation",
    ),
]
suppress_warnings = ["ref.python"]  # `type` in an annotation, where fields have that name too

CONTENTS: dict[str, dict[str, list[str]]] = {
    "docs/index": {
        "Use it": [
            "Overview </README>",
            "quickstart",
            "requests",
            "data",
            "cookbook/index",
            "tools",
            "conversations",
            "reasoning",
            "streams",
            "browser",
            "batches",
            "rates",
            "costs",
            "observers",
            "settings",
            "providers",
            "models",
            "configuration",
            "errors",
            "transports",
            "testing",
            "command",
            "chat",
        ],
        "Extend it": ["drivers", "architecture", "reference/index"],
        "Work on it": [
            *("/CONTRIBUTING", "checks", "round-trips", "error-spellings", "decisions/index"),
            *("changelog", "/SECURITY"),
        ],
        "Packages": ["/core/README", "/plugins/*/README"],
    },
    "docs/providers": {"Providers": ["providers/*"]},
    "docs/cookbook/index": {
        "Cookbook": [
            *("extraction", "elements", "files", "tools", "chat", "caching", "jupyter", "trio"),
            *("fastapi", "django"),
        ]
    },
    "docs/reference/index": {"Modules": ["core", "events", "plugin", "testing", "errors"]},
    "docs/decisions/index": {"Decisions": ["0*"]},
}
"""Pages below a page, by caption."""

MODULES = (polyglot_core.errors, polyglot_core, polyglot_core.events, polyglot_core.plugin, polyglot_core.testing)
"""Public modules. A name that several of them have is described in the first one of these."""


def append_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents of a page, which are shown in the sidebar alone."""
    for caption, pages in CONTENTS.get(page, {}).items():
        lines = ["", "", "```{toctree}", ":hidden:", ":glob:", f":caption: {caption}", "", *pages, "```"]
        source[0] += "\n".join(lines)


def skip_described(app: Sphinx, _kind: str, name: str, value: object, *_: Any) -> bool | None:  # noqa: ANN401
    """Skip a member that another module describes."""
    homes = [module for module in MODULES if name in module.__all__ and getattr(module, name) is value]
    page = app.env.docname.rpartition("/")[2]
    return True if homes and not homes[0].__name__.endswith(page) else None


def protect_colon(_app: Sphinx, kind: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from reading the words before a colon as the type of a property."""
    if kind in {"attribute", "property"}:
        lines.insert(0, "")


def setup(app: Sphinx) -> None:
    """Register the functions of this file."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", append_contents)
    app.connect("autodoc-skip-member", skip_described)
    app.connect("autodoc-process-docstring", protect_colon, priority=400)
