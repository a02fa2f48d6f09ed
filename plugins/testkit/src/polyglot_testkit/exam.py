"""`check_driver`, the exam: the conformance suite for drivers, run with one call.

Each check is a function that raises `ExamFailed` with a message that states what to fix. `CHECKS` lists them all.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import Connection, InferenceRequest, Message, Secret
from polyglot_core.testing import bind
from polyglot_testkit import (
    address_checks,
    content_checks,
    decoding_checks,
    encoding_checks,
    error_checks,
    follow_checks,
    honesty_checks,
    hook_checks,
    key_checks,
    model_checks,
    resume_checks,
    sent_checks,
    state_checks,
    usage_checks,
)
from polyglot_testkit.check import KEY, Exam, ExamFailed, NothingToCheck
from polyglot_testkit.cost import Cost, cost_per_chunk
from polyglot_testkit.coverage import missing_features
from polyglot_testkit.recording import response_fields
from polyglot_testkit.versions import counts, pinned_version

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from polyglot_testkit.recording import Recording

__all__ = ["CHECKS", "Check", "ExamWarning", "Report", "Result", "check_driver", "examine", "prepare", "run_check"]


class ExamWarning(UserWarning):
    """A feature that no recording has, so that the exam could not see it; or a new check that does not count yet."""


class Check(NamedTuple):
    """One check of the exam.

    Attributes:
        run: Raises `ExamFailed`, or returns whether there was anything to check.
        since: The version of the exam, such as ``1.0``, with which the check was added.
    """

    run: Callable[[Any], bool]
    since: str

    @property
    def about(self) -> str:
        """Return what is checked, in one sentence."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


class Result(NamedTuple):
    """The result of one check.

    Attributes:
        name: Name of the check.
        state: ``passed``, ``failed``, ``not run``, or ``warned``: it failed, and does not count yet.
        why: What to fix, or why it was not run; empty if it passed.
    """

    name: str
    state: str
    why: str = ""


class Report(NamedTuple):
    """The result of the exam.

    Attributes:
        results: The result of each check, in order.
        left_out: Features that the driver silently leaves out, with the reasons given.
        thin: Features that no recording has, each with the recording to add.
        hooks: Each hook of the driver with ``run``, or why it was not run.
        cost: Time of decoding a chunk, beside the reference driver; None without a recorded stream.
        name: Name of the driver.
    """

    results: tuple[Result, ...]
    left_out: Mapping[str, str]
    thin: Mapping[str, str]
    hooks: Mapping[str, str]
    cost: Cost | None
    name: str

    def _in(self, state: str) -> tuple[str, ...]:
        return tuple(result.name for result in self.results if result.state == state)

    @property
    def passed(self) -> tuple[str, ...]:
        """Return the names of the checks that were passed."""
        return self._in("passed")

    @property
    def skipped(self) -> tuple[str, ...]:
        """Return the names of the checks without anything to check."""
        return self._in("not run")

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of the checks that failed."""
        return self._in("failed")

    @property
    def warned(self) -> tuple[str, ...]:
        """Return the names of the checks that failed and do not count yet."""
        return self._in("warned")


def check_driver(
    module: object,
    recordings: Iterable[Recording],
    *,
    connection: Connection | None = None,
    requests: Sequence[InferenceRequest] = (),
    switch: Iterable[str] = ("stream", "stream_options"),
    left_out: Mapping[str, str] | None = None,
    models: Sequence[bytes] = (),
    version: str | None = None,
) -> Report:
    """Run all checks on a driver.

    Args:
        module: The driver's module, or the object with its hooks.
        recordings: Responses of its provider: streamed and plain, complete, failed.
        connection: Connection to bind it to; its key is replaced by the exam's. Its driver has to be the name that the
            driver's writer of conversations has, for turns to be sent back as the driver's own.
        requests: Requests to encode, besides a plain question.
        switch: Fields of the body that switch streaming on.
        left_out: Features that the driver silently leaves out, by their names in the exam, and checks that do not apply
            to it, by theirs, each with the reason.
        models: Bodies of the pages of the provider's list of models, in order.
        version: Version of the exam whose checks count, such as ``1.0``; newer checks warn. By default a check warns
            in the minor version that adds it, and counts from the next one on.

    Raises:
        ExamFailed: A check failed.
        PluginError: The module violates the contract and cannot be loaded.
        ValueError: There is no such version of the exam.

    Warns:
        ExamWarning: A new check failed that does not count yet.
    """
    exam = prepare(
        module, recordings, connection=connection, requests=requests, switch=switch, left_out=left_out, models=models
    )
    report = examine(exam, version=version)
    for result in report.results:
        if result.state == "warned":
            warnings.warn(f"{result.name}: {result.why}", ExamWarning, stacklevel=2)
    if failed := [f"{result.name}: {result.why}" for result in report.results if result.state == "failed"]:
        raise ExamFailed("The driver did not pass:\n- " + "\n- ".join(failed))
    return report


def prepare(
    module: object,
    recordings: Iterable[Recording] = (),
    *,
    connection: Connection | None = None,
    requests: Sequence[InferenceRequest] = (),
    switch: Iterable[str] = ("stream", "stream_options"),
    left_out: Mapping[str, str] | None = None,
    models: Sequence[bytes] = (),
) -> Exam:
    """Return the input of the checks; the arguments are those of `check_driver`.

    Raises:
        PluginError: The module violates the contract and cannot be loaded.
    """
    base = connection or Connection(name="exam", driver="exam", base_url="http://127.0.0.1/v1", model="exam")
    keyed = base.with_changes(api_key=Secret(KEY))
    question = InferenceRequest(model=base.model or "exam", messages=(Message(role="user", content="Hello"),))
    driver, given = bind(module, keyed), tuple(recordings)
    with _without_log():
        first = {recording.name: response_fields(driver, recording) for recording in given}
    return Exam(
        driver=driver,
        recordings=given,
        requests=(question, *copy.deepcopy(tuple(requests))),
        switch=frozenset(switch),
        left_out={name: why for name, why in (left_out or {}).items() if name not in CHECKS},
        excused={name: why for name, why in (left_out or {}).items() if name in CHECKS},
        models=tuple(models),
        module=module,
        connection=keyed,
        first=first,
    )


def examine(exam: Exam, *, version: str | None = None, checks: Mapping[str, Check] | None = None) -> Report:
    """Run checks and return their results; no failure is raised.

    Args:
        exam: The input of the checks.
        version: See `check_driver`.
        checks: The checks, instead of `CHECKS`.

    Raises:
        ValueError: There is no such version of the exam.
    """
    pinned = pinned_version(version)
    results = tuple(
        run_check(name, check, exam, counted=counts(check.since, pinned)) for name, check in (checks or CHECKS).items()
    )
    return Report(
        results=results,
        left_out={**exam.left_out, **exam.excused},
        thin=missing_features(exam),
        hooks=hook_checks.hooks_run(exam),
        cost=cost_per_chunk(exam),
        name=exam.driver.name,
    )


def run_check(name: str, check: Check, exam: object, *, counted: bool = True) -> Result:
    """Run one check. Whatever a driver raises is the check's failure, `SystemExit` included."""
    if isinstance(exam, Exam) and (reason := exam.excused.get(name)):
        return Result(name, "not run", f"left out: {reason}")
    try:
        with _without_log():
            found = check.run(exam)
    except NothingToCheck as reason:
        return Result(name, "not run", str(reason))
    except (AssertionError, PolyglotError) as error:
        why = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the driver's)
        why = f"the driver raised {type(error).__name__}: {error}"
    else:
        return Result(name, "passed") if found else Result(name, "not run", "no recording has what it needs")
    return Result(name, "failed" if counted else "warned", why)


