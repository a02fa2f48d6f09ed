"""Checks of keys: a planted key is in no URL, body or plain header, in no encoding, before and after `authorize`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import unquote

from msgspec.structs import replace

from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import Secret, WireRequest
from polyglot_core.testing import bind
from polyglot_testkit.check import KEY, expect, nothing_to_check
from polyglot_testkit.hook_calls import HookCall, calls_of, outcome_of, question
from polyglot_testkit.input_output import no_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_testkit.check import Exam

__all__ = ["authorize_adds_credentials_alone", "no_request_shows_the_key"]


def forms_of(key: str) -> dict[str, str]:
    """Return the encodings of a key that are searched for, each with the text that shows it.

    Base64 has three alignments: what precedes the key in the encoded text moves it.
    """
    data = key.encode()
    forms = {"as it is": key, "in hexadecimal": data.hex(), "backwards": key[::-1]}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data + b"\0" * (-(shift + len(data)) % 3))
        forms[f"in base64 ({shift})"] = encoded[4 if shift else 0 : -4].decode()
    return forms


_FORMS = forms_of(KEY)


def shown(text: str) -> str | None:
    """Return how the key is in a text, or None."""
    readings = {text, unquote(text), text.replace("-", "+").replace("_", "/")}
    for form, part in _FORMS.items():
        if any(part in reading or part.upper() in reading.upper() for reading in readings):
            return form
    return None


def no_request_shows_the_key(exam: Exam) -> bool:
    """Check that no hook that encodes puts the key into URL or body, in any encoding, or into a plain header."""
    for call in calls_of(exam):
        if call.hook in {"encode_request", "encode_prefill", "encode_resume", "encode_cancel", "list_models"}:
            for wire in _wire_of(call):
                _is_hidden(wire, f"{call.hook}, for {call.what}")
    return True


def _wire_of(call: HookCall) -> Iterator[WireRequest]:
    try:
        with no_network():
            wire = call.run()
    except Exception:  # noqa: BLE001 (judged by other checks)
        return
    if isinstance(wire, WireRequest):
        yield wire


def _is_hidden(wire: WireRequest, where: str) -> None:
    """Fail if the key is in the request, but for the value of a header that is a `Secret`."""
    form = shown(wire.url)
    expect(form is None, f"{where}: the key is in the URL, {form}; logs and proxies keep URLs")
    form = shown(wire.body.decode("utf-8", "replace"))
    expect(form is None, f"{where}: the key is in the body, {form}")
    for name, value in wire.headers.items():
        form = shown(value) if isinstance(value, str) else shown(name)
        expect(form is None, f"{where}: the key is in the header {name!r} in the clear, {form}; use Secret")


def authorize_adds_credentials_alone(exam: Exam) -> bool:
    """Check that `authorize` adds credentials that hide the key, and leaves the encoded request unchanged."""
    if "authorize" not in exam.driver.hooks:
        nothing_to_check("the driver has no hook authorize; core sends the key")
    for call in calls_of(exam):
        if call.hook == "authorize" and (error := outcome_of(call)) is not None:
            known = isinstance(error, (PolyglotError, OSError, ImportError))
            expect(known, f"authorize raised {type(error).__name__}: {error}")
            nothing_to_check(f"authorize cannot run here: {type(error).__name__}: {error}")
    for stream in (True, False):
        before = exam.driver.encode(question(exam, stream=stream))
        _is_authorized(exam, before)
    _keys_do_not_mix(exam)
    return True


_OTHER = "another-key-of-the-exam"


def _keys_do_not_mix(exam: Exam) -> None:
    """Fail if a request of another connection has the key of the first, or credentials that do not depend on it."""
    headers = []
    for key in (KEY, _OTHER):
        driver = bind(exam.module, exam.connection.with_changes(api_key=Secret(key)))
        wire = driver.encode(question(exam))
        with no_network():
            after = wire if driver.authorize is None else driver.authorize(wire)
        headers.append({name: _revealed(value) for name, value in after.headers.items()})
    mixed = any(shown(value) for value in headers[1].values())
    expect(not mixed, "authorize sends the key of another connection; keep nothing in the module, or keep it by key")


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _is_authorized(exam: Exam, before: WireRequest) -> None:
    authorize = exam.driver.authorize
    if authorize is None:
        return
    with no_network():
        after = authorize(before)
    _is_hidden(after, "authorize")
    expect(after.body == before.body, "authorize changes the body, which is encoded, and maybe signed, already")
    same = replace(after, url=before.url, headers=before.headers) == before
    expect(same, "authorize changes how the request is sent or read; add headers only")
    lost = [name for name, value in before.headers.items() if after.headers.get(name) != value]
    expect(not lost, f"authorize changes or loses the headers {', '.join(lost)}")
    origins = [wire.url.split("/", 3)[:3] for wire in (before, after)]
    expect(origins[0] == origins[1], f"authorize sends the request, and the key, to another origin: {after.url}")
    added = [value for name, value in after.headers.items() if name not in before.headers]
    why = "authorize adds no credentials; without the hook core sends the key, with it the driver has to"
    expect(
        bool(added) or after.url != before.url or any(isinstance(each, Secret) for each in after.headers.values()), why
    )
