"""The package as a whole."""

from __future__ import annotations

import polyglot_streams


def test_package_is_typed():
    """Check that the package says what it is."""
    assert polyglot_streams.__doc__
