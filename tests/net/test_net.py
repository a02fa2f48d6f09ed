"""Records are equal from run to run, and a comparison tells a changed fact from a changed text or name."""

from __future__ import annotations

import json

import pytest

from polyglot_simulator import Cut

from ..conformance.corpus import Exchange
from ..faults.playing import answers, simulated
from .cases import case_record, scripts
from .comparing import Renames, compare_records
from .exchanges import STYLES, exchange_records
from .records import Key, Record, read_records, write_records
from .rows import scenario_record, without_varying
from .values import error_of, kinds_of, neutral

HEADERS = (("content-type", "text/event-stream"),)


def chunk(finish=None, **delta):
    """Return an event of a chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode() + b"\n\n"


WHOLE = Exchange("here/openai-chat/whole.json", "openai-chat", 200, HEADERS, chunk(content="One") + chunk("stop"), True)
BROKEN = Exchange("here/openai-chat/cut.json", "openai-chat", 200, HEADERS, chunk(content="One"), True)
PARTIALS = [{"raw": len(chunk(content="One")) - len(b"data: \n\n"), "choice": 0, "content_delta": "One"}]


def small_records():
    """Record two exchanges and a fault in both styles."""
    fault = simulated(0, "cut", "", answers(), Cut(after_events=3, times=1), again=1, stream=True)
    for style in STYLES:
        yield from exchange_records([WHOLE, BROKEN], style)
        yield scenario_record("row", fault, style)


@pytest.fixture(scope="module")
def recorded():
    """Return the records of one run."""
    return list(small_records())


def test_two_runs_give_the_same_bytes(recorded, tmp_path):
    """Two runs over the same code write files that are equal byte by byte, whose comparison is empty."""
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    counts = [
        write_records(records, file) for records, file in zip((reversed(recorded), small_records()), files, strict=True)
    ]
    assert counts == [6, 6]
    assert files[0].read_bytes() == files[1].read_bytes()
    found = compare_records(*map(read_records, files))
    assert (found.same, found.equal, found.texts) == (True, 6, {})


@pytest.mark.parametrize("style", STYLES)
def test_an_exchange_is_recorded_with_partials_response_and_error(recorded, style):
    """A record holds the partials, the response or what there is of it, the error's class and the kinds of events."""
    by_name = {record.key.name: record.facts for record in recorded if record.key.style == style}
    whole, cut = by_name[WHOLE.path], by_name[BROKEN.path]
    assert (whole["response"]["outcome"], whole["error"], whole["raised"]) == ("finished", None, False)
    assert whole["partials"] == [*PARTIALS, {"raw": 0, "choice": 0, "finish_reason": "stop"}]
    assert whole["events"][-1][0] == "Finish"
    assert (cut["response"]["outcome"], cut["error"]["class"], cut["error"]["retryable"]) == (
        "truncated",
        "Truncated",
        True,
    )
    assert cut["partials"] == PARTIALS
    assert cut["error_of_events"]["class"] == "Truncated"


def test_a_row_is_recorded_with_what_servers_saw(recorded):
    """A scenario's record holds whether it is as promised, how its calls ended, and the requests."""
    facts = next(record.facts for record in recorded if record.key.kind == "row")
    assert facts["as_promised"] is False
    assert [ended["error"]["class"] for ended in facts["ended"]] == ["Truncated"]
    assert [request["body"]["messages"] for server in facts["requests"] for request in server] == [
        [{"role": "user", "content": "Hello"}]
    ]


def planted(records, **changed):
    """Return the records with the first one changed."""
    return [records[0]._replace(**changed), *records[1:]]


def test_a_changed_fact_is_a_difference(recorded):
    """A fact that differs is listed with its record, its path and both values."""
    facts = {**recorded[0].facts, "raised": True}
    found = compare_records(recorded, planted(recorded, facts=facts))
    assert not found.same
    assert [(each.key, each.field, each.old, each.new) for each in found.facts] == [
        (recorded[0].key, "raised", False, True)
    ]
    assert "raised: False -> True" in found.report(listed=5, texts=0)


