"""``python -m polyglot_cli`` is the ``polyglot`` command."""

from __future__ import annotations

from polyglot_cli.main import main

if __name__ == "__main__":
    main()
