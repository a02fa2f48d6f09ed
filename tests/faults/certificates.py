"""Certificates for a server on loopback, created at run time."""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import trustme

__all__ = ["Authority", "authority", "serving"]


class Authority(NamedTuple):
    """A certificate authority.

    Attributes:
        signer: The authority itself.
        file: Its certificate, in PEM.
    """

    signer: trustme.CA
    file: str


@cache
def authority() -> Authority:
    """Return the authority of this run, which is in no trust store."""
    signer = trustme.CA()
    folder = Path(tempfile.mkdtemp(prefix="polyglot-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "authority.pem"
    signer.cert_pem.write_to_path(str(file))
    return Authority(signer, str(file))


def serving(host: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate for `host`."""
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    certificate = authority().signer.issue_cert(host, not_after=yesterday if expired else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
