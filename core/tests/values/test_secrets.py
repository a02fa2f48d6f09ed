"""Only `reveal` returns a key: printing, copying, errors and tracebacks do not show it."""

from __future__ import annotations

import copy
import html
import json
import logging
import pickle
import sys
import traceback
from urllib.parse import quote

import httpx
import msgspec
import pytest

from polyglot_core import ConfigError, Connection, Inference, PolyglotError, ProviderError, TransportError, register
from polyglot_core._config import resolve
from polyglot_core._http.translate import TwoReadersError, check_headers, raise_translated, translated
from polyglot_core._values.connection import Route, is_this_machine, proxy_problem
from polyglot_core._values.limits import Timeouts
from polyglot_core._values.secret import Secret
from polyglot_core.plugin import WireRequest, hookimpl

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
def test_secret_prints_as_stars(show):
    """Check that no way of printing a secret shows its text."""
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
def test_secret_cannot_be_copied_or_encoded(take):
    """Check that a secret cannot be pickled, copied, encoded or used as a string."""
    with pytest.raises((TypeError, AttributeError)) as caught:
        take(Secret(KEY))
    assert KEY not in str(caught.value)


def test_reveal_returns_the_text():
    """Check that `reveal` returns the text with its prefix."""
    assert Secret(KEY).reveal() == KEY
    assert Secret(KEY).with_prefix("Bearer ").reveal() == "Bearer test-key"


def test_secrets_compare_by_their_text():
    """Check that secrets of equal text are equal, and that a secret never equals its text."""
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
def test_printed_connection_shows_no_key(fields, show):
    """Print connections: key, secret headers and the proxy's password do not appear."""
    assert KEY not in show(connection(**fields))


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins])
def test_connection_with_a_key_cannot_be_encoded(take):
    """Check that it cannot be pickled, copied or encoded."""
    with pytest.raises(TypeError):
        take(connection(api_key=KEY))


def test_key_header():
    """Check that the key is in the header that the connection specifies, after its scheme."""
    assert connection(api_key=KEY).auth_headers() == {"authorization": Secret("Bearer test-key")}
    bare = connection(api_key=KEY, auth_header="x-api-key", auth_scheme="")
    assert bare.auth_headers() == {"x-api-key": Secret(KEY)}


@pytest.mark.parametrize("key", [None, "", Secret("")])
def test_no_key_is_no_header(key):
    """Check that no header is sent without a key or with an empty one."""
    assert connection(api_key=key).auth_headers() == {}
    assert connection(api_key=key).secret is None


@pytest.mark.parametrize(
    "bad",
    ["\n", "\r\n", "\x00", "\x7f", "\t", "ü", "\u200b", "\u2028", "\xa0", " \nX-Evil: 1"],
)
def test_invalid_key_is_rejected(bad):
    """Check that a key with a line break or an invalid character raises, and is not shown."""
    with pytest.raises(ConfigError, match="The key of connection 'here'") as caught:
        connection(api_key=KEY + bad)
    assert KEY not in str(caught.value)
    assert caught.value.phase == "configure"
    assert all("test-key" not in repr(frame) for frame in _locals(caught.tb))


def _locals(traceback):
    """Return the locals of the frames inside the library."""
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
        ({"": "a"}, "''"),
        ({"x name": "a"}, "x name"),
        ({"x-name: a": ""}, "x-name: a"),
    ],
)
def test_invalid_header_is_rejected(headers, named):
    """Check that a line break or an invalid character in a header raises: no header can be injected."""
    with pytest.raises(ConfigError, match=named):
        connection(headers=headers)


