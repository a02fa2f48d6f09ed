"""`check_driver`: one call that holds a driver to the contract.

Each check is a function that raises `ExamFailed` with a sentence a person can act on. `CHECKS` lists them all.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from polyglot_core.errors import PolyglotError, ProviderError, Truncated
from polyglot_core.plugin import Connection, InferenceRequest, Message, Secret
from polyglot_core.plugins import Driver
from polyglot_testkit.input_output import no_input_or_output
from polyglot_testkit.mutation import broken_bodies, with_unknown_event, with_unknown_fields
from polyglot_testkit.recording import Recording, cuts, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from polyglot_core.plugins import BoundDriver
    from polyglot_core.response import InferenceResponse

__all__ = ["CHECKS", "Exam", "ExamFailed", "Report", "check_driver"]

_KEY = "exam-key-that-must-not-travel"
_RANDOM_CUTS = 5
_MOST_PREFIXES = 400


class ExamFailed(AssertionError):
    """The driver did not pass; the message lists every check that failed, and why."""


class Report(NamedTuple):
    """What was found.

    Attributes:
        passed: Names of the checks that were passed.
        skipped: Names of the checks that there was nothing to check for.
    """

    passed: tuple[str, ...]
    skipped: tuple[str, ...]


class Exam(NamedTuple):
    """What is examined.

    Attributes:
        driver: The driver, bound to the connection.
        recordings: Answers of its provider.
        requests: Requests to encode.
        switch: Fields of the body that may differ between a streamed and a plain request.
    """

    driver: BoundDriver
    recordings: tuple[Recording, ...]
    requests: tuple[InferenceRequest, ...]
    switch: frozenset[str]

    def healthy(self) -> list[Recording]:
        """The recordings that are no errors."""
        return [recording for recording in self.recordings if not recording.fails]


def check_driver(
    module: object,
    recordings: Iterable[Recording],
    *,
    connection: Connection | None = None,
    requests: Sequence[InferenceRequest] = (),
    switch: Iterable[str] = ("stream", "stream_options"),
) -> Report:
    """Hold a driver to the contract.

    Args:
        module: The driver's module, or the object with its hooks.
        recordings: Answers of its provider: streamed and plain, whole, failed.
        connection: Connection to bind it to; its key is replaced by the exam's.
        requests: Requests to encode, besides a plain question.
        switch: Fields of the body that say whether to stream.

    Raises:
        ExamFailed: A check failed.
        PluginError: The module does not keep the contract so far as to be loaded.
    """
    base = connection or Connection(name="exam", driver="exam", base_url="http://127.0.0.1/v1", model="exam")
    driver = Driver("exam", module).bind(base.with_changes(api_key=Secret(_KEY)))
    question = InferenceRequest(model=base.model or "exam", messages=(Message(role="user", content="Hello"),))
    exam = Exam(driver, tuple(recordings), (question, *requests), frozenset(switch))
    return _examine(exam)


def _examine(exam: Exam) -> Report:
    passed: list[str] = []
    skipped: list[str] = []
    failed: list[str] = []
    for name, check in CHECKS.items():
        try:
            (passed if check(exam) else skipped).append(name)
        except (AssertionError, PolyglotError) as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise ExamFailed("The driver did not pass:\n- " + "\n- ".join(failed))
    return Report(tuple(passed), tuple(skipped))


def _expect(holds: bool, why: str) -> None:  # noqa: FBT001 (it reads like the assert that python -O would drop)
    if not holds:
        raise ExamFailed(why)


# Requests


def encoding_is_deterministic_and_touches_nothing(exam: Exam) -> bool:
    """The same request is encoded to the same bytes, without a file, a socket or a process."""
    for request in exam.requests:
        first = exam.driver.encode(request)
        with no_input_or_output() as touched:
            second = exam.driver.encode(request)
        _expect(not touched, f"encode_request does I/O ({', '.join(touched)}); what needs it belongs into authorize")
        _expect(first == second, "encode_request gives different bytes for one request")
    return True


def the_key_stays_out_of_url_and_body(exam: Exam) -> bool:
    """The key is in no URL and no body, and in a header only as a `Secret`."""
    for request in exam.requests:
        wire = exam.driver.encode(request)
        _expect(_KEY not in wire.url, "the key is in the URL, where logs and proxies keep it")
        _expect(_KEY.encode() not in wire.body, "the key is in the body")
        plain = [name for name, value in wire.headers.items() if isinstance(value, str) and _KEY in value]
        _expect(not plain, f"the key is in the clear in header {plain}; leave it to core, or use Secret")
    return True


def stream_is_only_a_switch(exam: Exam) -> bool:
    """A streamed and a plain request ask for the same thing."""
    for request in exam.requests:
        bodies = [exam.driver.encode(msgspec.structs.replace(request, stream=stream)).body for stream in (True, False)]
        streamed, plain = (_without(body, exam.switch) for body in bodies)
        _expect(streamed == plain, "the body of a streamed request differs in more than the switch")
    return True


def _without(body: bytes, fields: frozenset[str]) -> object:
    decoded = msgspec.json.decode(body)
    if not isinstance(decoded, dict):
        return decoded
    return {name: value for name, value in decoded.items() if name not in fields}


# Answers


def any_split_gives_the_same_answer(exam: Exam) -> bool:
    """However the network cuts the body, the partials and the answer are the same."""
    dice = random.Random(0)  # noqa: S311 (the same cuts each time)
    for recording in exam.recordings:
        whole = replay(exam.driver, recording)
        for pieces in (cuts(recording.body, 1), *(_random_cuts(recording.body, dice) for _ in range(_RANDOM_CUTS))):
            split = replay(exam.driver, recording, pieces=pieces)
            _expect(_told(whole.response) == _told(split.response), f"{recording.name}: another answer when it is cut")
            shown = [[partial.to_dict() for partial in seen.partials] for seen in (whole, split)]
            _expect(shown[0] == shown[1], f"{recording.name}: other partials when it is cut")
    return bool(exam.recordings)


def _random_cuts(body: bytes, dice: random.Random) -> list[bytes]:
    places = sorted(dice.randrange(len(body) + 1) for _ in range(10))
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def a_prefix_is_truncated_or_finished(exam: Exam) -> bool:
    """A body that breaks off is `Truncated`, unless the dialect had already said that the model was done."""
    streams = [recording for recording in exam.healthy() if recording.streamed]
    for recording in streams:
        step = max(1, len(recording.body) // _MOST_PREFIXES)
        for length in range(0, len(recording.body), step):
            part = replay(exam.driver, msgspec.structs.replace(recording, body=recording.body[:length]))
            raised = f"{type(part.error).__name__}: {part.error}"
            fair = part.error is None or isinstance(part.error, Truncated)
            _expect(fair, f"{recording.name}: cut after {length} bytes it raises {raised}")
            finished = part.error is not None or part.response.outcome == "finished"
            _expect(finished, f"{recording.name}: cut after {length} bytes it has no outcome")
    return bool(streams)


def a_whole_recording_finishes(exam: Exam) -> bool:
    """A healthy recording is read to its end without an error."""
    for recording in exam.healthy():
        error = replay(exam.driver, recording).error
        _expect(error is None, f"{recording.name}: {type(error).__name__}: {error}")
    return bool(exam.healthy())


def streamed_and_plain_agree(exam: Exam) -> bool:
    """The same answer, streamed and plain, is the same response."""
    by_name = {recording.name: recording for recording in exam.recordings}
    pairs = [(one, by_name[one.same_as]) for one in exam.recordings if one.same_as]
    for one, other in pairs:
        told = [_meaning(replay(exam.driver, recording).response) for recording in (one, other)]
        _expect(told[0] == told[1], f"{one.name} and {other.name} differ: {told[0]} / {told[1]}")
    return bool(pairs)


def errors_are_provider_errors(exam: Exam) -> bool:
    """An error, by status or inside a 200, becomes a `ProviderError` with the provider's code."""
    failures = [recording for recording in exam.recordings if recording.fails]
    for recording in failures:
        error = replay(exam.driver, recording).error
        found = type(error).__name__ if error else "no error"
        if not isinstance(error, ProviderError):
            raise ExamFailed(f"{recording.name}: {found} instead of a ProviderError")
        _expect(recording.code in {None, error.code}, f"{recording.name}: its code is {error.code!r}")
    return bool(failures)


