"""Fill the generated parts of the pages: ``python docs/generate.py``; with ``--check`` only report outdated pages.

A generated part is the text between ``<!-- generated: NAME -->`` and ``<!-- end -->``. NAME may be followed by the
driver that the part describes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from draw_capabilities import draw_capabilities, draw_encoding, draw_expressed, draw_wire
from draw_command import draw_command
from draw_data import draw_data
from draw_endpoints import draw_endpoints, draw_list
from draw_life import draw_endings, draw_life
from draw_mistakes import draw_mistakes
from draw_packages import FILE as PACKAGES
from draw_packages import draw_packages
from draw_providers import draw_drivers, draw_options, draw_presets
from draw_reference import draw_events, draw_fields, draw_layers
from draw_settings import draw_settings

from polyglot_core._config.config_file import Entry
from polyglot_core._values.connection import Connection, Preset
from polyglot_core._values.limits import Limits, Rate, Retries, Timeouts
from polyglot_core._values.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER = Path(__file__).resolve().parent
_PART = re.compile(r"(?<=<!-- generated: )([a-z]+)(?: ([a-z-]+))? -->\n.*?(?=<!-- end -->)", re.DOTALL)

PARTS: dict[str, Callable[..., str]] = {
    "life": draw_life,
    "endings": draw_endings,
    "layers": draw_layers,
    "events": draw_events,
    "entry": lambda: draw_fields(Entry),
    "connection": lambda: draw_fields(Connection),
    "timeouts": lambda: draw_fields(Timeouts),
    "retries": lambda: draw_fields(Retries),
    "limits": lambda: draw_fields(Limits),
    "rate": lambda: draw_fields(Rate),
    "preset": lambda: draw_fields(Preset),
    "model": lambda: draw_fields(Model),
    "drivers": draw_drivers,
    "presets": draw_presets,
    "options": draw_options,
    "mistakes": draw_mistakes,
    "capabilities": draw_capabilities,
    "data": draw_data,
    "encoding": draw_encoding,
    "expressed": draw_expressed,
    "wire": draw_wire,
    "endpoints": draw_endpoints,
    "list": draw_list,
    "settings": draw_settings,
    "command": draw_command,
}
"""Function that generates each part."""


def filled(text: str) -> str:
    """Return a page with its generated parts up to date.

    Raises:
        KeyError: No function generates a part of that name.
    """
    return _PART.sub(_drawn, text)


def _drawn(part: re.Match[str]) -> str:
    name, *about = filter(None, part.groups())
    return f"{' '.join((name, *about))} -->\n\n{PARTS[name](*about)}\n\n"


def main(*, check: bool) -> int:
    """Update all pages, or only report outdated ones, and return the exit code."""
    stale = 0
    wanted = {page: filled(page.read_text("utf-8")) for page in sorted(_FOLDER.rglob("*.md"))}
    for page, text in {**wanted, PACKAGES: draw_packages()}.items():
        if page.exists() and page.read_text("utf-8") == text:
            continue
        stale += 1
        print(f"{page.relative_to(_FOLDER.parent)} {'is out of date' if check else 'updated'}")
        if not check:
            page.write_text(text, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