@pytest.mark.parametrize("fields", [{"auth_scheme": "B\r\nX:"}, {"auth_scheme": "Bé"}, {"auth_header": "x name"}])
def test_invalid_auth_header_is_rejected(fields):
    """Check the key's header and scheme, with a key or without."""
    for key in (KEY, None):
        with pytest.raises(ConfigError, match=r"Header '.*' of connection 'here' cannot be sent") as caught:
            connection(api_key=key, **fields)
        assert KEY not in everything_of(caught.value)


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
        "http://[::1]evil.example",
        "http://evil.example[::1]",
        "http://[v1.localhost]",
        "http://[::1%25eth0.evil.example]",
        f"https://user:{KEY}@api.example.com",
        f"https://{KEY}@api.example.com",
        "https://api.example.com/a b",
        "https://api.example.com/\n",
        "https://api.exämple.com/",
        "https://api.example.com/v1?api-version=1",
        "https://api.example.com/v1#part",
    ],
)
def test_invalid_base_url_is_rejected(base_url):
    """Check invalid base URLs; a password in one is not shown."""
    with pytest.raises(ConfigError, match="base_url of connection 'here'") as caught:
        connection(base_url=base_url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", [None, "http://localhost:1", "https://api.example.com/v1/", "HTTPS://[::1]:8080/a%20b"]
)
def test_valid_base_urls(base_url):
    """Accept absolute http and https URLs unchanged."""
    assert connection(base_url=base_url).base_url == base_url


def test_changed_connection():
    """Check that a changed connection keeps all other fields, the key too, and is validated."""
    made = connection(api_key=KEY, model="m").with_changes(model="n", timeouts=Timeouts(idle=1.0))
    assert (made.model, made.secret, made.timeouts.idle) == ("n", Secret(KEY), 1.0)
    with pytest.raises(ConfigError):
        made.with_changes(base_url="nowhere")


def test_connections_of_one_route():
    """Check that the route is proxy and certificates: connections of equal routes may share a pool."""
    made = connection(proxy="http://localhost:1", ca="/ca.pem")
    assert made.route == Route(Secret("http://localhost:1"), "/ca.pem")
    assert connection(proxy="").route == connection().route == Route()


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://user:{KEY}/x@localhost:1",
        f"http://user:1/{KEY}@localhost:1",
        f"http://user:1#{KEY}@localhost:1",
        f"http://user:1?{KEY}@localhost:1",
        f"http://user:{KEY}#x@localhost:1",
        f"http://user:{KEY}?x@localhost:1",
        f"http://user:{KEY}@localhost:{KEY}",
        f"user:{KEY}@localhost:1",
        f"//user:{KEY}@localhost:1",
        f"ftp://user:{KEY}@localhost:1",
        f"http://user:{KEY}@",
        f"http://user:{KEY}@[::1",
        f"http://user:{KEY}@[::1]evil.example",
        f"http://user:{KEY}@localhost:1\n",
        "localhost:3128",
    ],
)
def test_invalid_proxy_is_rejected(proxy):
    """Check that an invalid proxy URL raises when the connection is created, and is not quoted."""
    with pytest.raises(ConfigError, match="proxy of connection 'here' is not the URL of a proxy") as caught:
        connection(proxy=proxy)
    assert KEY not in everything_of(caught.value)


@pytest.mark.parametrize(
    "proxy",
    ["http://localhost:3128", "https://user:a%2Fb@proxy.example/", "socks5://user:p@ss@[::1]:1080", "HTTP://proxy"],
)
def test_valid_proxies(proxy):
    """Accept the usual kinds of proxy URLs, with and without password."""
    assert proxy_problem(Secret(proxy)) is None
    assert connection(proxy=proxy).route.proxy == Secret(proxy)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("0.0.0.0", True),  # noqa: S104
        ("::1%eth0", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_hosts(host, expected):
    """Check that only unambiguous names and addresses count as loopback."""
    assert is_this_machine(host) is expected


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "API-Key", "Cookie", "X-Mine"])
def test_key_in_a_header_becomes_a_secret(header):
    """Check that a header with a key becomes a Secret in any case; other headers stay strings."""
    headers = {header: "test-key-12345", "X-Team": "blue"}
    connection = Connection(name="c", driver="d", auth_header="x-mine", headers=headers)
    assert "test-key-12345" not in repr(connection)
    assert "blue" in repr(connection)
    assert connection.headers == {header: Secret("test-key-12345"), "X-Team": "blue"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Ocp-Apim-Subscription-Key", True),
        ("X-Amz-Security-Token", True),
        ("x_auth", True),
        ("Set-Cookie", True),
        ("x-monkey", False),
        ("x-tokens", False),
        ("accept", False),
    ],
)
def test_key_headers_are_recognized_by_words(header, expected):
    """Check that an unknown header carries a key if a whole word of its name suggests it."""
    made = connection(headers={header: KEY})
    assert isinstance(made.headers[header], Secret) is expected


