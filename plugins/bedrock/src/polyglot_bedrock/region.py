"""The region of a connection, from its facts or its base URL, and the base URL of a region."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from polyglot_bedrock.presets import PRESETS
from polyglot_core.plugin import read_facts, url_of

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection

__all__ = ["Facts", "base_url_of", "region_of"]

_USUAL_URL = str(PRESETS["bedrock"].base_url)
_USUAL_REGION = "us-east-1"
_IN_ADDRESS = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parsed facts of a connection. They are explained below the row, in `polyglot_bedrock.presets`."""

    region: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-\d+$")] | None = None
    profile: str | None = None


def region_of(connection: Connection) -> str:
    """Return the region to sign for: the connection's, else that of its base URL, else us-east-1.

    Raises:
        ConfigError: The facts of the connection are invalid, for example a region that is no name of one.
    """
    found = _IN_ADDRESS.search(connection.base_url or "")
    return read_facts(connection, Facts, shared=True).region or (found[1] if found else _USUAL_REGION)


def base_url_of(connection: Connection) -> str:
    """Return the base URL without a path: the connection's own, else that of the region.

    Raises:
        ConfigError: As for `region_of`.
    """
    base_url = url_of(connection, default=_USUAL_URL)
    region = region_of(connection)
    if base_url != _USUAL_URL:
        return base_url
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"
