"""The pictures of the terminal are what the command draws today."""

from __future__ import annotations

import re
import sys

import pytest

from .pages import DOCS, PAGES, script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

NAMES = ("stream", "chat", "retry", "stall", "batch")


@pytest.mark.parametrize("name", [*NAMES[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[2:])])
def test_a_picture_is_what_the_command_draws(name):
    """Running the command again draws the same file."""
    pictures = script("draw_screens")
    drawn = pictures.draw(pictures.PICTURES[name])
    assert (DOCS / "pictures" / f"{name}.svg").read_text("utf-8") == drawn, "run python docs/draw_screens.py"


def test_every_picture_is_drawn_small_and_shown():
    """There are no files without a command, none is large, and a page shows each of them with a description."""
    pictures = script("draw_screens")
    files = {file.stem: file for file in (DOCS / "pictures").glob("*.svg")}
    assert set(pictures.PICTURES) == set(NAMES) <= set(files)
    assert all(file.stat().st_size < 20_000 for file in files.values())
    shown = {
        name for page in PAGES for name in re.findall(r"!\[[^]]{20,}\]\(\S*pictures/(\w+)\.svg\)", page.read_text())
    }
    assert set(NAMES) <= shown


def test_a_picture_follows_the_scheme_of_its_reader():
    """Each class of text has a colour for a light and for a dark background."""
    light, dark = script("draw_screens").STYLE.split("@media (prefers-color-scheme: dark)")
    coloured = re.compile(r"\.?(\w+) \{ fill")
    assert set(coloured.findall(light)) == set(coloured.findall(dark)) >= {"back", "text", "grey", "red"}