# Tracebacks with the locals of each frame


def everything_of(error):
    """Return all that is shown of an error and its causes, with the locals of every frame but those of tests."""
    shown, links, seen = [], [error], set()
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        made = traceback.TracebackException.from_exception(link, capture_locals=True)
        shown += [f"{type(link).__name__}: {link} {link!r}", *made.format_exception_only()]
        shown += [f"{frame.name}: {frame.locals}" for frame in made.stack if frame.filename != __file__]
        links += [link.__cause__, link.__context__]
    return "\n".join(shown)


def test_search_covers_frames_causes_and_contexts():
    """Check that the tests below would find a key in a frame, a cause and a hidden context."""
    in_frame = "def fail(key):\n    raise ValueError(5)"
    behind = "def fail(key):\n    try:\n        int(key)\n    except ValueError:\n        raise OSError from None"
    for source, held in ((in_frame, "fail: {'key': \"'test-key'\"}"), (behind, "ValueError: invalid literal")):
        library = {}
        exec(compile(source, "a library", "exec"), library)  # noqa: S102
        with pytest.raises((ValueError, OSError)) as caught:
            library["fail"](KEY)
        assert held in everything_of(caught.value)
        assert KEY in everything_of(caught.value)


PROXY = f"http://user:{KEY}@localhost:1"
OVERRIDES = {
    "a key": {"api_key": KEY},
    "a key in bytes": {"api_key": KEY.encode()},
    "a misspelt key": {"apikey": KEY},
    "a header": {"headers": {"x-api-key": KEY}},
    "a header that is named as the key's": {"headers": {"X-Mine": KEY}, "auth_header": "x-mine"},
    "a proxy": {"proxy": PROXY},
    "a proxy that is none": {"proxy": KEY},
    "a key that cannot be sent": {"api_key": KEY + "\n"},
    "a scheme that cannot be sent": {"api_key": KEY, "auth_scheme": "B\r\nX:"},
}
MISTAKES = {
    "a name of nothing": ("nosuch", {}),
    "a field of nothing": ("toy", {"timeoutz": 3}),
    "a clock of nothing": ("toy", {"timeouts": {"idlee": 3}}),
    "a number of no use": ("toy", {"timeouts": {"idle": float("nan")}}),
    "a base URL that is none": ("toy", {"base_url": "nowhere"}),
    "a wrong type": ("toy", {"options": 5}),
    "another wrong type": ("toy", {"fallbacks": None, "facts": 5}),
}


@pytest.mark.usefixtures("toy_driver")
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("given", OVERRIDES)
def test_no_frame_shows_arguments_of_using(given, mistake):
    """Check that no frame of an error in `using` contains a key as a string."""
    name, wrong = MISTAKES[mistake]
    for find in (Inference.using, resolve.resolve):
        with pytest.raises(ConfigError) as caught:
            find(name, **{**OVERRIDES[given], **wrong})
        assert KEY not in everything_of(caught.value)


@pytest.mark.parametrize("wrong", [{"base_url": "nowhere"}, {"options": 5}, {"timeouts": Timeouts(idle=-1)}])
@pytest.mark.parametrize("given", [given for given in OVERRIDES if given != "a misspelt key"])
def test_no_frame_shows_fields_of_a_connection(given, wrong):
    """Check that an invalid connection does not show its keys."""
    for make in (connection, connection().with_changes):
        with pytest.raises(ConfigError) as caught:
            make(**{**OVERRIDES[given], **wrong})
        assert KEY not in everything_of(caught.value)


