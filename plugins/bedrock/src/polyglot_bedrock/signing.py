"""Authorization: an API key of Bedrock, or AWS credentials and a signature (Signature Version 4) of the request.

Credentials are found, refreshed and used by botocore, which is imported only when they are needed.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyglot_bedrock.region import Facts, region_of
from polyglot_core.errors import AuthenticationError, TransportError
from polyglot_core.plugin import Secret, config_error, hookimpl, import_optional, read_facts

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, WireRequest

__all__ = ["authorize"]

_KEY_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_SERVICE = "bedrock"
_SECRET_HEADERS = frozenset({"authorization", "x-amz-security-token"})
_SIGNED = "x-amz-"  # headers that AWS rejects if they are sent without being signed
_OF_THE_SIGNATURE = ("x-amz-date", "x-amz-security-token")

_credentials: dict[str | None, Any] = {}
_lock = threading.Lock()


@hookimpl
def authorize(connection: Connection, wire: WireRequest) -> WireRequest:
    """Add the connection's key, or the one of ``AWS_BEARER_TOKEN_BEDROCK``, or else sign with AWS credentials.

    The variable's key is sent to Amazon only, never to another host.

    Raises:
        ConfigError: There are no AWS credentials, or botocore is missing, or its configuration is wrong.
        AuthenticationError: The credentials could not be obtained from their source.
        TransportError: The source of the credentials could not be reached.
    """
    if connection.secret is not None:
        return replace(wire, headers={**wire.headers, **connection.auth_headers()})
    key = os.environ.get(_KEY_VARIABLE)
    if key and read_facts(connection, Facts, shared=True).profile is None and _is_amazon(wire.url):
        return replace(wire, headers={**wire.headers, "authorization": Secret(f"Bearer {key}")})
    return replace(wire, headers={**wire.headers, **_signature(connection, wire)})


def _is_amazon(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and f"{parts.hostname}".endswith(_AMAZON)


def _signature(connection: Connection, wire: WireRequest) -> dict[str, str | Secret]:
    """Return the headers of a signature, which covers the content type and the user's headers of Amazon's."""
    for name in _OF_THE_SIGNATURE:
        if name in wire.headers:
            raise config_error(connection, f"has the header {name!r}, which belongs to the signature; leave it out")
    what = "needs botocore to sign its requests; install it, or give an api_key"
    modules = ("botocore.auth", "botocore.awsrequest", "botocore.exceptions")
    auth, requests, errors = import_optional(connection, *modules, what=what)
    signed = {
        name: text.reveal() if isinstance(text, Secret) else text
        for name, text in wire.headers.items()
        if name == "content-type" or name.startswith(_SIGNED)
    }
    request = requests.AWSRequest(method=wire.method, url=wire.url, data=wire.body, headers=dict(signed))
    try:
        with _lock:
            frozen = _find(connection).get_frozen_credentials()
    except (errors.ConnectionError, errors.HTTPClientError) as broken:
        raise TransportError("The source of the AWS credentials could not be reached.", phase="connect") from broken
    except (errors.ProfileNotFound, errors.PartialCredentialsError, errors.ConfigParseError) as wrong:
        raise config_error(connection, f"has no AWS credentials: {wrong}") from wrong
    except errors.BotoCoreError as refused:
        raise AuthenticationError(f"AWS credentials could not be obtained: {refused}", phase="connect") from refused
    auth.SigV4Auth(frozen, _SERVICE, region_of(connection)).add_auth(request)
    added = {name.lower(): text for name, text in request.headers.items() if name.lower() not in signed}
    return {name: Secret(text) if name in _SECRET_HEADERS else text for name, text in added.items()}


def _find(connection: Connection) -> Any:  # noqa: ANN401 (botocore has no types)
    """Return credentials that refresh themselves, of the connection's profile or of the default sources."""
    profile = read_facts(connection, Facts, shared=True).profile
    if profile not in _credentials:
        found = importlib.import_module("botocore.session").Session(profile=profile).get_credentials()
        if found is None:
            what = f"has no key and no AWS credentials; set an api_key, set {_KEY_VARIABLE}, or run `aws configure`"
            raise config_error(connection, what)
        _credentials[profile] = found
    return _credentials[profile]
