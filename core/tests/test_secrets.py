"""A key comes out of nothing but `reveal`."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import msgspec
import pytest

from polyglot_core import ConfigError, Connection
from polyglot_core.connection import Route, Timeouts
from polyglot_core.wire import Secret

KEY = "test-key"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:>4}",
        lambda secret: f"{secret:>10}",
        lambda secret: f"{secret!r}",
        lambda secret: "%s" % secret,  # noqa: UP031
        lambda secret: "%r" % (secret,),  # noqa: UP031
        "{}".format,
        lambda secret: repr([secret]),
        lambda secret: str({"key": secret}),
        lambda secret: json.dumps(secret, default=str),
        lambda secret: str(secret.with_prefix("Bearer ")),
        lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
    ],
)
def test_a_secret_is_shown_as_stars(show):
    """However a secret is printed, its text does not appear."""
    shown = show(Secret(KEY))
    assert KEY not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "take",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        lambda secret: secret.__dict__,
        lambda secret: copy.deepcopy({"headers": [secret]}),
        lambda secret: len(secret),
        lambda secret: "" + secret,
        lambda secret: "".join([secret]),
        lambda secret: bytes(secret),
        list,
    ],
)
def test_a_secret_is_not_copied_or_encoded(take):
    """A secret cannot be pickled, copied, encoded or taken for a text."""
    with pytest.raises((TypeError, AttributeError)) as caught:
        take(Secret(KEY))
    assert KEY not in str(caught.value)


def test_a_secret_is_revealed_by_its_one_door():
    """`reveal` gives the text, with the prefix that was put before it."""
    assert Secret(KEY).reveal() == KEY
    assert Secret(KEY).with_prefix("Bearer ").reveal() == "Bearer test-key"


def test_secrets_compare_by_their_text():
    """Equal texts are equal secrets, and a secret is never equal to its text."""
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2
    assert hash(Secret(KEY)) != hash(KEY)
    assert (bool(Secret("")), bool(Secret(KEY))) == (False, True)


def connection(**fields):
    return Connection(**{"name": "here", "driver": "toy", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": KEY},
        {"api_key": Secret(KEY)},
        {"headers": {"x-key": Secret(KEY)}},
        {"proxy": f"http://user:{KEY}@localhost:1"},
    ],
)
@pytest.mark.parametrize("show", [str, repr, lambda made: f"{made}", lambda made: repr(made.auth_headers())])
def test_a_connection_shows_no_key(fields, show):
    """A connection can be printed: key, secret headers and the proxy's password do not appear."""
    assert KEY not in show(connection(**fields))


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins])
def test_a_connection_with_a_key_is_not_encoded(take):
    """A connection that holds a key is not pickled, copied or encoded."""
    with pytest.raises(TypeError):
        take(connection(api_key=KEY))


def test_where_the_key_goes():
    """The key goes into the header that the connection names, after its scheme."""
    assert connection(api_key=KEY).auth_headers() == {"authorization": Secret("Bearer test-key")}
    bare = connection(api_key=KEY, auth_header="x-api-key", auth_scheme="")
    assert bare.auth_headers() == {"x-api-key": Secret(KEY)}


@pytest.mark.parametrize("key", [None, "", Secret("")])
def test_no_key_is_no_header(key):
    """Without a key, or with an empty one, no header is sent."""
    assert connection(api_key=key).auth_headers() == {}
    assert connection(api_key=key).secret is None


@pytest.mark.parametrize(
    "bad",
    ["\n", "\r\n", "\x00", "\x7f", "\t", "ü", "\u200b", "\u2028", "\xa0", " \nX-Evil: 1"],
)
def test_a_key_that_cannot_be_sent(bad):
    """A key with a line break or a stray character is refused, without being shown."""
    with pytest.raises(ConfigError, match="The key of connection 'here'") as caught:
        connection(api_key=KEY + bad)
    assert KEY not in str(caught.value)
    assert caught.value.phase == "configure"
    assert all("test-key" not in repr(frame) for frame in _locals(caught.tb))


def _locals(traceback):
    """The locals of the frames inside the library."""
    while traceback is not None:
        if "polyglot_core" in traceback.tb_frame.f_code.co_filename:
            yield traceback.tb_frame.f_locals
        traceback = traceback.tb_next


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"x-name": "a\r\nx-evil: 1"}, "x-name"),
        ({"x-näme": "a"}, "x-n"),
        ({"x-name\n": "a"}, "x-name"),
        ({"x-name": "ü"}, "x-name"),
    ],
)
def test_a_header_that_cannot_be_sent(headers, named):
    """Nothing can be smuggled into the headers: a line break or a stray character is refused."""
    with pytest.raises(ConfigError, match=named):
        connection(headers=headers)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com/v1",
        "//api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://[::1",
        "http://localhost:port",
        "http://localhost:99999",
        f"https://user:{KEY}@api.example.com",
        f"https://{KEY}@api.example.com",
        "https://api.example.com/a b",
        "https://api.example.com/\n",
        "https://api.exämple.com/",
        "https://api.example.com/v1?api-version=1",
        "https://api.example.com/v1#part",
    ],
)
def test_a_base_url_that_cannot_be_used(base_url):
    """A base URL that is none, or holds what does not belong there, is refused and a password in it not shown."""
    with pytest.raises(ConfigError, match="base_url of connection 'here'") as caught:
        connection(base_url=base_url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", [None, "http://localhost:1", "https://api.example.com/v1/", "HTTPS://[::1]:8080/a%20b"]
)
def test_a_base_url_that_can_be_used(base_url):
    """Absolute http and https URLs are taken as they are."""
    assert connection(base_url=base_url).base_url == base_url


def test_a_connection_with_changes():
    """A changed connection keeps the rest, the key too, and is checked as any other."""
    made = connection(api_key=KEY, model="m").with_changes(model="n", timeouts=Timeouts(idle=1.0))
    assert (made.model, made.secret, made.timeouts.idle) == ("n", Secret(KEY), 1.0)
    with pytest.raises(ConfigError):
        made.with_changes(base_url="nowhere")


def test_the_route_of_a_connection():
    """The route is proxy and certificates, and equal routes may share connections."""
    made = connection(proxy="http://localhost:1", ca="/ca.pem")
    assert made.route == Route(Secret("http://localhost:1"), "/ca.pem")
    assert connection(proxy="").route == connection().route == Route()


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "API-Key", "Cookie", "X-Mine"])
def test_a_key_given_as_a_header_is_not_printed(header):
    """A header that carries a key is kept as a secret, whatever its case; other headers stay text."""
    headers = {header: "test-key-12345", "X-Team": "blue"}
    connection = Connection(name="c", driver="d", auth_header="x-mine", headers=headers)
    assert "test-key-12345" not in repr(connection)
    assert "blue" in repr(connection)
    assert connection.headers == {header: Secret("test-key-12345"), "X-Team": "blue"}