@pytest.mark.usefixtures("toy_driver")
@pytest.mark.parametrize(
    "line",
    [
        f"driver=toy,modle=x,api_key={KEY}",
        f"driver=toy,api_key=a,{KEY}",
        f"driver=toy,api_key=a,{KEY}=",
        f"api_key={KEY},model=x",
        f"driver=toy,apikey={KEY}",
        f"driver=toy,api_key={KEY},options=1,options.a=2",
        f"driver=toy,api_key={KEY},timeouts.idle=x",
        f"driver=toy,api_key={KEY},allow_http=perhaps",
        f"driver=toy,headers.x-api-key={KEY},base_url=nowhere",
        f"driver=toy,proxy={PROXY},base_url=nowhere",
        f"preset=nosuch,api_key={KEY}",
        f"driver=toy,api_key={KEY}\n\x00",
    ],
)
def test_no_frame_shows_a_dsn(line):
    """Check that an invalid DSN shows its key neither in the message nor in a frame."""
    with pytest.raises(ConfigError) as caught:
        Inference.from_dsn(line)
    assert KEY not in everything_of(caught.value)


@pytest.mark.usefixtures("toy_driver")
@pytest.mark.parametrize(
    ("variable", "overrides"),
    [("POLYGLOT_TOY_ALLOW_HTTP", {}), ("POLYGLOT_TOY_BASE_URL", {}), (None, {"modle": "x"})],
)
def test_no_frame_shows_the_environment(monkeypatch, variable, overrides):
    """Check that a key from the environment is in no frame, whatever else is invalid."""
    monkeypatch.setenv("POLYGLOT_TOY_API_KEY", KEY)
    if variable:
        monkeypatch.setenv(variable, "perhaps")
    with pytest.raises(ConfigError) as caught:
        Inference.using("toy", **overrides)
    assert KEY not in everything_of(caught.value)


PRINTS_KEY = [sys.executable, "-c", "print('test-'+'key')"]
FILES = {
    "an unknown key": f"api_key = '{KEY}'\nmodle = 'x'",
    "an unknown clock": f"api_key = '{KEY}'\ntimeouts = {{idlee = 1}}",
    "no TOML": f"api_key = '{KEY}'\nmodel = x",
    "a key without quotes": f"api_key = {KEY}",
    "a list of keys": f"api_key = ['{KEY}']",
    "two keys": f"api_key = '{KEY}'\napi_key_env = 'A'",
    "a key for a variable": f"api_key_env = '{KEY}'",
    "a key on a command": f"api_key_command = 'no-such-command {KEY}'",
    "a key on a command in a list": f"api_key_command = ['no-such-command', '{KEY}']",
    "a command whose key cannot be sent": f"api_key_command = {json.dumps([*PRINTS_KEY[:2], 'print(chr(1)+' + PRINTS_KEY[2][6:]])}",
    "a command that fails after all": f"api_key_command = {json.dumps([*PRINTS_KEY[:2], PRINTS_KEY[2] + ';raise SystemExit(1)'])}",
    "a key that cannot be sent": f'api_key = "{KEY}\\n"',
    "a bad number": f"api_key = '{KEY}'\ntimeouts = {{idle = nan}}",
    "a header": f"headers = {{x-api-key = '{KEY}'}}\nbase_url = 'nowhere'",
    "a proxy": f"proxy = '{PROXY}'\nbase_url = 'nowhere'",
    "no text": f"api_key = '{KEY}'\nmodel = '\udcff'",
    "too much": f"api_key = '{KEY}'\noptions = {{a = {'[' * 3000}{']' * 3000}}}",
    "nothing wrong with it": f"api_key = '{KEY}'",
}


@pytest.mark.usefixtures("toy_driver")
@pytest.mark.parametrize("wrong", FILES)
def test_no_frame_shows_a_config_file(tmp_path, wrong):
    """Check that an invalid file, or one without the requested name, does not show its keys."""
    file = tmp_path / "polyglot.toml"
    file.write_text(f"[connections.mine]\ndriver = 'toy'\n{FILES[wrong]}", "utf-8", "surrogateescape")
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        Inference.using("other" if wrong.startswith("nothing") else "mine", config=file)
    assert KEY not in everything_of(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
def test_no_frame_shows_a_readable_config_file(tmp_path):
    """Check the warning about a file that others can read, raised as an error."""
    file = tmp_path / "polyglot.toml"
    file.write_text(f"[connections.mine]\ndriver = 'toy'\napi_key = '{KEY}'")
    file.chmod(0o644)
    with pytest.raises(UserWarning, match="can be read by others") as caught:
        Inference.using("mine", config=file)
    assert KEY not in everything_of(caught.value)


# Texts of the HTTP client and of the provider


def failing(*errors):
    """Return a function that raises the last error, with the others as its contexts."""
    *before, last = errors
    try:
        if before:
            failing(*before)()
    except Exception:  # noqa: BLE001 (any that was given)
        return _raiser(last, sys.exc_info()[1])
    return _raiser(last, None)


def _raiser(error, context):
    def fail():
        error.__context__ = context
        raise error

    return fail


QUOTING = [
    httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}\\n'"),
    httpx.InvalidURL(f"Invalid port: '{KEY}'"),
    httpx.UnsupportedProtocol(f"unsupported protocol '{KEY}://'"),
    ValueError(f"Unknown scheme for proxy URL URL('user:{KEY}@localhost:1')"),
    UnicodeEncodeError("ascii", f"Bearer {KEY}\xe9", 15, 16, "ordinal not in range(128)"),
]


