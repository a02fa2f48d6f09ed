"""The installed Polyglot packages."""

from __future__ import annotations

from importlib import metadata

__all__ = ["installed"]


def installed() -> list[tuple[str, str]]:
    """Return name and version of every installed ``polyglot-*`` distribution, by name."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("polyglot-"):
            found.setdefault(name, distribution.version)  # the first on the path is the one that is imported
    return sorted(found.items())
