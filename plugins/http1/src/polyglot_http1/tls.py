"""The certificates to trust: those that the HTTP client of core trusts."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import certifi

__all__ = ["context_for"]


def context_for(ca: str | None) -> ssl.SSLContext:
    """Return the TLS context for a file of trusted certificates in PEM; None for the default ones.

    The default ones are those in SSL_CERT_FILE or SSL_CERT_DIR, else certifi's, as in httpx.

    Raises:
        OSError: The file cannot be read.
    """
    if ca is not None:
        return _context(ca, None)
    if file := os.environ.get("SSL_CERT_FILE"):
        return _context(file, None)
    if folder := os.environ.get("SSL_CERT_DIR"):
        return _context(None, folder)
    return _context(certifi.where(), None)


@lru_cache(maxsize=16)  # reading the certificates takes 20 ms
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=file, capath=folder)
    context.set_alpn_protocols(["http/1.1"])
    return context
