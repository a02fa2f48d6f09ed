"""Keys are absent from everything that a failed call leaves behind."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest

from polyglot_core import Outcome, PolyglotError
from polyglot_simulator import Cut, Drop, ErrorEvent, Garbage, Reset, Stall, Status

from .secrecy import texts_of

pytestmark = pytest.mark.http

KEY = "key-that-nobody-may-see"
HEADER = "value-that-nobody-may-see"
FAILURES = {
    "truncated": Cut(after_events=3),
    "dropped": Drop(after_events=3),
    "dropped before headers": Drop(before_headers=True),
    "reset": Reset(after_events=3),
    "reset before headers": Reset(before_headers=True),
    "stalled": Stall(after_events=3),
    "stalled before": Stall(after_events=0),
    "stalled before headers": Stall(before_headers=True),
    "unreadable": Garbage(after_events=3),
    "error event": ErrorEvent(after_events=3),
    "refused": Status(401),
    "limited": Status(429),
    "page": Status(200, "<p>Sorry", content_type="text/html"),
    "redirected": Status(302, "", headers={"location": "http://127.0.0.1:1/"}),
    "not HTTP": None,
}


def failed(call):
    """Return the error of a call as its user catches it, with its traceback."""
    with pytest.raises(PolyglotError) as raised:
        call.read()
    return raised.value


@pytest.fixture(params=FAILURES.values(), ids=FAILURES)
def connection(request, simulate):
    """Return a connection with a key, to a provider that fails."""
    made = simulate(fault=request.param).connection
    if request.param is None:
        made = made.with_changes(base_url="http://127.0.0.1:1/v1")  # an unused port
    return made.with_changes(api_key=KEY, headers={"x-other": HEADER})


def test_errors_do_not_contain_key(connection, call_to, caplog):
    """Check texts, tracebacks with local variables, pickles and logs of a failure and of its causes for the key."""
    caplog.set_level(logging.DEBUG)
    call = call_to(connection, timeouts={"idle": 0.2, "first": 0.4})
    error = failed(call)
    assert KEY not in "".join(texts_of(error))
    assert KEY not in repr(call.pending) + repr(call.pending.stream()) + repr(call.pending.request)
    assert KEY not in caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    assert KEY not in str(connection) + repr(connection)


def test_errors_survive_copy_and_pickle(connection, call_to):
    """Keep the class, the attributes and the partial response of an error across copy and pickle."""
    error = failed(call_to(connection, timeouts={"idle": 0.2, "first": 0.4}))
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 (our own)
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.__dict__ == error.__dict__
        assert twin.partial.outcome in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.TRUNCATED}


def test_key_is_sent(simulate, call_to):
    """Check that the key is really sent, so that its absence above is meaningful."""
    simulator = simulate()
    connection = simulator.connection.with_changes(api_key=KEY, headers={"x-other": HEADER})
    call_to(connection).read()
    headers = simulator.requests[0].headers
    assert (headers["authorization"], headers["x-other"]) == (f"Bearer {KEY}", HEADER)
