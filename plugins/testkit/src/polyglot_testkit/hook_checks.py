"""Checks of the hooks themselves: that core finds them, what they return, and that they do no I/O."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

import msgspec

from polyglot_core import plugin
from polyglot_core.errors import PluginError, PolyglotError
from polyglot_core.plugin import Embeddings, Event, Failure, Usage, WireRequest
from polyglot_testkit.check import expect
from polyglot_testkit.hook_calls import HOOKS, calls_of, outcome_of
from polyglot_testkit.input_output import clocks_read, no_input_or_output, no_network
from polyglot_testkit.recording import replay

if TYPE_CHECKING:
    from polyglot_testkit.check import Exam
    from polyglot_testkit.hook_calls import HookCall

__all__ = [
    "every_hook_is_found",
    "every_hook_runs",
    "hooks_do_no_io",
    "hooks_read_no_clock",
    "hooks_return_what_they_should",
    "hooks_run",
]


def every_hook_is_found(exam: Exam) -> bool:
    """Check that no function with the name of a hook lacks the mark without which core does not call it."""
    unmarked = [name for name in HOOKS if name not in exam.driver.hooks and _is_own(exam.module, name)]
    why = f"{', '.join(unmarked)}: not marked with polyglot_core.plugin.hookimpl, so core never calls it"
    expect(not unmarked, why)
    return True


def _is_own(module: object, name: str) -> bool:
    return inspect.isroutine(getattr(module, name, None))


_RETURNS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "encode_request": ((WireRequest,), "a WireRequest, as json_request creates it"),
    "decode_chunk": ((Sequence,), "a list or a tuple of events, empty if there are none"),
    "extract_usage": ((Usage,), "a Usage; one without counts if nothing is known"),
    "authorize": ((WireRequest,), "the WireRequest with its credentials"),
    "decode_error": ((Failure, type(None)), "a Failure, or None for core's own parser"),
    "encode_prefill": ((WireRequest,), "a WireRequest, or raise RequestError"),
    "encode_resume": ((WireRequest, type(None)), "a WireRequest, or None"),
    "encode_cancel": ((WireRequest, type(None)), "a WireRequest, or None if nothing is to be cancelled"),
    "list_models": ((WireRequest, type(None)), "the WireRequest for the next page, or None after the last"),
    "encode_embeddings": ((WireRequest,), "a WireRequest, as json_request creates it"),
    "decode_embeddings": ((Embeddings,), "Embeddings, with a vector for each text"),
    "embedding_limits": ((tuple,), "the most texts of a request, and the most bytes or None"),
}


def hooks_return_what_they_should(exam: Exam) -> bool:
    """Check that each hook returns a value of the type that the contract states."""
    for call in calls_of(exam):
        try:
            with no_network():
                returned = call.run()
        except Exception:  # noqa: BLE001, S112 (judged by the check that every hook runs)
            continue
        kinds, wanted = _RETURNS[call.hook]
        right = isinstance(returned, kinds) and not isinstance(returned, (str, bytes))
        expect(right, f"{call.hook} returned {_named(returned)} for {call.what}; return {wanted}")
        if call.hook == "decode_chunk" and isinstance(returned, Sequence):
            odd = [_named(each) for each in returned if not isinstance(each, _EVENTS)]
            expect(not odd, f"decode_chunk returned {', '.join(odd)} among its events, for {call.what}")
        if call.hook == "list_models" and call.what == "the first request":
            expect(returned is not None, "list_models returned None for the first request; return a WireRequest")
    return True


_EVENTS = (*get_args(Event), *filter(None, [getattr(plugin, "Follow", None)]))
"""What `decode_chunk` returns: the events, and the follow-up request of a core that has it."""


def _named(value: object) -> str:
    if value is None:
        return "None, as a function does that has no return statement,"
    if isinstance(value, Coroutine):
        value.close()
        return "a coroutine, because it is an async function,"
    if isinstance(value, AsyncIterator):
        return "an async generator"
    return (
        "a generator or another iterator" if isinstance(value, Iterator) else f"a value of type {type(value).__name__}"
    )


def every_hook_runs(exam: Exam) -> bool:
    """Check that no hook raises anything but the errors of Polyglot, whatever input of the exam it receives."""
    for call in calls_of(exam):
        error = outcome_of(call)
        allowed = error is None or _is_allowed(call, error)
        expect(allowed, f"{call.hook} raised {type(error).__name__} for {call.what}: {error}")
    return True


def _is_allowed(call: HookCall, error: BaseException) -> bool:
    if isinstance(error, PolyglotError):
        return not isinstance(error, PluginError)
    if call.hook == "authorize":  # which may lack its credentials, its library and the network here
        return isinstance(error, (OSError, ImportError))
    readable = call.hook in {
        "decode_chunk",
        "list_models",
        "decode_embeddings",
    }  # core reports data that cannot be read
    return readable and isinstance(error, (msgspec.DecodeError, UnicodeError))


def hooks_run(exam: Exam) -> dict[str, str]:
    """Return each hook of the driver with ``run``, or why it was not run to its end."""
    found = dict.fromkeys(exam.driver.hooks, "not run: the exam has no check for it")
    for call in calls_of(exam):
        if found[call.hook] == "run":
            continue
        error = outcome_of(call)
        found[call.hook] = "run" if error is None else f"not run: it raises {type(error).__name__}: {error}"
    if "decode_chunk" in found and not exam.recordings:
        found["decode_chunk"] = "not run: there is no recording"
    if "decode_embeddings" in found:
        found["decode_embeddings"] = "not run: check_embeddings runs it with a response"
    return found


def hooks_do_no_io(exam: Exam) -> bool:
    """Check that no hook but `authorize` opens a file, a socket or a process, sleeps or prints."""
    for call in calls_of(exam):
        if call.hook == "authorize":
            continue
        with no_input_or_output(calls=True) as touched:
            outcome_of(call)
        expect(not touched, f"{call.hook} does I/O ({', '.join(touched)}); only authorize may")
    for recording in exam.recordings:
        with no_input_or_output() as touched:
            replay(exam.driver, recording)
        expect(not touched, f"{recording.name}: decoding it does I/O ({', '.join(touched)}); only authorize may")
    return True


def hooks_read_no_clock(exam: Exam) -> bool:
    """Check that no hook but `authorize` reads a clock or a random number: the same input gives the same result."""
    for call in calls_of(exam):
        if call.hook == "authorize":
            continue
        with clocks_read() as found:
            outcome_of(call)
        expect(not found, f"{call.hook} calls {', '.join(found)} for {call.what}; only authorize may")
    return True
