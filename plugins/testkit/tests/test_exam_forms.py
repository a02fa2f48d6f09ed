"""The exam as tests of pytest, its versions, its words, and the exam of presets."""

from __future__ import annotations

import gc
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

from polyglot_core.plugin import Connection, Preset, hookimpl
from polyglot_testkit import CHECKS, Check, ExamFailed, ExamWarning, Recording, check_driver, check_preset, reference
from polyglot_testkit.check import Exam
from polyglot_testkit.exam import examine, prepare
from polyglot_testkit.input_output import no_network
from polyglot_testkit.preset_exam import PRESET_CHECKS, examine_preset, prepare_preset
from polyglot_testkit.versions import counts, pinned_version

from . import mutants
from .reference_recordings import PAGES, RECORDINGS, REQUEST, SENT, SINGLE, TEXT

HERE = Path(__file__).parent
ARGUMENTS = {"connection": mutants.CONNECTION, "requests": [REQUEST], "models": PAGES}


def report_on(module=reference, recordings=(), **arguments):
    return examine(prepare(module, recordings, **{**ARGUMENTS, "models": (), **arguments}))


# pytest

MODULE = f"""
import sys
sys.path.insert(0, {str(HERE.parents[2])!r})
from plugins.testkit.tests import mutants
from plugins.testkit.tests.reference_recordings import PAGES, RECORDINGS, REQUEST, SINGLE
from polyglot_core.plugin import Preset
from polyglot_testkit import exam_tests, preset_tests, reference

test_sound = exam_tests(reference, RECORDINGS, connection=mutants.CONNECTION, requests=[REQUEST], models=PAGES)
test_thin = exam_tests(reference, SINGLE, connection=mutants.CONNECTION)
test_strict = exam_tests(reference, SINGLE, connection=mutants.CONNECTION, not_run=["details can be read", "follow up requests receive the response", "work is cancelled by what identifies it"])
test_reasons = exam_tests(
    reference, SINGLE, connection=mutants.CONNECTION, unrecorded={{"reasoning": "none", "token counts": "none"}}
)
test_wrong = exam_tests(mutants.driver(**mutants.MUTANTS["decoding sleeps"]), SINGLE, connection=mutants.CONNECTION)
test_rows = preset_tests(
    {{"good": Preset(driver="reference", base_url="https://api.example.com/v1", api_key_env="A_KEY"),
      "bad": Preset(driver="reference", base_url="http://api.example.com/v1", api_key_env="a-key")}},
    drivers={{"reference": reference}},
)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return the outcome of each test of the module above, and the output of pytest."""
    file = tmp_path_factory.mktemp("forms") / "test_driver.py"
    file.write_text(MODULE, "utf-8")
    command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", "-n", "0", str(file)]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False, cwd=file.parent)
    rows = [line.split("::", 1)[1].split()[:2] for line in run.stdout.splitlines() if "::" in line and "%]" in line]
    return dict(rows), run.stdout


def of(outcomes, test):
    """Return the outcomes of the checks of one test."""
    return {
        name.removeprefix(f"{test}[").removesuffix("]"): state
        for name, state in outcomes[0].items()
        if name.startswith(f"{test}[")
    }


def test_each_check_and_each_hook_is_a_test(outcomes):
    """The names are those of the checks, and a sound driver passes."""
    found = of(outcomes, "test_sound")
    assert {name.replace("-", " ") for name in found} >= set(CHECKS)
    assert {name for name in found if name.startswith("hook-")} == {f"hook-{name}" for name in mutants.HOOKS}
    assert {name for name, state in found.items() if state != "PASSED"} == {
        "details-can-be-read",
        "follow-up-requests-receive-the-response",
        "work-is-cancelled-by-what-identifies-it",
    }


def test_thin_recordings_are_a_warning(outcomes):
    """It names each feature that was not seen, and the recording to add."""
    assert of(outcomes, "test_thin")["tool-calls-are-whole"] == "SKIPPED"
    assert "ExamWarning: The recordings are thin." in outcomes[1]
    assert "a tool call (a response with a tool call, streamed and plain)" in outcomes[1]
    assert "no recording has a tool call" in outcomes[1]


def test_a_check_that_may_not_be_skipped_fails(outcomes):
    """The author states which checks may have nothing to check."""
    found = of(outcomes, "test_strict")
    assert found["details-can-be-read"] == "SKIPPED"
    assert found["tool-calls-are-whole"] == "FAILED"
    assert (
        "tool calls are whole was not run, and not_run does not allow that: no recording has a tool call" in outcomes[1]
    )


