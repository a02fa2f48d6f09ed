"""Events that report a failure in another form than the dialect's."""

from __future__ import annotations

import pytest

from polyglot_core._wire.error_events import is_error_name, is_keep_alive, named_failure, stated_failure, suspicion
from polyglot_core._wire.messages import Chunk

CERTAIN = {
    b'{"error": {"message": "No.", "code": "x"}}': ("No.", "x"),
    b'{"error": "No."}': ("No.", None),
    b'{"errors": [{"message": "No."}]}': ("No.", None),
    b'{"message": "No."}': ("No.", None),
    b'{"Message": "No."}': ("No.", None),
    b'{"msg": "No.", "code": 7}': ("No.", "7"),
    b'{"detail": "No."}': ("No.", None),
    b'{"detail": [{"msg": "No."}]}': ("No.", None),
    b'{"error_code": 17, "error_msg": "No."}': ("No.", "17"),
    b'{"errorMessage": "No.", "errorCode": "E1"}': ("No.", "E1"),
    b'{"object": "error", "message": "No."}': ("No.", None),
    b'{"type": "error", "message": "No."}': ("No.", None),
    b'{"type": "invalid_request_error", "message": "No."}': ("No.", None),
    b'{"status": "error", "message": "No."}': ("No.", None),
    b'{"success": false, "message": "No."}': ("No.", None),
    b'{"choices": [], "error": "No."}': ("No.", None),
    b'{"status": 500, "message": "No."}': ("No.", None),
    b'{"type": "about:blank", "title": "Bad", "status": 500, "detail": "No."}': ("No.", None),
    b'{"detail": {"message": "No."}}': ("No.", None),
    b'{"Error": {"Code": "x", "Message": "No."}}': ("No.", "x"),
    b'{"Error": "No."}': ("No.", None),
    b'{"err": "No."}': ("No.", None),
    b'{"err": {"message": "No."}}': ("No.", None),
    b'{"exception": "No."}': ("No.", None),
    b'{"fault": {"faultstring": "No."}}': ("No.", None),
    b'{"errno": 7, "errmsg": "No."}': ("No.", "7"),
    b'{"base_resp": {"status_code": 1001, "status_msg": "No."}}': ("No.", "1001"),
    b'{"data": {"error": {"message": "No."}}}': ("No.", None),
    b'{"response": {"error": {"message": "No."}}}': ("No.", None),
    b'{"result": {"error": "No."}, "success": false}': ("No.", None),
    b'"{\\"error\\": \\"No.\\"}"': ("No.", None),
    b'{"error": {}}': ('{"error":{}}', None),
    b'{"error": ""}': ('{"error":""}', None),
}


@pytest.mark.parametrize("data", CERTAIN)
@pytest.mark.parametrize("name", [None, "message", "data"])
def test_objects_that_are_an_error(data, name):
    """Check that an object without content is an error, with the provider's words and code."""
    found = suspicion(Chunk(data, data, event=name))
    assert found.degree == "certain"
    assert (found.failure.message, found.failure.code) == CERTAIN[data]


@pytest.mark.parametrize("data", CERTAIN)
def test_objects_of_a_vendors_event(data):
    """Check that an object in an event of an unknown name is an error only if no finish is received."""
    assert suspicion(Chunk(data, data, event="garden.progress")).degree == "possible"


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"null",
        b"[]",
        b'"error"',
        b"no JSON",
        b'{"error": null}',
        b'{"error": "", "id": "1"}',
        b'{"error": false, "message": ""}',
        b'{"error": {}, "usage": {"input_tokens": 1}}',
        b'{"errno": 0, "errmsg": "ok"}',
        b'{"base_resp": {"status_code": 0, "status_msg": "success"}}',
        b'{"data": {"choices": [{"text": "a"}], "error": "No."}}',
        b'{"response": {"error": null, "message": "a"}}',
        b'{"status": 200, "message": "working"}',
        b'{"detail": {"progress": 7}}',
        b'"\\"message\\""',
        b'{"code": 0, "message": "done"}',
        b'{"code": 200, "message": "working"}',
        b'{"code": "success", "message": "working"}',
        b'{"message": "ping"}',
        b'{"message": {"content": "text"}}',
        b'{"choices": [{"delta": {}}], "message": "No."}',
        b'{"content": "text", "error": "No."}',
        b'{"usage": {"input_tokens": 1}}',
    ],
)
def test_objects_that_are_no_error(data):
    """Check that content, success, a keep-alive and an empty field are no error."""
    assert suspicion(Chunk(data, data)) is None


def test_object_with_a_type_of_its_own():
    """Check that a message of a type that names no error is an error only if no finish is received."""
    data = b'{"type": "progress", "message": "50 %"}'
    assert suspicion(Chunk(data, data)).degree == "possible"
    assert stated_failure(Chunk(data, data)) is None


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [(b'{"message": "No."}', None, "No."), (b"No.", "stream.error", "No."), (b'{"error": "No."}', "tool_error", None)],
)
def test_stated_failures(data, name, message):
    """Check that a certain error is one, and that of a vendor's event is none."""
    found = stated_failure(Chunk(data, data, event=name))
    assert (found and found.message) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"error": {"message": "No."}}', "No."),
        (b'{"message": "No."}', "No."),
        (b'{"code": 1}', '{"code":1}'),
        (b'"No."', "No."),
        (b"No.", "No."),
        (b"", ""),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_events_named_an_error(data, message):
    """Check that whatever the data, it is a failure."""
    assert named_failure(data).message == message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("error", "Error", " error", "exception", "stream_error", "response.error")),
        *((name, True) for name in ("rate_limit_error", "invalid_request_error", "overloaded_error")),
        *((name, True) for name in ("error_event", "streamError", "ERROR", "failed", "generation.failed", "api-error")),
        *(
            (name, False)
            for name in (None, "", "message", "tool_error", "guard.error", "errors7", "mirror", "run.failed")
        ),
    ],
)
def test_names_of_errors(name, expected):
    """Check that only a name that means the response is an error."""
    assert is_error_name(name) is expected


@pytest.mark.parametrize(
    ("data", "expected"), [(b"ping", True), (b" : Keep-Alive ", True), (b"OK", True), (b"", False), (b"Roses", False)]
)
def test_words_of_keep_alives(data, expected):
    """Check the words that servers send to keep a connection open."""
    assert is_keep_alive(data) is expected
