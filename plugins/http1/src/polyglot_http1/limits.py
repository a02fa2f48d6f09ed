"""Numbers that both transports share."""

from __future__ import annotations

__all__ = ["MOMENT", "MOST_IDLE", "PLACES"]

PLACES = 2048
"""Connections to one origin, in use and idle. Calls beyond them wait, in turn."""

MOST_IDLE = 100
"""Idle connections to one origin that are kept."""

MOMENT = 0.25
"""Seconds in which a packet arrives; a server that has read a request takes longer to close the connection."""
