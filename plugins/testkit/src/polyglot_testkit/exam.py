"""`check_driver`, the exam: the conformance suite for drivers, run with one call.

Each check is a function that raises `ExamFailed` with a message that states what to fix. `CHECKS` lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import Connection, InferenceRequest, Message, Secret
from polyglot_core.testing import bind
from polyglot_testkit.check import KEY, Exam, ExamFailed
from polyglot_testkit.decoding_checks import (
    a_prefix_is_truncated_or_finished,
    a_whole_recording_finishes,
    any_split_gives_the_same_response,
    errors_are_provider_errors,
    only_polyglot_errors_are_raised,
    streamed_and_plain_agree,
    unknown_fields_and_events_are_ignored,
)
from polyglot_testkit.encoding_checks import (
    encoding_is_deterministic_and_touches_nothing,
    every_feature_is_encoded_or_rejected,
    stream_is_only_a_switch,
    the_key_stays_out_of_url_and_body,
)
from polyglot_testkit.follow_checks import checks_for
from polyglot_testkit.honesty_checks import (
    a_turn_goes_back_as_it_was_received,
    broken_tool_calls_go_back_as_objects,
    details_can_be_read,
    every_spelling_of_an_error_fails,
    finish_words_are_read,
    interleaved_streams_do_not_mix,
)
from polyglot_testkit.model_checks import the_list_of_models_is_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from polyglot_testkit.recording import Recording

__all__ = ["CHECKS", "Report", "check_driver"]


class Report(NamedTuple):
    """The result of the exam.

    Attributes:
        passed: Names of the checks that were passed.
        skipped: Names of the checks without anything to check.
        left_out: Features that the driver silently leaves out, with the reasons given.
    """

    passed: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: Mapping[str, str]


def check_driver(
    module: object,
    recordings: Iterable[Recording],
    *,
    connection: Connection | None = None,
    requests: Sequence[InferenceRequest] = (),
    switch: Iterable[str] = ("stream", "stream_options"),
    left_out: Mapping[str, str] | None = None,
    models: Sequence[bytes] = (),
) -> Report:
    """Run all checks on a driver.

    Args:
        module: The driver's module, or the object with its hooks.
        recordings: Responses of its provider: streamed and plain, complete, failed.
        connection: Connection to bind it to; its key is replaced by the exam's. Its driver has to be the name that the
            driver's writer of conversations has, for turns to be sent back as the driver's own.
        requests: Requests to encode, besides a plain question.
        switch: Fields of the body that switch streaming on.
        left_out: Features that the driver silently leaves out, by their names in the exam, with the reason.
        models: Bodies of the pages of the provider's list of models, in order.

    Raises:
        ExamFailed: A check failed.
        PluginError: The module violates the contract and cannot be loaded.
    """
    base = connection or Connection(name="exam", driver="exam", base_url="http://127.0.0.1/v1", model="exam")
    driver = bind(module, base.with_changes(api_key=Secret(KEY)))
    question = InferenceRequest(model=base.model or "exam", messages=(Message(role="user", content="Hello"),))
    exam = Exam(driver, tuple(recordings), (question, *requests), frozenset(switch), left_out or {}, tuple(models))
    return _examine(exam)


def _examine(exam: Exam) -> Report:
    passed: list[str] = []
    skipped: list[str] = []
    failed: list[str] = []
    for name, check in {**CHECKS, **checks_for(exam)}.items():
        try:
            (passed if check(exam) else skipped).append(name)
        except (AssertionError, PolyglotError) as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise ExamFailed("The driver did not pass:\n- " + "\n- ".join(failed))
    return Report(tuple(passed), tuple(skipped), dict(exam.left_out))


CHECKS: dict[str, Callable[[Exam], bool]] = {
    check.__name__.replace("_", " "): check
    for check in (
        encoding_is_deterministic_and_touches_nothing,
        the_key_stays_out_of_url_and_body,
        stream_is_only_a_switch,
        every_feature_is_encoded_or_rejected,
        a_whole_recording_finishes,
        any_split_gives_the_same_response,
        a_prefix_is_truncated_or_finished,
        streamed_and_plain_agree,
        errors_are_provider_errors,
        unknown_fields_and_events_are_ignored,
        only_polyglot_errors_are_raised,
        a_turn_goes_back_as_it_was_received,
        broken_tool_calls_go_back_as_objects,
        details_can_be_read,
        every_spelling_of_an_error_fails,
        finish_words_are_read,
        interleaved_streams_do_not_mix,
        the_list_of_models_is_read,
    )
}
"""The checks, by their names in plain words. Each returns whether there was something to check."""