def the_unknown_is_ignored(exam: Exam) -> bool:
    """Fields and events that a provider may add tomorrow change nothing."""
    changed = 0
    for recording in exam.healthy():
        before = _told(replay(exam.driver, recording).response)
        for what, mutate in (("fields", with_unknown_fields), ("an event", with_unknown_event)):
            mutated = mutate(recording)
            if mutated is None:
                continue
            changed += 1
            after = replay(exam.driver, mutated)
            _expect(after.error is None, f"{recording.name}: unknown {what} raise {type(after.error).__name__}")
            _expect(_told(after.response) == before, f"{recording.name}: unknown {what} change the answer")
    return changed > 0


def only_our_errors_come_out(exam: Exam) -> bool:
    """Whatever arrives, what comes out is a response or a `PolyglotError`."""
    for recording in exam.recordings:
        for body in broken_bodies(recording.body):
            try:
                replay(exam.driver, msgspec.structs.replace(recording, body=body))
            except Exception as error:
                what = f"{recording.name}: a broken body lets {type(error).__name__} out: {error}"
                raise ExamFailed(what) from error
    return bool(exam.recordings)


def _told(response: InferenceResponse) -> object:
    """All that a response says, but for times."""
    return {name: value for name, value in response.to_dict().items() if name not in {"timing", "request_id"}}


def _meaning(response: InferenceResponse) -> object:
    """What a response says, however it was asked for."""
    calls = [(call.name, call.arguments) for call in response.tool_calls]
    return response.content, response.reasoning_content, response.refusal, calls, response.finish_reason


CHECKS: dict[str, Callable[[Exam], bool]] = {
    check.__name__.replace("_", " "): check
    for check in (
        encoding_is_deterministic_and_touches_nothing,
        the_key_stays_out_of_url_and_body,
        stream_is_only_a_switch,
        a_whole_recording_finishes,
        any_split_gives_the_same_answer,
        a_prefix_is_truncated_or_finished,
        streamed_and_plain_agree,
        errors_are_provider_errors,
        the_unknown_is_ignored,
        only_our_errors_come_out,
    )
}
"""The checks, by their names in plain words. Each returns whether there was something to check."""
