"""Facts of a connection: read once where that is allowed, and anew where they were changed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from polyglot_core import ConfigError, Connection
from polyglot_core.plugin import read_facts


class Facts(Struct, frozen=True):
    flag: bool = False
    number: float = 0.0
    fields: dict[str, Any] = {}


def connection(**facts):
    return Connection(name="x", driver="toy", facts=facts)


def test_shared_facts_are_read_once():
    """The same struct for each call over a connection; others get their own, which they may change."""
    used = connection(fields={"a": 1})
    assert read_facts(used, Facts, shared=True) is read_facts(used, Facts, shared=True)
    own = read_facts(used, Facts)
    own.fields["b"] = 2
    assert read_facts(used, Facts).fields == {"a": 1}


@pytest.mark.parametrize("shared", [True, False])
def test_changes_are_seen(shared):
    """Of the facts, of their types, and of the defaults."""
    used = connection(flag=True)
    assert read_facts(used, Facts, shared=shared).flag
    used.facts["flag"] = False
    assert not read_facts(used, Facts, shared=shared).flag
    assert read_facts(used, Facts, {"number": 2.0}, shared=shared).number == 2.0
    used.facts["flag"] = 1
    with pytest.raises(ConfigError, match="Expected `bool`, got `int`"):
        read_facts(used, Facts, shared=shared)


def test_facts_that_are_no_json_are_read():
    """They cannot be compared, so they are read each time."""

    class Odd(Struct, frozen=True):
        provider: Any = None

    marker = object()
    assert read_facts(connection(provider=marker), Odd, shared=True).provider is marker
