"""Where: the region that a connection names, or that its address holds, and the address of a region."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_bedrock.presets import PRESETS
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection

__all__ = ["base_url_of", "region_of"]

_USUAL_URL = str(PRESETS["bedrock"].base_url)
_USUAL_REGION = "us-east-1"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
_IN_ADDRESS = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


def region_of(connection: Connection) -> str:
    """The region to sign for: the connection's, else that of its address, else us-east-1.

    Raises:
        ConfigError: The connection's region is no name of one.
    """
    if (region := connection.facts.get("region")) is None:
        found = _IN_ADDRESS.search(connection.base_url or "")
        return found[1] if found else _USUAL_REGION
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ConfigError(
            f"Connection {connection.name!r} has the region {region!r}; it is a name as in 'eu-central-1'.",
            connection=connection.name,
            phase="configure",
        )
    return region


def base_url_of(connection: Connection) -> str:
    """The address without a path: that of the region where the connection gives none of its own.

    Raises:
        ConfigError: The connection's region is no name of one.
    """
    base_url = (connection.base_url or _USUAL_URL).rstrip("/")
    region = region_of(connection)
    if base_url != _USUAL_URL:
        return base_url
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"
