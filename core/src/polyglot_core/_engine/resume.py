"""The ways to resume a response that was interrupted, and the requests for them.

``restart`` sends the original request. ``prefill`` sends it with the text received so far, which the model continues.
``provider`` requests the rest of a response that the provider stored. Nothing here does I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core._attempt.attempt import Attempt
    from polyglot_core._engine.call_options import ResumeMode
    from polyglot_core._engine.call_state import History, Target
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._wire.messages import WireRequest

__all__ = ["KEEPS", "check", "check_continuing", "encode", "possible_mode"]

KEEPS = frozenset({"prefill", "provider"})
"""Modes that keep the content received so far and append to it."""


def check(target: Target, fallbacks: Iterable[Target], mode: ResumeMode | None) -> None:
    """Encode for every fallback and for the resume mode, so that an unsupported request fails before anything is sent.

    Raises:
        PolyglotError: A driver cannot express the request, or cannot resume in this mode.
    """
    for connection, driver, request, _ in fallbacks:
        try:
            driver.encode(_without_warnings(request))
        except PolyglotError as error:
            error.add_facts(connection=connection.name, provider=driver.name, model=request.model)
            raise
    if mode == "prefill":
        target.driver.encode_prefill(_without_warnings(target.request), "")
    elif mode == "provider":
        target.driver.encode_resume(_without_warnings(target.request), {})


def check_continuing(target: Target) -> None:
    """Raise if the driver cannot let the model continue a response, so that nothing is sent.

    Raises:
        PolyglotError: It cannot.
    """
    try:
        check(target, (), "prefill")
    except PolyglotError as error:
        error.explain("The option on_length needs it: leave it out, and send the response back as a turn.")
        raise


def encode(target: Target, history: History) -> WireRequest:
    """Return the next request: the original one, one for the rest of a response, or a follow-up request again."""
    wire = None if history.job is None else history.job.request
    if (resumed := history.resumed) is not None and history.seam is not None:
        if history.seam.how == "prefill":
            wire = target.driver.encode_prefill(target.request, (resumed.assembler.resumable_text() or "").rstrip())
        else:
            wire = target.driver.encode_resume(target.request, resumed.decoder_state)
    return wire or target.driver.encode(target.request)


def possible_mode(target: Target, mode: ResumeMode | None, interrupted: Attempt) -> ResumeMode | None:
    """Return the mode that the caller chose if this response can be resumed in it, else None."""
    if mode is None or mode == "restart":
        return mode
    if target.request.options.get("n", 1) != 1:
        return None
    try:
        if mode == "prefill":
            text = interrupted.assembler.resumable_text() or ""
            target.driver.encode_prefill(_without_warnings(target.request), text.rstrip())
            return "prefill" if text.strip() else None
        wire = target.driver.encode_resume(_without_warnings(target.request), interrupted.decoder_state)
    except PolyglotError:  # the response is that of a fallback, whose driver does not support the mode
        return None
    return None if wire is None else mode


def _without_warnings(request: InferenceRequest) -> InferenceRequest:
    """Return the request for a trial encoding. The encoding that is sent emits the warnings, once."""
    return replace(request, unsupported="drop") if request.unsupported == "warn" else request