def test_a_changed_text_is_texts_only(recorded):
    """A text that differs is counted apart, and the comparison holds."""
    found = compare_records(planted(recorded, texts=["before"]), planted(recorded, texts=["after"]))
    assert (found.same, found.equal) == (True, 5)
    assert found.texts == {recorded[0].key: [("before", "after")]}
    assert found.report(0, 0).startswith("equal 5, texts only 1, facts differ 0")
    assert "1 x  'before'" in found.report(0, 5)


def test_a_missing_record_is_a_difference(recorded):
    """A record without a counterpart is listed on its side."""
    assert compare_records(recorded, recorded[1:]).missing == [recorded[0].key]
    assert compare_records(recorded[1:], recorded).added == [recorded[0].key]
    assert not compare_records(recorded, recorded[1:]).same


def test_a_record_under_another_name_is_found_by_its_position(recorded):
    """Records of one group that are left over on both sides, in equal number, are compared in their order."""
    key = recorded[0].key._replace(name="another")
    found = compare_records(recorded, planted(recorded, key=key))
    assert (found.same, found.renamed) == (True, [(recorded[0].key, key)])


OLD = {"seam": {"how": "again", "error": "Truncated", "content": "again"}, "events": [["Seam", 2]]}
NEW = {"resumption": {"how": "retry", "error": "CutOff", "content": "again"}, "events": [["Resumption", 2]]}


def test_renames_apply_to_fields_classes_and_named_values():
    """``old=new`` renames fields and classes, ``field:old=new`` values of one field, and content stays as it is."""
    renames = Renames(["# a comment", "", "seam=resumption", "Seam=Resumption", "Truncated=CutOff", "how:again=retry"])
    assert renames.apply(OLD) == NEW
    key = Key("row", "1", "a")
    old, new = ([Record(key, facts, [])] for facts in (OLD, NEW))
    assert compare_records(old, new, renames).same
    assert not compare_records(old, new).same
    assert compare_records(old, new, ignored={"seam", "resumption", "events"}).same


def test_a_rename_without_a_new_name_is_refused():
    """A rename that is not of the form is an error, and is not skipped."""
    with pytest.raises(ValueError, match="neither old=new"):
        Renames(["seam"])


def test_what_varies_is_left_out():
    """Ports and addresses in texts are neutral, and a row is recorded without the fields that vary in it."""
    assert neutral("to 127.0.0.1:4711 by <x at 0x7f0012345678>") == "to 127.0.0.1:PORT by <x at 0xADDRESS>"
    record = Record(
        Key("row", "50", "total", "sync"), {"as_promised": True, "ended": [{"partials": [1], "error": None}]}, []
    )
    assert without_varying(record).facts == {"as_promised": True, "ended": [{"error": None}]}
    assert without_varying(record._replace(key=Key("row", "51", "total"))).facts == record.facts


def test_values_are_plain():
    """An error is its class and its public attributes, and events are runs of their classes."""
    error = TimeoutError("late")
    error.add_note("a note")
    assert error_of(error) == ({"class": "TimeoutError", "cause": None}, ["late", "a note"])
    assert kinds_of([1, 2, "a", 3]) == [["int", 2], ["str", 1], ["int", 1]]


def test_scripts_are_run_apart(tmp_path):
    """Every script but those with an underscore is run; of those in ``attack`` only the exit code is recorded."""
    (tmp_path / "attack").mkdir()
    for name in ("_kit.py", "case.py", "attack/case.py"):
        (tmp_path / name).write_text("print('seen'); raise SystemExit(3)")
    found = [case_record(script) for script in scripts(tmp_path, attack=True)]
    assert [(each.key.kind, each.facts, each.texts) for each in found] == [
        ("case", {"exit": 3}, ["seen"]),
        ("attack", {"exit": 3}, []),
    ]
    assert [script.name for script in scripts(tmp_path)] == ["case.py"]
