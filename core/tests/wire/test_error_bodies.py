"""The facts of error bodies of many shapes: class, message, wait, and whether a retry may succeed."""

from __future__ import annotations

import json
import math
import pickle
from time import perf_counter

import pytest

from polyglot_core._values.secret import Secret
from polyglot_core._wire.messages import WireResponse
from polyglot_core._wire.provider_errors import failure_from_response, kept_body, provider_error
from polyglot_core.errors import (
    AuthenticationError,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
)

pytestmark = pytest.mark.http


def inner(message="The picture is too wide.", **fields):
    """Return an error object of a provider behind a gateway."""
    return {"error": {"message": message, **fields}}


def read(body, status=400, headers=()):
    """Return the error for a response with this body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return provider_error(failure_from_response(WireResponse(status=status, headers=dict(headers), body=raw)))


TOO_WIDE = "The picture is too wide."
NESTED = {
    "raw text": {"error": {"message": "Upstream failed", "metadata": {"raw": TOO_WIDE}}},
    "raw JSON": {"error": {"message": "Upstream failed", "metadata": {"raw": json.dumps(inner())}}},
    "raw object": {"error": {"message": "Upstream failed", "metadata": {"raw": inner()}}},
    "message is JSON": {"error": {"message": json.dumps(inner())}},
    "message ends with JSON": {"error": {"message": f"Gateway: 400: {json.dumps(inner())}"}},
    "message is JSON twice": {"error": {"message": json.dumps({"error": {"message": json.dumps(inner())}})}},
    "bytes in a message": {"message": f"Gateway - b'{json.dumps(inner())}'"},
    "repr in a message": {"message": f"Error code: 400 - {inner()!r}"},
    "repr with quotes": {"message": "Error: " + repr(inner(TOO_WIDE + ' It isn\'t "small".', param=None))},
    "escaped JSON in a message": {"message": "Gateway: " + json.dumps(json.dumps(inner()))[1:-1]},
    "plain text with JSON": f"bad gateway: {json.dumps(inner())}".encode(),
    "error is JSON": {"error": json.dumps(inner())},
    "failed_generation": {"error": {"message": "No call was made.", "failed_generation": TOO_WIDE}},
    "details list": {"error": {"message": "Invalid", "details": [{"reason": "SIZE", "message": TOO_WIDE}]}},
    "details text": {"error": {"message": "Invalid", "details": TOO_WIDE}},
    "violations": {
        "error": {"message": "Invalid", "details": [{"fieldViolations": [{"field": "image", "description": TOO_WIDE}]}]}
    },
    "error.errors": {"error": {"message": "Invalid", "errors": [{"message": TOO_WIDE}]}},
    "errors": {"errors": [{"message": TOO_WIDE}]},
    "cause": {"message": "Invalid", "cause": {"message": TOO_WIDE}},
    "cause of a cause": {"message": "Invalid", "cause": {"cause": inner()}},
    "inner_error": {"error": {"message": "Invalid", "inner_error": {"message": TOO_WIDE}}},
    "innererror": {"error": {"message": "Invalid", "innererror": {"code": "Size", "message": TOO_WIDE}}},
    "validation": {"detail": [{"loc": ["body", "image"], "msg": TOO_WIDE, "type": "value_error"}]},
    "detail object": {"detail": {"message": TOO_WIDE}},
    "detail error": {"detail": inner()},
    "error.error": {"error": inner()},
    "body": {"message": "Upstream failed", "body": json.dumps(inner())},
    "response": {"message": "Upstream failed", "response": {"data": inner()}},
    "list": [inner()],
    "error beside message": {"error": "Bad Request", "message": TOO_WIDE, "status": 400},
    "capital Message": {"Message": TOO_WIDE},
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_nested_reason_is_in_the_message(body):
    """Check that the most specific text is in the message, and that the class is unchanged by it."""
    error = read(body)
    assert TOO_WIDE.rstrip(".") in error.message
    assert "{" not in error.message
    assert type(error) is InvalidRequest


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (NESTED["raw JSON"], "Upstream failed: The picture is too wide."),
        ({"error": {"message": "Failed.", "metadata": {"raw": "No.", "provider_name": "Rose"}}}, "Failed: Rose: No."),
        ({"detail": [{"loc": ["body", "a", 0], "msg": "Missing"}, {"msg": "Wrong"}]}, "body.a.0: Missing; Wrong"),
        ({"error": {"message": "Twice the same", "errors": [{"message": "Twice the same"}]}}, "Twice the same"),
        ({"error": {"message": 'Expected {"type": "object"} here'}}, 'Expected {"type": "object"} here'),
        ({"message": 'Bad value: {"message": "a", "role": "b"}'}, 'Bad value: {"message": "a", "role": "b"}'),
        (
            {"message": "Bad schema {'properties': {'error': {'type': 'string'}}} of x"},
            "Bad schema {'properties': {'error': {'type': 'string'}}} of x",
        ),
        ({"message": "Bad schema {'error': {'type': 'string'}}"}, "Bad schema {'error': {'type': 'string'}}"),
        ({"message": 'Gateway: {"message": "No"}'}, "Gateway: No"),
        ({"message": 'Gateway: {"detail": [{"loc": ["body", "a"], "msg": "No"}]}'}, "Gateway: body.a: No"),
        ({"error": {"message": "x" * 300 + " outside", "cause": "inside"}}, "x" * 199 + "…: inside"),
        ({"message": f"{json.dumps(inner('No'))}. Tried: one"}, "No; Tried: one"),
    ],
)
def test_message_of_nested_reasons(body, message):
    """Check how the texts are joined: the outer one in front, each once, JSON that is no error unchanged."""
    assert read(body).message == message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"detail": [{"loc": ["body", "top_k"], "msg": "Too large"}]}, (None, "body.top_k")),
        (NESTED["violations"], (None, "image")),
        ({"error": {"message": "x", "code": 400, "metadata": {"raw": json.dumps(inner(code="rate_limited"))}}}, ("rate_limited", None)),
        ({"error": {"message": "x", "code": 400, "metadata": {"raw": json.dumps(inner(code="odd"))}}}, ("odd", None)),
        ({"error": {"message": "x", "type": "invalid_request_error", "cause": inner(code="odd")}}, ("invalid_request_error", None)),
        ({"error": {"message": "x", "type": "rate_limit_error", "cause": inner(type="insufficient_quota")}}, ("insufficient_quota", None)),
        ({"error": "rate_limit_exceeded", "message": "x"}, ("rate_limit_exceeded", None)),
        ({"error": {"message": "x", "details": [{"reason": "API_KEY_INVALID"}], "status": "INVALID_ARGUMENT"}}, ("API_KEY_INVALID", None)),
    ],
)  # fmt: skip
def test_code_and_param_of_nested_reasons(body, expected):
    """Check that the most specific code counts, and that the place in the request is the parameter."""
    error = read(body)
    assert (error.code, error.param) == expected


CLASSES = {
    # an exhausted account, by code and in words
    "quota type": (429, {"type": "exceeded_current_quota_error", "message": "Suspended"}, QuotaExceeded),
    "quota number": (429, {"code": "1113", "message": "Please pay."}, QuotaExceeded),
    "balance": (429, {"message": "Insufficient balance or no resource package."}, QuotaExceeded),
    "credit balance": (400, {"message": "Your credit balance is too low."}, QuotaExceeded),
    "credits": (403, {"message": "You have run out of credits."}, QuotaExceeded),
    "more credits": (402, {"message": "This request requires more credits."}, QuotaExceeded),
    "budget": (400, {"message": "Budget has been exceeded! Current cost: 2, max budget: 1"}, QuotaExceeded),
    "budget code": (400, {"type": "budget_exceeded", "message": "No"}, QuotaExceeded),
    "billing": (429, {"message": "You exceeded your current quota, please check your plan and billing"}, QuotaExceeded),
    "spending": (429, {"message": "You have reached your monthly spending limit."}, QuotaExceeded),
    "arrears": (400, {"code": "Arrearage", "message": "Access denied"}, QuotaExceeded),
    "quota nested": (429, {"message": "Failed", "metadata": {"raw": json.dumps(inner(code="insufficient_quota"))}}, QuotaExceeded),
    # a prompt that is too long, in words
    "context length": (400, {"message": "This model's maximum context length is 8 tokens."}, ContextLengthExceeded),
    "context of only": (400, {"message": "The model is loaded with context length of only 9 tokens."}, ContextLengthExceeded),
    "prompt": (413, {"message": "Prompt is too long"}, ContextLengthExceeded),
    "prompt with numbers": (400, {"message": "prompt is too long: 9 tokens > 8 maximum"}, ContextLengthExceeded),
    "too many tokens": (422, {"message": "Too many tokens: 9 of 8"}, ContextLengthExceeded),
    "window": (400, {"message": "Your input exceeds the context window of this model."}, ContextLengthExceeded),
    "token count": (400, {"message": "The input token count (9) exceeds the limit of 8"}, ContextLengthExceeded),
    "most tokens": (400, {"message": "It exceeds the maximum number of tokens allowed (8)."}, ContextLengthExceeded),
    "context size": (400, {"message": "the request exceeds the available context size"}, ContextLengthExceeded),
    "longer than": (400, {"message": "The input (9 tokens) is longer than the model's context length"}, ContextLengthExceeded),
    "model limit": (400, {"message": "Your request exceeded model token limit: 8"}, ContextLengthExceeded),
    "prompt length": (400, {"message": "This model's maximum prompt length is 8"}, ContextLengthExceeded),
    "exception": (400, {"message": "proxy.ContextWindowExceededError: proxy.BadRequestError: No"}, ContextLengthExceeded),
    "limit reached": (413, {"code": "tokens_limit_reached", "message": "Too large"}, ContextLengthExceeded),
    "context nested": (400, {"message": "Failed", "code": 400, "metadata": {"raw": json.dumps(inner(code="context_length_exceeded"))}}, ContextLengthExceeded),
    # an overloaded server
    "server overloaded": (500, {"code": "server_is_overloaded", "message": "x"}, Overloaded),
    "slow down": (503, {"code": "slow_down", "message": "x"}, Overloaded),
    "slow down 400": (400, {"code": "slow_down", "message": "x"}, Overloaded),
    "engine overloaded": (429, {"type": "engine_overloaded_error", "message": "x"}, Overloaded),
    "model overloaded": (400, {"code": "model_overloaded", "message": "x"}, Overloaded),
    "overloaded in words": (500, {"message": "The model is overloaded."}, Overloaded),
    "busy": (500, {"message": "System is too busy now."}, Overloaded),
    "timeout": (400, {"type": "timeout_error", "message": "x"}, ServerError),
    "overloaded 400": (400, {"message": "The engine is currently overloaded, try again later"}, Overloaded),
    "usage limit": (429, {"message": "Usage limit reached for 5 hours"}, QuotaExceeded),
    # a key, a model, a rate
    "bad key": (400, {"message": "API key not valid. Please pass a valid one."}, AuthenticationError),
    "wrong key": (403, {"message": "Incorrect API key provided: k***"}, AuthenticationError),
    "key exception": (500, {"message": "proxy.AuthenticationError: No"}, AuthenticationError),
    "key type": (400, {"type": "auth_error", "message": "x"}, AuthenticationError),
    "no model": (400, {"message": "The model `rose-9` does not exist or you lack access to it."}, NotFound),
    "invalid model": (400, {"message": "rose/9 is not a valid model ID"}, NotFound),
    "model exception": (500, {"message": "proxy.NotFoundError: No"}, NotFound),
    "model code": (400, {"code": "model_not_found", "message": "x"}, NotFound),
    "rate exception": (500, {"message": "proxy.RateLimitError: RoseException - No"}, RateLimited),
    "rate in words": (400, {"message": "Rate limit exceeded"}, RateLimited),
    "rate number": (502, {"code": 502, "message": "x", "metadata": {"raw": json.dumps(inner(code=429))}}, RateLimited),
    # and these are what they seem
    "plain 429": (429, {"message": "Slow, please."}, RateLimited),
    "tokens per minute": (429, {"message": "Request too large: too many tokens per minute (TPM): limit 8"}, RateLimited),
    "tokens per minute 413": (413, {"code": "rate_limit_exceeded", "message": "Too large: tokens per minute"}, RateLimited),
    "quota per minute": (429, {"message": "You exceeded your current quota: 8 requests per minute"}, RateLimited),
    "quota with a wait": (429, {"message": "You exceeded your current quota. Please retry in 20.3s."}, RateLimited),
    "max_tokens": (400, {"message": "max_tokens is too large: 9. This model supports at most 8 completion tokens"}, InvalidRequest),
    "output tokens": (400, {"message": "max_tokens: 9 > 8, which is the maximum allowed number of output tokens"}, InvalidRequest),
    "thinking budget": (400, {"message": "The thinking budget exceeded the maximum of 8"}, InvalidRequest),
    "budget field": (400, {"message": "budget_tokens must be less than max_tokens"}, InvalidRequest),
    "billing field": (400, {"message": 'Unknown name "billing": cannot find field'}, InvalidRequest),
    "payment field": (400, {"message": "tools.0.payment is required"}, InvalidRequest),
    "overloaded tool": (400, {"message": "Function 'overloaded' has no parameters"}, InvalidRequest),
    "no tools": (400, {"message": "The model rose-9 does not support tools"}, InvalidRequest),
    "no image": (400, {"message": "The model could not load the image: file not found"}, InvalidRequest),
    "no response": (400, {"message": "Previous response with id 'r-1' not found."}, InvalidRequest),
    "long name": (400, {"message": "Tool name is too long: at most 64 characters"}, InvalidRequest),
    "context field": (400, {"message": "Unknown parameter: 'context_length'"}, InvalidRequest),
    "context word": (400, {"message": "The context of this conversation is invalid"}, InvalidRequest),
    "timeout field": (400, {"message": "timeout must be positive"}, InvalidRequest),
    "exception in a tool": (400, {"message": "Tool 'raise RateLimitError' is not defined"}, InvalidRequest),
    "permission": (403, {"message": "No access to this project"}, PermissionDenied),
    "server error": (500, {"message": "It did not work, please try again"}, ServerError),
    "overflow on 429": (429, {"message": "The prompt is too long for this rate limit"}, RateLimited),
    "overflow on 500": (500, {"message": "The prompt is too long"}, ServerError),
}  # fmt: skip


@pytest.mark.parametrize(("status", "error", "kind"), CLASSES.values(), ids=CLASSES)
def test_class_by_code_and_words(status, error, kind):
    """Check the class of an error by status, code, nested code, and words of its message."""
    found = read({"error": error}, status)
    assert type(found) is kind
    assert found.status == status


UNSTATED = ("context length", "balance", "overloaded in words", "bad key", "no model", "rate in words")


@pytest.mark.parametrize("name", UNSTATED)
def test_words_count_without_a_status(name):
    """Check that the words of an error without a status determine its class."""
    _, error, kind = CLASSES[name]
    assert (
        type(provider_error(failure_from_response(WireResponse(status=0, headers={}, body=json.dumps(error).encode()))))
        is kind
    )


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (408, InvalidRequest, True), (409, InvalidRequest, True), (413, InvalidRequest, False),
        (425, InvalidRequest, True), (499, InvalidRequest, True), (501, ServerError, False),
        (505, ServerError, False), (511, ServerError, False), (526, ServerError, False), (529, Overloaded, True),
        *((status, ServerError, True) for status in (520, 521, 522, 523, 524, 525, 527, 530, 598)),
    ],
)  # fmt: skip
def test_status_of_intermediaries(status, kind, retryable):
    """Check class and retryability of statuses that intermediaries return."""
    found = read(b"error", status)
    assert (type(found), found.retryable) == (kind, retryable)


def test_status_does_not_make_an_exhausted_quota_retryable():
    """Check that 409, which may be retried, is not if the code says that it does not help."""
    assert not read({"error": {"code": "insufficient_quota"}}, 409).retryable
    assert not read({"error": {"code": "rate_limit_exceeded"}}, 413).retryable


WAITS = {
    "RetryInfo": ({"error": {"message": "x", "details": [{"retryDelay": "34s"}]}}, 34),
    "fraction": ({"error": {"message": "x", "details": [{"retryDelay": "1.5s"}]}}, 1.5),
    "delay object": ({"error": {"message": "x", "details": [{"retry_delay": {"seconds": 3, "nanos": 500_000_000}}]}}, 3.5),
    "in 20s": ({"error": {"message": "Please try again in 20s."}}, 20),
    "in 7.66s": ({"error": {"message": "Please try again in 7.66s. Visit us."}}, 7.66),
    "in 1m30s": ({"error": {"message": "try again in 1m30s"}}, 90),
    "in 1h2m3.5s": ({"error": {"message": "try again in 1h2m3.5s"}}, 3723.5),
    "in 6ms": ({"error": {"message": "Please try again in 6ms."}}, 0.006),
    "after 7 seconds": ({"error": {"message": "Please retry after 7 seconds."}}, 7),
    "retry in": ({"error": {"message": "Please retry in 35.2s"}}, 35.2),
    "minutes": ({"message": "Try again in 2 minutes and 5 seconds"}, 125),
    "a minute": ({"message": "Try again in 1 minute."}, 60),
    "please wait": ({"message": "Please wait 4 seconds before the next request"}, 4),
    "resets": ({"message": "The limit resets in 3m"}, 180),
    "text of retry-after": ({"message": "Retry-After: 12"}, 12),
    "retry_after": ({"error": {"message": "x", "retry_after": 12}}, 12),
    "retry_after beside": ({"error": {"message": "x"}, "retry_after": 12}, 12),
    "retry_after text": ({"message": "x", "retry_after": "12.5"}, 12.5),
    "retry_after_ms": ({"message": "x", "retry_after_ms": 1500}, 1.5),
    "retryAfter": ({"message": "x", "retryAfter": 9}, 9),
    "retry_after_seconds": ({"message": "x", "retry_after_seconds": 9}, 9),
    "header in a body": ({"error": {"message": "x", "metadata": {"headers": {"Retry-After": "3"}}}}, 3),
    "loading": ({"error": "The model is loading", "estimated_time": 20.5}, 20.5),
    "nested": ({"error": {"message": "x", "metadata": {"raw": json.dumps(inner("Try again in 8s"))}}}, 8),
    "plain text": (b"Try again in 5 seconds", 5),
    "zero": ({"message": "x", "retry_after": 0}, None),
    "negative": ({"message": "x", "retry_after": -3}, None),
    "true": ({"message": "x", "retry_after": True}, None),
    "list": ({"message": "x", "retry_after": [3]}, None),
    "date": ({"message": "retry after 2031-01-02"}, None),
    "time": ({"message": "retry after 12:30"}, None),
    "underscore": ({"message": "x", "retry_after": "1_0"}, None),
    "other digits": ({"message": "try again in \u0663s", "retry_after": "\u0663"}, None),
    "no unit": ({"message": "try again in 2031"}, None),
    "later": ({"message": "Please try again later. The request took 20s."}, None),
    "took": ({"message": "The upstream timed out after 20 seconds"}, None),
    "huge": ({"message": "x", "retry_after": 10**30}, None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "wait"), WAITS.values(), ids=WAITS)
def test_wait_in_the_body(body, wait):
    """Check the seconds that fields and texts state."""
    assert read(body, 429).retry_after == (None if wait is None else pytest.approx(wait))


def test_wait_in_the_header_takes_precedence():
    """Check that a header overrides the body."""
    assert read({"message": "Try again in 5s"}, 429, {"retry-after": "3"}).retry_after == 3


ODD_BODIES = {
    "nested objects": b'{"error":' * 900 + b"1" + b"}" * 900,
    "nested lists": b"[" * 900 + b"]" * 900,
    "numbers": b'{"error": {"message": 5, "code": 1e400, "status": 1e18, "param": 7}}',
    "wrong types": b'{"error": {"message": ["x"], "code": {}, "type": [], "details": 5, "metadata": "x", "loc": [{}]}}',
    "unclosed repr": b'{"message": "x {\'a\': \'\\\\\\\\"}',
    "nested objects in a text": json.dumps({"message": '{"error":' * 900 + "1" + "}" * 900}).encode(),
    "surrogate": b'{"message": "x {\\"error\\": \\"\\\\ud800\\"}"}',
    "many errors": json.dumps({"errors": [{"message": f"No {number}"} for number in range(999)]}).encode(),
    "nan": b'{"message": "x {\\"retry_after\\": NaN, \\"message\\": \\"y\\"}"}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_odd_bodies_become_errors(body):
    """Check that a body of any shape becomes an error with a printable message and the body."""
    error = read(body)
    assert isinstance(error, ProviderError)
    assert error.message.isprintable()
    assert error.body == body.decode()
    assert error.retry_after is None


GROWING = {
    "brackets": lambda size: b"<" * size,
    "JSON in texts": lambda size: json.dumps(inner('{"error": {"message": "' * (size // 23))).encode(),
    "escaped quotes": lambda size: json.dumps({"message": "{'" + "\\'" * (size // 4)}).encode(),
    "waits": lambda size: b"retry in 1m" * (size // 11),
    "digits": lambda size: b"retry in " + b"1" * size,
    "models": lambda size: b"model model " * (size // 12),
    "exceeds": lambda size: b"exceeds the " * (size // 12),
    "names": lambda size: b"a.b.c.Aaaa" * (size // 10),
    "errors": lambda size: json.dumps({"errors": [{"message": "No"}] * (size // 20)}).encode(),
    "texts": lambda size: json.dumps({"errors": [{"message": "x" * (size // 16)}] * 16}).encode(),
    "key": lambda size: b"a-secret-k" * (size // 10),
    "marks": lambda size: "a-sé…".encode() * (size // 8),
}


@pytest.mark.parametrize("make", GROWING.values(), ids=GROWING)
def test_time_is_linear_in_the_body(make):
    """Check that a body of four times the size takes less than ten times as long, and a large one is read at once."""

    def seconds(size):
        times = []
        for _ in range(3):
            start = perf_counter()
            read(make(size)).redact(Secret("Bearer a-secret-key"))
            times.append(perf_counter() - start)
        return min(times)

    small, large = seconds(15_000), seconds(60_000)
    assert large < 10 * small + 0.1
    assert large < 1.5


def test_body_is_kept():
    """Check that an error keeps its body, also when it is pickled, and does not show it."""
    error = read({"error": {"message": "No", "request": "r-1"}})
    assert json.loads(error.body)["error"]["request"] == "r-1"
    assert "r-1" not in str(error)
    assert pickle.loads(pickle.dumps(error)).body == error.body  # noqa: S301 (our own)


@pytest.mark.parametrize(
    ("raw", "limit", "kept"),
    [
        (b"", 10, None),
        (b"short", 10, "short"),
        (b"x" * 10, 10, "x" * 7 + "…"),
        (b"x" * 99, 10, "x" * 7 + "…"),
        ("ä".encode() * 9, 10, "äää…"),
        (b"\xff" * 9, 20, "\N{REPLACEMENT CHARACTER}" * 5 + "…"),
        (b"x" * 99, 0, None),
    ],
)
def test_kept_body_is_bounded(raw, limit, kept):
    """Check that a body is bounded in bytes, and that what is left out is marked."""
    assert kept_body(raw, limit) == kept
    assert len((kept or "").encode()) <= max(limit, 1)


def test_a_key_cut_off_with_the_body_is_redacted():
    """Check that the start of a key at the end of a truncated body is not kept."""
    secret = Secret("a-secret-key")
    error = provider_error(
        failure_from_response(WireResponse(status=401, headers={}, body=b"x" * 40 + b"a-secret-key")), limit=50
    )
    error.redact(secret)
    assert error.body == "x" * 40 + "***…"
    whole = read({"message": "No", "headers": {"authorization": "a-secret-key"}})
    whole.redact(secret)
    assert "a-secret-key" not in whole.body


def test_an_endless_wait_in_a_body_is_none():
    """Check that a number beyond the range of a float counts in a header, where it prevents a retry, and nowhere else."""
    assert read(b"x", 429, {"retry-after": "9" * 400}).retry_after == math.inf
    assert read({"message": "x", "retry_after": "9" * 400}, 429).retry_after is None
    assert read({"message": f"retry after {'9' * 400} seconds"}, 429).retry_after is None
