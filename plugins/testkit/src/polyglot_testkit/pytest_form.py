"""The exam as tests of pytest: one line in a test module, and one test for each check and each hook."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Unpack

from polyglot_testkit.check import ExamArguments, ExamFailed
from polyglot_testkit.coverage import missing_features, unrecorded_problem
from polyglot_testkit.exam import CHECKS, ExamWarning, prepare, run_check
from polyglot_testkit.hook_calls import HOOKS
from polyglot_testkit.hook_checks import hooks_run
from polyglot_testkit.preset_exam import PRESET_CHECKS, prepare_preset
from polyglot_testkit.versions import counts, pinned_version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from polyglot_core.plugin import Preset
    from polyglot_testkit.check import Exam
    from polyglot_testkit.exam import Result
    from polyglot_testkit.recording import Recording

__all__ = ["exam_tests", "preset_tests"]

_RECORDED = "every feature is recorded"


def exam_tests(
    module: object,
    recordings: Iterable[Recording] = (),
    *,
    unrecorded: Mapping[str, str] | None = None,
    not_run: Collection[str] | None = None,
    version: str | None = None,
    **arguments: Unpack[ExamArguments],
) -> Callable[..., None]:
    """Return a parametrized test: assign it to a name that begins with ``test_``.

    Each check is a test of its own, and each hook of the driver is one that is skipped, with the reason, if the exam
    could not run it. A check that has nothing to check is skipped with the reason. Requires pytest.

    Args:
        module: The driver's module, or the object with its hooks.
        recordings: Responses of its provider.
        unrecorded: Features without a recording, as `Report.thin` names them, each with the reason. Without a reason
            there is an `ExamWarning`.
        not_run: Names of the checks and hooks that may be skipped; another one that is skipped fails. None allows all.
        version: See `check_driver`.
        arguments: `connection`, `requests`, `switch`, `left_out` and `models`: see `check_driver`.

    Raises:
        ValueError: There is no such version of the exam.
    """
    import pytest  # noqa: PLC0415 (an extra: check_driver works without it)

    pinned, given = pinned_version(version), tuple(recordings)

    @functools.cache
    def exam() -> Exam:
        return prepare(module, given, **arguments)

    @functools.cache
    def hooks() -> dict[str, str]:
        return hooks_run(exam())

    hook_names = [f"hook {name}" for name in HOOKS if inspect.isroutine(getattr(module, name, None))]
    names = [_RECORDED, *hook_names, *CHECKS]

    @pytest.mark.parametrize("check", [pytest.param(name, id=name.replace(" ", "-")) for name in names])
    def test_exam(check: str) -> None:
        if check == _RECORDED:
            _warn_of_thin(exam(), unrecorded or {})
        elif check in CHECKS:
            _judge(run_check(check, CHECKS[check], exam(), counted=counts(CHECKS[check].since, pinned)), not_run)
        elif (state := hooks().get(check.removeprefix("hook "), "not marked as a hook")) != "run":
            _skip(check, state, not_run)

    return test_exam


def preset_tests(presets: Mapping[str, Preset], *, drivers: Mapping[str, object] | None = None) -> Callable[..., None]:
    """Return a parametrized test of rows of data: assign it to a name that begins with ``test_``.

    Args:
        presets: The rows, by name, as ``PRESETS`` of their module.
        drivers: Modules of drivers that are not installed, by name.
    """
    import pytest  # noqa: PLC0415 (as above)

    pairs = [(name, check) for name in presets for check in PRESET_CHECKS]

    @pytest.mark.parametrize(
        ("name", "check"), pairs, ids=[f"{name}-{check.replace(' ', '-')}" for name, check in pairs]
    )
    def test_presets(name: str, check: str) -> None:
        exam: Any = prepare_preset(name, presets[name], drivers=drivers)
        _judge(run_check(check, PRESET_CHECKS[check], exam), None)

    return test_presets


def _judge(result: Result, not_run: Collection[str] | None) -> None:
    """Fail, skip or warn as a result states."""
    if result.state == "failed":
        raise ExamFailed(result.why)
    if result.state == "not run":
        _skip(result.name, result.why, not_run)
    if result.state == "warned":
        warnings.warn(f"{result.name}: {result.why}", ExamWarning, stacklevel=3)


def _skip(name: str, reason: str, not_run: Collection[str] | None) -> None:
    import pytest  # noqa: PLC0415 (as above)

    if not_run is not None and name not in not_run:
        msg = f"{name} was not run, and not_run does not allow that: {reason}"
        raise ExamFailed(msg)
    pytest.skip(reason)


def _warn_of_thin(exam: Exam, unrecorded: Mapping[str, str]) -> None:
    """Warn of the features that no recording has, and fail for a wrong statement about them."""
    if (problem := unrecorded_problem(exam, unrecorded)) is not None:
        raise ExamFailed(problem)
    if thin := {name: how for name, how in missing_features(exam).items() if name not in unrecorded}:
        lines = "; ".join(f"{name} ({how})" for name, how in thin.items())
        warnings.warn(f"The recordings are thin. The exam could not see: {lines}.", ExamWarning, stacklevel=3)
