"""Prints what each function of polyglot-streams does, measured over real sockets in three styles.

From the checkout's folder::

    python -m tests.transforms

``--write`` also writes the table into ``docs/streams.md``.
"""

from __future__ import annotations

import argparse

from .tables import PAGE, draw, with_table


def main() -> None:
    """Read the arguments, print, and write."""
    parser = argparse.ArgumentParser("python -m tests.transforms", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write the table into docs/{PAGE.name}")
    arguments = parser.parse_args()
    table = draw()
    print(table)
    if arguments.write:
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), table), "utf-8")


if __name__ == "__main__":
    main()
