"""Objects and events beside a response, in every dialect: those of a vendor change nothing, an error fails it."""

from __future__ import annotations

import json

import pytest

from polyglot_core import Inference, PolyglotError
from polyglot_simulator import Garbage, Simulator

MESSAGE = "The boiler is cold."

HARMLESS = {
    "a heartbeat with a text": {"type": "heartbeat", "message": "still working"},
    "a warning": {"type": "warning", "message": "This model is old."},
    "a log line": {"level": "info", "message": "Loaded."},
    "a success": {"success": True, "message": "ok"},
    "a code for success": {"code": 0, "msg": "success"},
    "a status of success": {"code": 200, "message": "working"},
    "a state": {"status": "running", "message": "working"},
    "an object of its own": {"object": "garden.progress", "message": "50 %"},
    "an empty error": {"error": False, "id": "1"},
    "no errors": {"errors": []},
}
FAILURES = {
    "an envelope": {"data": {"error": {"message": MESSAGE}}},
    "a capital": {"Error": {"Message": MESSAGE}},
    "a short name": {"err": MESSAGE},
    "a fault": {"fault": {"faultstring": MESSAGE}},
    "a problem": {"type": "about:blank", "status": 500, "detail": MESSAGE},
    "JSON within a text": json.dumps({"error": {"message": MESSAGE}}),
    "no success": {"success": False, "message": MESSAGE},
    "a result": {"base_resp": {"status_code": 1001, "status_msg": MESSAGE}},
}
DRIVERS = ("openai", "azure-openai", "openai-responses", "anthropic", "gemini", "vertex", "cohere", "mistral", "ollama")


def ask(driver, value, events):
    """Return the response to a request, or its error, with `value` in the stream after some events."""
    data = json.dumps(value).encode()
    block = data + b"\n" if driver == "ollama" else b"data: " + data + b"\n\n"
    with Simulator("Low tide.", fault=Garbage(after_events=events, data=block)) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        try:
            return inference.create("Hi", stream=True, retries=0).response()
        except PolyglotError as error:
            return error


@pytest.mark.parametrize("events", [0, 2])
@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_object_of_a_vendor_changes_nothing(driver, value, events):
    """Check that a good response is not broken by it, first or in the middle."""
    response = ask(driver, value, events)
    assert not isinstance(response, PolyglotError), response
    assert (response.content, response.outcome) == ("Low tide.", "finished")


@pytest.mark.parametrize("events", [0, 2])
@pytest.mark.parametrize("value", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("driver", DRIVERS)
def test_error_in_any_spelling_fails(driver, value, events):
    """Check that the response does not finish although its end follows, and that the error has the server's text."""
    error = ask(driver, value, events)
    assert isinstance(error, PolyglotError)
    assert MESSAGE in str(error)
