"""Prints what goes back equal: each kind of block by driver, and the recorded responses by dialect.

From the checkout's folder::

    POLYGLOT_CORPUS=FOLDER python -m tests.round_trips

``--write`` also writes the tables into ``docs/round-trips.md``; that of the recorded responses requires the folder.
"""

from __future__ import annotations

import argparse

from ..conformance.corpus import folder
from .tables import PAGE, draw_cells, draw_recorded, draw_rules, with_parts


def main() -> None:
    """Read the arguments, print, and write."""
    parser = argparse.ArgumentParser("python -m tests.round_trips", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write the tables into docs/{PAGE.name}")
    arguments = parser.parse_args()
    parts = {"cells": draw_cells(), "rules": draw_rules()}
    if (corpus := folder()) is not None:
        parts["recorded"] = draw_recorded(corpus)
    print("\n\n".join(parts.values()))
    if arguments.write:
        PAGE.write_text(with_parts(PAGE.read_text("utf-8"), parts), "utf-8")


if __name__ == "__main__":
    main()
