"""The response of the simulator to each request: the route, the checks, and the script of replies and faults."""

from __future__ import annotations

import hmac
import math
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core.plugin import Secret, Usage
from polyglot_simulator.contract import Access, Problem, Turn
from polyglot_simulator.pace import Pace, paced
from polyglot_simulator.reply import RawReply, pairs_of
from polyglot_simulator.request_limit import RequestLimit
from polyglot_simulator.response import SimulatedResponse
from polyglot_simulator.routes import DEFAULT_DIALECT, route
from polyglot_simulator.script import FaultScript, ReplyScript
from polyglot_simulator.steps import Send, Wait

if TYPE_CHECKING:
    from polyglot_simulator.contract import Dialect
    from polyglot_simulator.recorded_request import RecordedRequest
    from polyglot_simulator.response import BodyLength, End
    from polyglot_simulator.steps import Step

__all__ = ["ScriptedProvider"]

_RAW_ENDS: dict[str, tuple[BodyLength, End]] = {
    "chunked": ("chunked", "complete"),
    "close": ("close", "complete"),
    "length": ("length", "complete"),
    "open": ("chunked", "open"),
    "reset": ("chunked", "reset"),
}


class ScriptedProvider(Struct, kw_only=True):
    """Makes the response to each request. It is called for one request at a time and does no I/O.

    Attributes:
        model: Model of the responses if a request names none.
        models: Names in the list of models.
        usage: Token counts of replies that have none of their own.
        pace: The speed of the replies.
        replies: The replies.
        faults: The faults.
        api_key: The only key that it accepts; None accepts all requests.
        limit: The limit of requests; None for no limit.
    """

    model: str
    models: tuple[str, ...]
    usage: Usage | None
    pace: Pace
    replies: ReplyScript
    faults: FaultScript
    api_key: Secret | None
    limit: RequestLimit | None = None

    def respond(self, request: RecordedRequest) -> SimulatedResponse:
        """Return the response to `request`."""
        headers = (("x-request-id", f"req_simulator_{request.number}"),)
        found = route(request.path, request.query)
        empty = SimulatedResponse(dialect=found.dialect if found else DEFAULT_DIALECT, headers=headers)
        try:
            problem = self._problem(request, empty.dialect)
            if problem is not None:
                return _refused(empty, problem)
            if found is not None and found.models is not None:
                return _json(empty, 200, msgspec.json.encode(found.models(self.models, found.fields.get("after"))))
            if self.limit is not None and (seconds := self.limit.wait(request.received_at)):
                return _limited(empty, seconds)
            return self._scripted(empty, request)
        except Exception as error:  # noqa: BLE001 (a reply function or a fault of the user's may raise anything)
            return _refused(empty, Problem(500, f"The simulator's script failed: {type(error).__name__}: {error}"))

    def refuse(self, reason: str) -> SimulatedResponse:
        """Return the response to bytes that are not an HTTP request."""
        return _refused(SimulatedResponse(dialect=DEFAULT_DIALECT), Problem(400, reason))

    def _problem(self, request: RecordedRequest, dialect: Dialect) -> Problem | None:
        if not self._lets_in(request):
            return Problem(401, "Incorrect API key provided.")
        found = route(request.path, request.query)
        if found is None:  # a dialect of the user's own may have paths of its own
            return None if request.method == "POST" and self.replies.next_is_raw else _unknown(request)
        wanted = "POST" if found.models is None else "GET"
        if request.method != wanted:
            return Problem(405, f"{request.method} is not allowed here; use {wanted}.", "method_not_allowed")
        return None if found.models else dialect.problem(_asked(request))

    def _lets_in(self, request: RecordedRequest) -> bool:
        if self.api_key is None:
            return True
        found = route(request.path, request.query)
        accesses = found.accesses if found else (Access(),)
        ways = {(access.auth_header, f"{access.auth_scheme} ".lstrip()) for access in accesses}
        return any(self._has_key(request.headers.get(header, ""), prefix) for header, prefix in ways)

    def _has_key(self, given: str, prefix: str) -> bool:
        wanted = self.api_key.with_prefix(prefix).reveal() if self.api_key else ""
        return hmac.compare_digest(given.encode(), wanted.encode())

    def _scripted(self, empty: SimulatedResponse, request: RecordedRequest) -> SimulatedResponse:
        faults = self.faults.take()
        replaced = any(fault.replaces_reply for fault in faults)
        response = empty if replaced else self._spoken(empty, request)
        for fault in faults:
            response = fault.change(response)
        return response

    def _spoken(self, empty: SimulatedResponse, request: RecordedRequest) -> SimulatedResponse:
        reply = self.replies.take(request)
        if isinstance(reply, RawReply):
            return _raw(empty.dialect, reply)
        if route(request.path, request.query) is None:
            return _refused(empty, _unknown(request))
        reply = replace(reply, usage=self.usage) if reply.usage is None else reply
        asked = _asked(request)
        turn = Turn(number=self.replies.taken, body=asked, reply=reply, model=self.model)
        steps = tuple(paced(empty.dialect.stream(turn), self.pace))
        if empty.dialect.wants_stream(asked):
            headers = (*empty.headers, *empty.dialect.stream_headers)
            return replace(empty, streamed=True, headers=headers, body=steps, body_length="chunked")
        delay = sum(step.seconds for step in steps if isinstance(step, Wait))
        return replace(_json(empty, 200, empty.dialect.whole(turn)), delay=delay)


def _unknown(request: RecordedRequest) -> Problem:
    return Problem(404, f"Unknown request URL: {request.method} {request.path}.", "unknown_url")


def _asked(request: RecordedRequest) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the body, with the fields of the path."""
    found = route(request.path, request.query)
    return {**request.body, **found.fields} if found and isinstance(request.body, dict) else request.body


def _refused(empty: SimulatedResponse, problem: Problem) -> SimulatedResponse:
    response = _json(empty, problem.status, empty.dialect.error(problem))
    return replace(response, headers=(*response.headers, *empty.dialect.error_headers(problem)))


def _limited(empty: SimulatedResponse, seconds: float) -> SimulatedResponse:
    refused = _refused(empty, Problem(429, "Rate limit reached for requests."))
    others = tuple(pair for pair in refused.headers if pair[0].lower() != "retry-after")
    return replace(refused, headers=(*others, ("retry-after", str(math.ceil(seconds)))))


def _json(empty: SimulatedResponse, status: int, body: bytes) -> SimulatedResponse:
    headers = (*empty.headers, ("content-type", "application/json"))
    return replace(empty, status=status, headers=headers, body=(Send(body),))


def _raw(dialect: Dialect, reply: RawReply) -> SimulatedResponse:
    steps: list[Step] = []
    for data in reply.writes:
        steps += [Wait(reply.delay), Send(data)] if steps and reply.delay else [Send(data)]
    body_length, end = _RAW_ENDS[reply.end]
    return SimulatedResponse(
        dialect=dialect,
        streamed=True,
        status=reply.status,
        headers=pairs_of(reply.headers),
        body=tuple(steps),
        body_length=body_length,
        end=end,
    )
