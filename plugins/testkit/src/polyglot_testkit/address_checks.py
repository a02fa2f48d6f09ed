"""Checks of URLs: with a slash at the end of the base URL, with a path, without one, and with odd models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyglot_core.errors import ConfigError, RequestError
from polyglot_core.testing import bind
from polyglot_testkit.check import expect
from polyglot_testkit.hook_calls import question

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.plugin import WireRequest
    from polyglot_core.testing import BoundDriver
    from polyglot_testkit.check import Exam

__all__ = ["models_are_escaped_in_urls", "urls_follow_the_base_url"]

_ORIGIN = "https://exam.example:8443"
_PATHS = ("/v1", "/a/path/below")


def urls_follow_the_base_url(exam: Exam) -> bool:
    """Check that requests go to the connection's base URL, with or without a slash at its end, and with any path.

    Without a base URL they go to the driver's own, over https, or the driver rejects the connection.
    """
    for what, encode in _ENCODERS.items():
        if what not in exam.driver.hooks:
            continue
        for path in _PATHS:
            plain, slashed = (_url(exam, encode, f"{_ORIGIN}{path}{slash}") for slash in ("", "/"))
            if plain is None:
                continue
            why = f"{what}: with the base URL {_ORIGIN}{path} the URL is {plain}"
            expect(plain.startswith(f"{_ORIGIN}{path}"), why)
            expect("//" not in urlsplit(plain).path, why)
            same = f"{what}: a slash at the end of the base URL gives {slashed}; remove it with rstrip('/')"
            expect(plain == slashed, same)
        _without_base_url(exam, what, encode)
    return True


def _without_base_url(exam: Exam, what: str, encode: Callable[[Exam, BoundDriver], Any]) -> None:
    url = _url(exam, encode, None)
    if url is None:
        return
    parts = urlsplit(url)
    named = bool(parts.hostname) and parts.scheme in {"https", "http"}
    why = f"{what}: without a base URL the URL is {url}; use the provider's own, or raise config_error"
    expect(named and "None" not in url, why)
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    expect(parts.scheme == "https" or local, f"{what}: the driver's own URL is plain http: {url}")


def _url(exam: Exam, encode: Callable[[Exam, BoundDriver], WireRequest | None], base_url: str | None) -> str | None:
    """Return the URL of a request; None if the driver rejects it, or sends none."""
    driver = bind(exam.module, exam.connection.with_changes(base_url=base_url))
    try:
        wire = encode(exam, driver)
    except (ConfigError, RequestError):
        return None
    return None if wire is None else wire.url


def _models(_: Exam, driver: BoundDriver) -> WireRequest | None:
    page = next(iter(driver.pages_of_models([])), None)
    return None if page is None else page.encode(_nothing())


def _nothing() -> Any:  # noqa: ANN401 (the request for models reads nothing of it)
    return None


_ENCODERS: dict[str, Callable[[Exam, BoundDriver], Any]] = {
    "encode_request": lambda exam, driver: driver.encode(question(exam)),
    "encode_prefill": lambda exam, driver: driver.encode_prefill(question(exam), "Once"),
    "list_models": _models,
}

_ODD_MODELS = ("a model/with:odd?x=1#y", "grüße/世界", "../../other")


def models_are_escaped_in_urls(exam: Exam) -> bool:
    """Check that no name of a model adds a query, a fragment, white space or another origin to the URL."""
    before = urlsplit(exam.driver.encode(question(exam)).url)
    for model in _ODD_MODELS:
        try:
            url = exam.driver.encode(replace(question(exam), model=model)).url
        except (ConfigError, RequestError):
            continue
        after = urlsplit(url)
        why = f"with the model {model!r} the URL is {url}; escape the name with urllib.parse.quote"
        expect((after.scheme, after.netloc) == (before.scheme, before.netloc), why)
        expect(not after.fragment and after.query == before.query, why)
        expect(url.isascii() and not any(each.isspace() for each in url), why)
        expect("/../" not in after.path, why)
    return True