@contextlib.contextmanager
def _without_log() -> Generator[None]:
    """Keep the notes on thousands of broken bodies out of the log."""
    logger = logging.getLogger("polyglot_core")
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler := logging.NullHandler())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


_VERSIONS: Mapping[str, tuple[Callable[[Exam], bool], ...]] = {
    "1.0": (
        hook_checks.every_hook_is_found,
        hook_checks.hooks_return_what_they_should,
        hook_checks.every_hook_runs,
        hook_checks.hooks_do_no_io,
        hook_checks.hooks_read_no_clock,
        encoding_checks.encoding_is_deterministic_and_touches_nothing,
        encoding_checks.the_key_stays_out_of_url_and_body,
        key_checks.no_request_shows_the_key,
        key_checks.authorize_adds_credentials_alone,
        encoding_checks.stream_is_only_a_switch,
        encoding_checks.every_feature_is_encoded_or_rejected,
        sent_checks.what_is_sent_is_in_the_request,
        sent_checks.the_model_is_that_of_the_request,
        sent_checks.extra_has_the_last_word,
        sent_checks.roles_are_told_apart,
        sent_checks.requests_are_well_formed,
        sent_checks.recorded_requests_are_encoded,
        sent_checks.misspelt_options_are_rejected,
        sent_checks.unsupported_features_can_be_dropped,
        state_checks.arguments_stay_unchanged,
        address_checks.urls_follow_the_base_url,
        address_checks.models_are_escaped_in_urls,
        resume_checks.prefill_continues_the_text,
        resume_checks.resume_names_the_response,
        decoding_checks.a_whole_recording_finishes,
        content_checks.recordings_decode_to_what_they_state,
        decoding_checks.any_split_gives_the_same_response,
        content_checks.texts_of_any_characters_are_kept,
        content_checks.texts_of_the_wire_are_all_read,
        content_checks.nothing_follows_the_end,
        content_checks.id_and_model_are_those_of_the_wire,
        decoding_checks.a_prefix_is_truncated_or_finished,
        decoding_checks.streamed_and_plain_agree,
        content_checks.tool_calls_are_whole,
        content_checks.every_response_has_a_finish_reason,
        content_checks.the_finish_reason_is_that_of_the_wire,
        honesty_checks.finish_words_are_read,
        usage_checks.usage_is_that_of_the_wire,
        usage_checks.unknown_counts_stay_unknown,
        usage_checks.any_usage_object_is_read,
        decoding_checks.errors_are_provider_errors,
        error_checks.recorded_errors_have_their_class,
        error_checks.error_statuses_give_their_errors,
        honesty_checks.every_spelling_of_an_error_fails,
        decoding_checks.unknown_fields_and_events_are_ignored,
        decoding_checks.only_polyglot_errors_are_raised,
        content_checks.odd_chunks_are_no_fault_of_the_driver,
        content_checks.unreadable_chunks_are_reported,
        honesty_checks.a_turn_goes_back_as_it_was_received,
        honesty_checks.broken_tool_calls_go_back_as_objects,
        honesty_checks.details_can_be_read,
        honesty_checks.interleaved_streams_do_not_mix,
        state_checks.chunks_of_two_streams_alternate,
        state_checks.abandoned_streams_leave_no_trace,
        state_checks.unreadable_chunks_change_no_state,
        model_checks.the_list_of_models_is_read,
        follow_checks.follow_up_requests_receive_the_response,
        follow_checks.work_is_cancelled_by_what_identifies_it,
    ),
}
"""Version of the exam → the checks that it adds."""

CHECKS: dict[str, Check] = {
    run.__name__.replace("_", " "): Check(run, since) for since, added in _VERSIONS.items() for run in added
}
"""The checks, by their names in plain words."""
