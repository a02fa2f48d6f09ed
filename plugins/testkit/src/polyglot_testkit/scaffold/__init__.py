"""Write new packages from templates: `new_driver` for a driver, `new_preset` for a row of data.

::

    folder = new_driver("acme", "projects")   # projects/polyglot-acme

The command ``polyglot new-driver`` calls these functions.
"""

from __future__ import annotations

from polyglot_testkit.scaffold.packages import new_driver, new_preset

__all__ = ["new_driver", "new_preset"]