def test_a_feature_that_is_recorded_needs_no_reason(outcomes):
    """A statement about recordings that is not true fails."""
    assert of(outcomes, "test_reasons")["every-feature-is-recorded"] == "FAILED"
    assert "token counts: recorded; remove it from unrecorded" in outcomes[1]


def test_a_wrong_driver_fails_the_check_alone(outcomes):
    """All other checks are passed or skipped."""
    found = of(outcomes, "test_wrong")
    assert [name for name, state in found.items() if state == "FAILED"] == ["hooks-do-no-io"]
    assert "decode_chunk does I/O (time.sleep)" in outcomes[1]


def test_rows_are_tests_too(outcomes):
    """One test for each row and check."""
    found = of(outcomes, "test_rows")
    assert len(found) == 2 * len(PRESET_CHECKS)
    failed = {name for name, state in found.items() if state == "FAILED"}
    assert failed == {"bad-the-base-url-is-usable", "bad-the-key-has-a-variable"}


# Versions


def test_a_new_check_warns_before_it_counts():
    """A check that the pinned version does not have yet is a warning."""

    def runs(_: Exam) -> bool:
        raise ExamFailed("why")

    exam = prepare(reference, ())
    checks = {"old": Check(runs, "1.0"), "new": Check(runs, "1.1")}
    report = examine(exam, version="1.0", checks=checks)
    assert (report.failed, report.warned) == (("old",), ("new",))


@pytest.mark.parametrize(
    ("stated", "current", "pinned"),
    [
        (None, (1, 0), (1, 0)),
        (None, (1, 1), (1, 0)),
        (None, (1, 4), (1, 3)),
        (None, (2, 0), (2, 0)),
        ("1.1", (1, 1), (1, 1)),
        ("1.0", (1, 9), (1, 0)),
    ],
)
def test_version_that_counts(stated, current, pinned):
    """By default a check of the installed minor version warns; a pin is taken as it is."""
    assert pinned_version(stated, current) == pinned
    assert counts("1.0", pinned)


@pytest.mark.parametrize("stated", ["1.2", "0.9", "1", "latest"])
def test_a_version_that_does_not_exist_is_refused(stated):
    """The message has the versions that there are."""
    with pytest.raises(ValueError, match=rf"no version '{stated}' of the exam; the versions are 1\.0 to 1\.1"):
        pinned_version(stated, (1, 1))


def test_warnings_of_new_checks_are_emitted(monkeypatch):
    """`check_driver` emits them, and does not fail."""

    def runs(_: Exam) -> bool:
        raise ExamFailed("why")

    monkeypatch.setitem(CHECKS, "new", Check(runs, "9.9"))
    with pytest.warns(ExamWarning, match="new: why"):
        assert "new" in check_driver(reference, (), **{**ARGUMENTS, "models": ()}).warned


# What the exam states in its own words

WRONG = {
    "a generator": (lambda chunk, state: (each for each in ()), "a generator or another iterator"),
    "None": (lambda chunk, state: None, "None, as a function does that has no return statement,"),
    "a dict": (lambda chunk, state: {}, "a value of type dict"),
    "text": (lambda chunk, state: "text", "a value of type str"),
    "other objects": (lambda chunk, state: [1], "a value of type int among its events"),
}


async def _decode_later(chunk, state):
    return []


WRONG["a coroutine"] = (_decode_later, "a coroutine, because it is an async function,")