@pytest.mark.parametrize("error", QUOTING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", ["the seam", "by hand", "by hand, handled"])
def test_errors_of_the_client_that_quote_a_key_are_dropped(error, how):
    """Check that no cause and no context remains of a client error that quotes a key or password."""
    with pytest.raises(ConfigError, match=r"The request cannot be sent to localhost:1: .*Check ") as caught:
        if how == "the seam":
            with translated("http://localhost:1/x"):
                failing(error)()
        elif how == "by hand":
            raise_translated(error, None, "http://localhost:1/x")
        else:
            try:
                failing(error)()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as refused:
                raise_translated(refused, None, "http://localhost:1/x")
    assert KEY not in everything_of(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_network_errors_of_the_client_are_kept_as_cause():
    """Check that an error that quotes nothing is the cause; interruptions and own errors pass."""
    refused = httpx.ConnectError("refused")
    no_connection = pytest.raises(TransportError, match="No connection to localhost: ConnectError: refused")
    with no_connection as caught, translated("http://localhost/x"):
        failing(OSError("inner"), refused)()
    assert caught.value.__cause__ is refused
    for own in (KeyboardInterrupt(), ConfigError("mine"), TwoReadersError()):
        with pytest.raises(type(own)) as passed, translated("http://localhost/x"):
            failing(own)()
        assert passed.value is own
    with pytest.raises(TwoReadersError), translated("http://localhost/x"):
        failing(ValueError("generator already executing"))()


@pytest.mark.parametrize("token", [KEY + "\n", KEY + "é", " " + KEY, f"{KEY}\r\nx-evil: 1"])
def test_invalid_token_is_not_shown(flavour, loopback, toy, http, token):
    """Check that a driver's token with an invalid character raises an error without the token."""
    server = loopback(http.streamed(*toy.story, toy.done))

    class Signing(toy.Driver):
        @hookimpl
        def authorize(self, wire):
            signed = {**wire.headers, "authorization": Secret("Bearer " + token), "x-trace": "a"}
            return msgspec.structs.replace(wire, headers=signed)

    async def main():
        inference = flavour.Inference.from_connection(server.connection(driver="signing", api_key=None))
        with pytest.raises(ConfigError) as caught:
            await flavour.wait(inference.create("Hi", stream=True).response())
        return caught.value

    with register(Signing(), "signing"):
        if token.startswith(" "):  # the client accepts a leading space, `check_headers` does not
            with pytest.raises(ConfigError):
                check_headers(WireRequest(url=server.url, body=b"", headers={"authorization": Secret(token)}))
            return
        error = flavour.run(main)
    assert KEY not in everything_of(error)
    assert server.asked == []


@pytest.mark.parametrize("bad", ["a\n", "a\rb", "ä", " a", "a\x00", 5])
def test_headers_are_checked_before_the_client(bad):
    """Check that the error has the name of an invalid header, not its value; valid headers pass."""
    good = {"x-a": "b", "authorization": Secret("Bearer " + KEY), "x-empty": ""}
    check_headers(WireRequest(url="http://localhost:1/x", body=b"", headers=good))
    for value in (bad, Secret(f"{KEY}{bad}")) if isinstance(bad, str) and bad[0] != " " else (bad,):
        wire = WireRequest(url="http://localhost:1/x", body=b"", headers={**good, "x-token": value})
        with pytest.raises(ConfigError, match="to localhost:1 cannot be sent: header 'x-token'") as caught:
            check_headers(wire)
        assert KEY not in everything_of(caught.value)
        assert caught.value.__context__ is None


ODD = "test+k/e=y\"<&'\\%;"
"""A key of what is escaped somewhere."""

ESCAPED = {
    "JSON": json.dumps(ODD)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(ODD)[1:-1])[1:-1],
    "JSON of PHP": json.dumps(ODD)[1:-1].replace("/", "\\/"),
    "JSON of Go": json.dumps(ODD)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
    "HTML": html.escape(ODD),
    "HTML in numbers": "".join(c if c.isalnum() else f"&#{ord(c)};" for c in ODD),
    "a URL": quote(ODD, safe=""),
    "a path": quote(ODD),
    "a URL in small letters": quote(ODD, safe="").lower(),
    "a URL in a URL": quote(quote(ODD, safe=""), safe=""),
    "capital letters": ODD.upper(),
}


@pytest.mark.parametrize("form", ESCAPED)
def test_escaped_key_is_redacted(form):
    """Check that a key is redacted in every escaped form."""
    for secret in (Secret(ODD), Secret(ODD).with_prefix("Bearer ")):
        assert secret.redacted(f"Your key {ESCAPED[form]} is wrong, {ESCAPED[form]}.") == "Your key *** is wrong, ***."


@pytest.mark.parametrize("form", ESCAPED)
def test_truncated_key_is_redacted(form):
    """Check that no four characters remain of a key truncated before a mark, even within an escape."""
    whole = ESCAPED[form]
    for size in range(4, len(whole)):
        assert Secret(ODD).redacted(f"Your key {whole[:size]}… is wrong") == "Your key ***… is wrong"


@pytest.mark.parametrize("text", ["", "a", "tes…", "test", "+k/e", "test+k/e=y", "*** …", "test+k/e=x…"])
def test_similar_text_is_not_redacted(text):
    """Check that text that resembles the key stays, and that empty and short keys redact nothing."""
    assert Secret(ODD).redacted(text) == text
    assert Secret("").redacted(text) == Secret("te").redacted(text) == text


ECHOES = {
    "in the message": ('{"error": {"message": "Your key is test-key-0123456789"}}', {}),
    "in HTML": ("<p>test-key-0123456789</p>", {}),
    "in the code": ('{"error": {"message": "No", "code": "test-key-0123456789", "param": "test-key-0123456789"}}', {}),
    "in the request's id": ('{"error": {"message": "No"}}', {"x_request_id": "r-test-key-0123456789"}),
    "cut in white space": ('{"error": {"message": "a' + " " * 2033 + 'test-key-0123456789"}}', {}),
    "in a page of another's": ("test-key-0123456789", {"status": 200}),
    "in a redirect": ("", {"status": 302, "location": "https://a.example/?key=test%2Dkey%2D0123456789"}),
}


@pytest.mark.parametrize("where", ECHOES)
def test_key_quoted_by_the_provider_is_not_shown(flavour, loopback, toy, http, where):
    """Check message, causes and partial of the error for a key that the provider quotes."""
    body, said = ECHOES[where]
    server = loopback(http.plain(body.encode(), **{"status": 401, **said}))

    async def main():
        inference = flavour.Inference.from_connection(server.connection(api_key="test-key-0123456789"))
        with pytest.raises(PolyglotError) as caught:
            await flavour.wait(inference.create("Hi", stream=True).response())
        return caught.value

    error = flavour.run(main)
    shown = everything_of(error) + repr(vars(error))
    assert KEY not in shown
    assert "test%2Dkey" not in shown


def test_cause_that_quotes_the_key_is_detached():
    """Check that the causes of an error are kept up to the first that quotes the key."""
    error = ProviderError("No.")
    error.__cause__ = clean = OSError("clean")
    clean.__cause__ = httpx.RemoteProtocolError(f"illegal header line: bytearray(b'x {KEY}')")
    error.redact(Secret(KEY))
    assert error.__cause__ is clean
    assert clean.__cause__ is None
    assert clean.__context__ is None
