"""Text of other classes in the fields of a connection: it becomes plain text, as an enumeration's member has a name."""

from __future__ import annotations

import enum

import msgspec
import pytest

from polyglot_core import Connection
from polyglot_core.plugin import Secret, read_facts


class Word(str, enum.Enum):  # noqa: UP042 (as before StrEnum)
    """Members whose text in a format is their name."""

    NAME = "garden"
    URL = "https://garden.test/v1"
    HEADER = "x-bed"
    KEY = "test-key-12345"


class Template(str):
    """A text whose text in a format is another."""

    __slots__ = ()

    def __str__(self):
        return "wrong"

    def __format__(self, _spec):
        return "wrong"


FIELDS = {"name": "NAME", "driver": "NAME", "model": "NAME", "base_url": "URL", "ca": "NAME", "auth_header": "HEADER",
          "auth_scheme": "NAME"}  # fmt: skip


def texts(member):
    return [Word[member], Template(Word[member].value)]


@pytest.mark.parametrize("kind", [0, 1], ids=["an enumeration", "a template"])
@pytest.mark.parametrize(("field", "member"), FIELDS.items(), ids=FIELDS)
@pytest.mark.parametrize("changed", [False, True], ids=["made", "changed"])
def test_fields_are_plain_text(field, member, kind, changed):
    """Check each field with text, in a connection and in a changed one."""
    fields = {"name": "a", "driver": "b", field: texts(member)[kind]}
    connection = Connection(name="a", driver="b").with_changes(**fields) if changed else Connection(**fields)
    assert (type(getattr(connection, field)), getattr(connection, field)) == (str, Word[member].value)


@pytest.mark.parametrize("kind", [0, 1], ids=["an enumeration", "a template"])
def test_keys_and_headers_are_plain_text(kind):
    """Check the key with its scheme, and names and values of headers."""
    key, name, text = texts("KEY")[kind], texts("HEADER")[kind], texts("NAME")[kind]
    connection = Connection(name="a", driver="b", api_key=key, headers={name: text, "x-token": key})
    assert connection.auth_headers()["authorization"].reveal() == "Bearer test-key-12345"
    assert connection.headers == {"x-bed": "garden", "x-token": Secret("test-key-12345")}
    kinds = [type(each) for pair in connection.headers.items() for each in pair]
    assert kinds == [str, str, str, Secret]
    assert type(connection.headers["x-token"].reveal()) is str


class Facts(msgspec.Struct):
    """Facts of a driver."""

    region: str = ""
    query: dict[str, str] = {}
    names: tuple[str, ...] = ()


@pytest.mark.parametrize("kind", [0, 1], ids=["an enumeration", "a template"])
def test_facts_are_plain_text(kind):
    """Check texts, and those in objects and lists."""
    text = texts("NAME")[kind]
    facts = {"region": text, "query": {text: text}, "names": [text]}
    read = read_facts(Connection(name="a", driver="b", facts=facts), Facts)
    found = [read.region, *read.query, *read.query.values(), *read.names]
    assert [(type(each), each) for each in found] == [(str, "garden")] * 4