@pytest.mark.parametrize(("hook", "why"), WRONG.values(), ids=WRONG)
def test_wrong_return_types_are_named(hook, why):
    """The message has the hook, what it returned, and what to return."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a coroutine that other checks do not await
        report = report_on(mutants.driver(decode_chunk=hook), SINGLE)
        gc.collect()
    (result,) = (each for each in report.results if each.name == "hooks return what they should")
    assert result.why.startswith(f"decode_chunk returned {why}")


def test_a_driver_that_exits_is_a_failure():
    """`SystemExit` does not end the exam."""

    def encode_request(connection, request):
        sys.exit("no")

    report = report_on(mutants.driver(encode_request=encode_request))
    assert "the driver raised SystemExit: no" in {result.why for result in report.results}


@pytest.mark.parametrize(
    ("expect", "why"),
    [
        ({"contnet": "x"}, "expect has no 'contnet'; did you mean 'content'?"),
        ({"content": "x"}, "content is 'Hello, garden.' and not 'x'"),
        ({"usage": {"output_tokens": 1}}, "usage is {'output_tokens': 12} and not {'output_tokens': 1}"),
        ({"tool_calls": [("sum", {})]}, "tool_calls is [] and not [('sum', {})]"),
        ({"error": "RateLimited"}, "error is None and not 'RateLimited'"),
    ],
)
def test_values_that_a_recording_states_are_compared(expect, why):
    """The message has both values, and misspelt names are refused."""
    report = report_on(recordings=[Recording(name="a text", body=TEXT, expect=expect)])
    (result,) = (each for each in report.results if each.state == "failed")
    assert (result.name, why in result.why) == ("recordings decode to what they state", True)


def test_the_body_that_was_sent_is_compared():
    """The message names the fields that differ."""
    recording = Recording(name="a text", body=TEXT, sent={**SENT, "mood": "glad"})
    (result,) = (each for each in report_on(recordings=[recording]).results if each.state == "failed")
    assert "differs from what was sent in mood" in result.why


def test_no_network_is_reached():
    """`authorize` is run, and a connection that it opens is refused."""
    import socket

    with no_network(), pytest.raises(ConnectionRefusedError, match="no network"):
        socket.create_connection(("127.0.0.1", 9))


def test_authorize_that_needs_the_network_is_not_run():
    """The report has the reason."""
    import socket

    def authorize(connection, wire):
        socket.create_connection(("127.0.0.1", 9))
        return wire

    report = report_on(mutants.driver(authorize=authorize))
    assert report.hooks["authorize"].startswith("not run: it raises ConnectionRefusedError")
    assert report.failed == ()


# Presets

ROW = Preset(driver="openai", base_url="https://api.example.com/v1", api_key_env="EXAMPLE_API_KEY", model="example-1")


def failures(name="example", row=ROW, **drivers):
    """Return the checks that a row fails, with the reasons."""
    report = examine_preset(prepare_preset(name, row, drivers=drivers))
    return {result.name: result.why for result in report.results if result.state == "failed"}


def changed(**fields):
    return Preset(**{**{name: getattr(ROW, name) for name in ROW.__struct_fields__}, **fields})


def test_sound_row_passes():
    """With the facts of its driver."""
    assert failures(row=changed(facts={"token_limit": "max_tokens"})) == {}
    assert check_preset("example", ROW).passed


@pytest.mark.parametrize(
    ("row", "check", "why"),
    [
        (changed(driver="opnai"), "the driver is installed", "no driver 'opnai' is installed; did you mean 'openai'?"),
        (changed(base_url="http://api.example.com/v1"), "the base url is usable", "plain http exposes the key"),
        (changed(base_url="https://api.example.com/v1/"), "the base url is usable", "ends with a slash"),
        (changed(base_url="https://api.example.com/v1?a=1"), "the base url is usable", "more than a host and a path"),
        (changed(api_key_env="example key"), "the key has a variable", "is no name of a variable"),
        (changed(auth_header="x key"), "the header of the key can be sent", "cannot"),
        (changed(facts={"token_limt": "x"}), "the driver knows the facts", "Did you mean 'token_limit'"),
        (changed(facts={"token_limit": 3}), "the driver knows the facts", "token_limit"),
    ],
)
def test_fault_of_a_row_is_named(row, check, why):
    """Each fault fails the check that is named after it."""
    found = failures(row=row)
    assert check in found
    assert why in found[check]


def test_name_of_a_row_is_checked():
    """It may be written before a slash, in a file and on a command line."""
    assert "the row is a preset" in failures(name="My Provider/1")


def test_driver_that_ignores_facts_is_named():
    """A misspelt fact would have no effect."""
    found = failures(row=changed(driver="reference", facts={"x": 1}), reference=reference)
    assert "ignores unknown facts" in found["misspelt facts are rejected"]


def test_failed_row_raises():
    """`check_preset` lists the failed checks."""
    with pytest.raises(ExamFailed, match=r"The preset 'example' did not pass:\n- the base url"):
        check_preset("example", changed(base_url="http://a.example"))


def test_reference_driver_is_bound_to_any_connection():
    """The module is a driver like any other."""
    module = types.SimpleNamespace(
        **{name: hookimpl(getattr(reference, name)) for name in ("encode_request", "decode_chunk", "extract_usage")}
    )
    report = check_driver(module, RECORDINGS, connection=Connection(name="r", driver="reference", model="m-1"))
    assert set(report.hooks) == {"encode_request", "decode_chunk", "extract_usage"}
