"""One attempt: a request and its response, without a socket. Bytes in, partials and one outcome out.

A driver may let a follow-up request continue the attempt (`Follow`): then its responses are read one after the other.

The states of an attempt, and how its outcome is decided, are in `lifecycle`. The time is an argument everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import msgspec
from msgspec import Struct

from polyglot_core._attempt.assembler import DEFAULT_LIMITS, Assembler
from polyglot_core._attempt.driver_framer import DriverFramer
from polyglot_core._attempt.event_log import EventLog
from polyglot_core._attempt.filters.json_repair import repaired
from polyglot_core._attempt.filters.pipeline import Pipeline
from polyglot_core._attempt.filters.type_repair import retyped
from polyglot_core._attempt.lifecycle import LIFE, Signal, State, outcome_of
from polyglot_core._attempt.odd_chunks import END_MARK, first_document, reading
from polyglot_core._attempt.stream_errors import LengthReached, cut_off, is_cut, undecodable
from polyglot_core._attempt.unexpected_response import OK, UnexpectedResponse
from polyglot_core._values.events import (
    Details,
    End,
    Event,
    Failure,
    Finish,
    Note,
    Ping,
    ReasoningDelta,
    ResponseStarted,
    Seam,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    type_problem,
)
from polyglot_core._values.json_text import JSONText
from polyglot_core._values.partial import PartialInferenceResponse
from polyglot_core._values.response import InferenceResponse, Outcome, Timing
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core._wire.error_events import is_error_name, named_failure, suspicion
from polyglot_core._wire.first_bytes import FirstBytes
from polyglot_core._wire.framings import framer_for
from polyglot_core._wire.leftovers import Leftovers
from polyglot_core._wire.messages import Chunk, Follow, WireRequest
from polyglot_core._wire.provider_errors import provider_error, retry_after_seconds
from polyglot_core._wire.response_headers import request_id, telling_headers
from polyglot_core.errors import LimitExceeded, PluginError, PolyglotError, ProviderError, StreamError, Truncated

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Iterator, Sequence

    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._attempt.odd_chunks import Reading
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.limits import Limits
    from polyglot_core._values.secret import Secret
    from polyglot_core._wire.messages import Framer

__all__ = ["Attempt", "Following", "Job"]


_CONTROL: dict[type, Signal] = {
    End: Signal.END,
    Failure: Signal.FAILURE,
    Details: Signal.QUIET,
    Note: Signal.QUIET,
    Ping: Signal.QUIET,
    ResponseStarted: Signal.QUIET,
    UsageReport: Signal.QUIET,
}
_ENDS = frozenset({Signal.END, Signal.FAILURE})
_EMPTY = frozenset({Details, Note, Ping, ResponseStarted})  # events that no response consists of
_OBJECTS = (dict, JSONText)
_PIECES = frozenset({TextDelta, ReasoningDelta, ToolCallDelta, UsageReport})  # of which a long stream may consist
_MOST_REPAIRS = 16  # of the fields of one chunk
_EVENTS = frozenset(get_args(Event)) - {Seam}  # what a driver may return
_MOST_FOLLOWED = 1000  # follow-up requests of one attempt; a provider may report for ever that it has not begun
_COMMITTED = State.COMMITTED  # a global is looked up faster than an attribute of the enumeration


class Job(Struct):
    """Work that the provider has begun, whose result a follow-up request receives.

    Attributes:
        request: The follow-up request.
        state: A copy of what the driver had kept before it.
        started: Id and model that were received before it.
        after: Seconds to wait before it is sent.
    """

    request: WireRequest
    state: dict[str, Any] = {}
    started: ResponseStarted = ResponseStarted()
    after: float = 0.0


class Following(PolyglotError):
    """A response is received by a further request of the same attempt. It never reaches the caller."""


class _Sent(NamedTuple):
    """What was requested, from which provider.

    Attributes:
        wire: The request.
        driver: The driver that encoded it and decodes the response.
        connection: Name of the connection.
        limits: Upper bounds on the size of the response.
        seam: The resume point that the response begins at, if it does.
    """

    wire: WireRequest
    driver: BoundDriver
    connection: str | None
    limits: Limits
    seam: Seam | None


class _Head(Struct):
    """What is known of the response beside its content.

    Attributes:
        status: HTTP status; 0 before it was received.
        headers: Response headers, with lower-case names.
        request_id: The provider's id of the request.
        transport: Name of the transport that received it.
        first_bytes: The bytes of the body until its framing is known; None if it is.
        unexpected: Collects the body if the response is not the requested stream; else None.
        leftovers: What was received and is no part of the response.
        decoded: Whether a chunk was decoded.
        in_parts: Whether a chunk held several others, so that a whole body is none.
        body_over: Whether the body has ended.
    """

    status: int = 0
    headers: Mapping[str, str] = {}
    request_id: str | None = None
    transport: str | None = None
    first_bytes: FirstBytes | None = None
    unexpected: UnexpectedResponse | None = None
    leftovers: Leftovers = msgspec.field(default_factory=Leftovers)
    decoded: bool = False
    in_parts: bool = False
    body_over: bool = False


class _Progress(Struct):
    """How far the response was read, beside the state.

    Attributes:
        outcome: How the attempt ended; None until it has.
        begun: Whether a chunk contained content, be it an empty text.
        first_event: Seconds from the call to the first event with meaning; None before it.
        duration: Seconds from the call to the outcome; None before it, or where the time is not known.
        ignored_bytes: Bytes received after the end.
        continues: Whether a response that reaches its limit of tokens is continued by another request.
        on_first: Called once with `first_event` when that is set; None for nothing.
        followed: How many follow-up requests there were.
        finished_before: Whether every finish was received before the latest follow-up request, whose response then has
            to be received as well.
    """

    outcome: Outcome | None = None
    begun: bool = False
    first_event: float | None = None
    duration: float | None = None
    ignored_bytes: int = 0
    continues: bool = False
    on_first: Callable[[float], object] | None = None
    followed: int = 0
    finished_before: bool = False


class Attempt:
    """Reads the response to one request.

    Two attributes hold functions that are replaced as the attempt proceeds, so that a text chunk, the hot path, passes
    no branches for the rare cases. They must not be kept from one read to the next.

    - `frame` is the framer's `feed` at first; from `begin` on, `_choose` until the first bytes show the framing if the
      content type does not, and `_keep_body` if the response is not the requested stream; and `_ignore_data` once there
      is an outcome.
    - `_text` is the assembler's `text` at first, and `_record_and_text` once events are watched.

    Args:
        wire: The request.
        driver: The driver that decodes the response.
        clocks: The clocks of the call.
        connection: Name of the connection.
        limits: Upper bounds on the size of the response.
        seam: The resume point that this response begins at, if content was received in an earlier attempt.
        before: The attempt whose response this one continues.
        choices: How many choices were requested.
        job: The work whose result this attempt receives, if a follow-up request of another began it.

    Attributes:
        state: The state of the attempt.
        following: The follow-up request that is to be sent next, as a part of this attempt; None if there is none.
        assembler: Builds the response from events. Shared with `before`, if the response is continued.
        frame: Cuts the next bytes of the body into chunks, which are then passed to `take` one by one. Raises the error
            that the body of an unexpected response stands for.
    """

    def __init__(  # noqa: PLR0913 (all but the first have names)
        self,
        wire: WireRequest,
        driver: BoundDriver,
        clocks: Clocks,
        connection: str | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        seam: Seam | None = None,
        before: Attempt | None = None,
        choices: int = 1,
        job: Job | None = None,
    ) -> None:
        how = seam.how if seam is not None and before is not None else None
        self.state = State.OPENING
        self.following: Job | None = None
        self._sent = _Sent(wire, driver, connection, limits, seam)
        self._clocks = clocks
        self._progress = _Progress()
        self._log: EventLog | None = None
        self._expect_response()
        self.assembler: Assembler = (
            before.assembler if before else Assembler(driver.extract_usage, wire.finish_counts, limits, choices)
        )
        if before is not None:
            self.assembler.resume()
        if job is not None:
            self.assembler.absorb([job.started], b"")
        self._text = self.assembler.text
        self._pipeline = Pipeline(
            driver,
            before.decoder_state if before is not None and how == "provider" else deepcopy(job.state) if job else {},
            wire.think_tags,
            (self.assembler.resumable_text() or "") if how == "prefill" else "",
        )

    def _expect_response(self) -> None:
        """Prepare to read the response to the request."""
        wire, driver, _, limits, _ = self._sent
        self._head = _Head()
        self._framer: Framer = (
            framer_for(wire, limits.event)
            if isinstance(wire.framing, str)
            else DriverFramer(wire, limits.event, driver, self._fail)
        )
        self.frame: Callable[[bytes], Sequence[Chunk]] = self._framer.feed

    def watch_events(self, events: deque[Event]) -> None:
        """Append every further event to `events`, before the partials made of it are emitted."""
        self._log = EventLog(events)
        self._text = self._record_and_text

    def watch_first_event(self, callback: Callable[[float], object]) -> None:
        """Call `callback` with the seconds since the call when the first event with content is received."""
        self._progress.on_first = callback

    @property
    def outcome(self) -> Outcome | None:
        """How the attempt ended; None until it has."""
        return self._progress.outcome

    @property
    def committed(self) -> bool:
        """Whether content was received, so that the request can no longer be sent again unnoticed."""
        return self._progress.first_event is not None

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.state is State.ENDED

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, from the response headers."""
        return self._head.request_id

    @property
    def decoder_state(self) -> dict[str, Any]:
        """What the driver's `decode_chunk` has kept between chunks."""
        return self._pipeline.state

    @property
    def ignored_bytes(self) -> int:
        """Bytes received after the end of the response."""
        return self._progress.ignored_bytes

    def follow(self, wire: WireRequest) -> None:
        """Expect the response to a follow-up request. What was received so far, and the decoder's state, are kept."""
        self._sent = self._sent._replace(wire=wire, seam=None)
        self._expect_response()
        self.following = None

    def begin(
        self, status: int, headers: Mapping[str, str], transport: str | None = None
    ) -> Sequence[PartialInferenceResponse]:
        """Begin the response. `headers` have lower-case names. Return a partial that shows the seam, if there is one.

        Raises:
            LimitExceeded: The response headers are too large.
        """
        if self.state is State.OPENING:  # else it is the response to a follow-up request
            self._move(Signal.HEADERS)
        head, (wire, _, _, limits, seam) = self._head, self._sent
        head.status = status
        head.headers, head.transport = headers, transport
        head.request_id = request_id(headers, wire)
        if status not in OK:
            head.unexpected = self._unexpected()
            self.frame = self._keep_body
        elif (first_bytes := FirstBytes(wire, headers, self._framer, limits.event)).needed:
            head.first_bytes = first_bytes
            self.frame = self._choose
        if sum(map(len, headers)) + sum(map(len, headers.values())) > limits.headers:
            raise self._fail(
                LimitExceeded(
                    f"The response headers are larger than {limits.headers} bytes. Raise limits.headers to accept more."
                )
            )
        return () if seam is None or head.unexpected is not None else (self.assembler.show(seam),)

    def take(self, chunk: Chunk, now: float) -> PartialInferenceResponse | Iterable[PartialInferenceResponse]:
        """Decode one chunk. Return the single partial of a piece of text, or the partials of anything else.

        This is the hot path: everything else is arranged so that a piece of text is cheap here.

        Raises:
            PolyglotError: The provider reported a failure, or the chunk cannot be decoded. The attempt has ended, and
                `partial` is filled in. It may also be raised by the iterator that is returned.
        """
        try:
            events = self._pipeline.decode(chunk)
            count = len(events)
            event = events[0] if count == 1 or (count == 2 and self._is_usage(events[1])) else None
        except Exception as error:  # noqa: BLE001 (any exception of a driver becomes one of our errors)
            return self._repair_or_fail(chunk, error, now)
        if type(event) is TextDelta and self.state is _COMMITTED and event.text and type(event.text) is str:
            self._clocks.meaning = now
            if count > 1:
                self.assembler.report(events[1])  # type: ignore[arg-type]  # as `_is_usage` found
            try:
                return self._text(event, chunk.raw)
            except TypeError:
                self._check(events, now)
                raise
        if self.state is State.ENDED:
            return self._ignore_data(chunk.raw)
        if events and self.state is _COMMITTED and _PIECES.issuperset(map(type, events)) and self._is_plain(chunk):
            return self._take_piece(events, chunk.raw, now)
        return self._absorb(self._judged(chunk, events), chunk.raw, now)

    def _is_plain(self, chunk: Chunk) -> bool:
        """Return whether a chunk of a stream is not recorded, and cannot be an error."""
        return self._log is None and chunk.kind == "part" and (chunk.event is None or not is_error_name(chunk.event))

    def _take_piece(self, events: Sequence[Event], raw: bytes, now: float) -> Sequence[PartialInferenceResponse]:
        """Take pieces of content, and usage beside them. As `_absorb`, without the checks that cannot apply to them.

        Raises:
            LimitExceeded: The response is larger than a limit.
            PluginError: A value of an event has a wrong type.
        """
        self._check(events, now)
        try:
            partials = self.assembler.absorb(events, raw)
        except LimitExceeded as error:
            raise self._fail(error, now) from None
        if partials:
            self._clocks.meaning = now
        return partials

    def _is_usage(self, event: Event) -> bool:
        """Return whether an event is what some dialects emit with each piece of text, and is not recorded."""
        return type(event) is UsageReport and type(event.payload) in _OBJECTS and not event.merge and self._log is None

    def feed(self, data: bytes, now: float) -> Iterator[PartialInferenceResponse]:
        """Frame and take `data`. The iterator must be exhausted before the next call."""
        return self._take_all(self.frame(data), now)

    def finish(self, now: float) -> Iterator[PartialInferenceResponse]:
        """End the body; yield the partials of what was held back, and the closing ones.

        Raises:
            PolyglotError: As `feed`; `Truncated` if the model was not done.
        """
        if (first_bytes := self._head.first_bytes) is not None and self.state is not State.ENDED:
            self._use(first_bytes.last)
            yield from self._take_all(self.frame(first_bytes.received), now)
        if self._head.unexpected is not None and self.state is not State.ENDED:
            raise self._fail(self._head.unexpected.error(), now)
        if self.state is not State.ENDED:
            self._head.body_over = True
            chunks = self._framer.finish()
            yield from self._take_all(chunks, now)
            yield from self._flush(now)
            yield from self._end_of_body(chunks, now)

    def interrupt(self, signal: Signal, error: PolyglotError, now: float) -> Iterator[PartialInferenceResponse]:
        """Stop reading because of `error`; yield the closing partials if the model was done.

        Raises:
            PolyglotError: `error`, with `partial` filled in, if the model was not done.
        """
        head = self._head
        if head.unexpected is not None and head.status not in OK and self.state is not State.ENDED:
            error = head.unexpected.error()  # the status explains more than the interruption does
        if isinstance(error, StreamError):  # raised by a framer: all bytes were received, and they are wrong
            signal = Signal.EOF if isinstance(error, Truncated) else Signal.FAILURE
        if self.state is not State.ENDED:
            yield from self._flush(now)
        if self.state is not State.ENDED:
            yield from self._end(signal, now, error)

    def continue_at_length(self) -> None:
        """Raise `LengthReached` at the end of a response that has reached its limit of tokens and can be continued."""
        self._progress.continues = True

    def cancel(self, now: float) -> None:
        """End the attempt because the caller wants no more."""
        if self.state is not State.ENDED:
            self._settle(Signal.CANCEL, now)

    @property
    def response(self) -> InferenceResponse:
        """The response received so far."""
        try:
            usage = self.assembler.usage
        except PluginError:  # it was, or will be, raised at the end of the stream; here the rest is wanted
            usage = None
        progress, assembler, choices = self._progress, self.assembler, self.assembler.choices()
        first = next((choice.details for choice in choices if choice.index == 0), {})
        response = InferenceResponse(
            outcome=progress.outcome or Outcome.CANCELLED,
            choices=choices,
            usage=usage,
            model=assembler.model,
            id=assembler.response_id,
            connection=self._sent.connection,
            request_id=self._head.request_id,
            timing=Timing(first_event=progress.first_event, duration=progress.duration),
            provider=self._sent.driver.name,
            details={**first, **assembler.details.copy()},
            headers=telling_headers(self._head.headers, self._sent.wire),
            notes=tuple(assembler.notes),
            transport=self._head.transport,
        )
        return response if assembler.use is None else response.with_format(assembler.use)

    def redact(self, secret: Secret) -> None:
        """Remove a secret that the provider has repeated from the request id and the response headers."""
        head = self._head
        head.request_id = head.request_id and secret.redacted(head.request_id)
        head.headers = {name: secret.redacted(value) for name, value in head.headers.items()}

    # Reading

    def _take_all(self, chunks: Iterable[Chunk], now: float) -> Iterator[PartialInferenceResponse]:
        for chunk in chunks:
            taken = self.take(chunk, now)
            if type(taken) is PartialInferenceResponse:
                yield taken
            else:
                yield from taken  # type: ignore[misc]  # it is the other of the two

    def _choose(self, data: bytes) -> Sequence[Chunk]:
        """Choose the framer by the first bytes of the body, and frame them; return nothing while they are too few."""
        first_bytes = self._head.first_bytes
        if first_bytes is None or not self._use(lambda: first_bytes.framer(data)):
            return ()
        return self.frame(first_bytes.received)

    def _use(self, choose: Callable[[], Framer | None]) -> bool:
        """Frame the body as `choose` returns, or keep it as an unexpected response; return False if it is too early."""
        head, first_bytes = self._head, self._head.first_bytes
        try:
            framer = choose()
        except ValueError:
            head.unexpected = self._unexpected()
            self.frame = self._keep_body
        else:
            if framer is None:
                return False
            self._framer, self.frame = framer, framer.feed
            if first_bytes is not None and first_bytes.note:
                self.assembler.note(first_bytes.note)
        head.first_bytes = None
        return True

    def _judged(self, chunk: Chunk, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of a chunk, with a failure if it reports one that the driver does not know as one."""
        if chunk.kind == "whole":
            # an end alone is no response, but the body of a gateway that a driver reads as an empty one
            return events if any(_CONTROL.get(type(event)) is None for event in events) else _without_end(events)
        kinds = {type(event) for event in events}
        if Failure in kinds or (chunk.event is None and kinds - _EMPTY):
            return events
        if is_error_name(chunk.event):
            return [*_without_end(events), named_failure(chunk.data)]
        if kinds - _EMPTY or (found := suspicion(chunk)) is None:
            return events
        if found.degree == "certain":
            return [*events, found.failure]
        self._leftovers().keep_object(chunk.data, telling=found.of_vendor)
        return events

    def _repair_or_fail(self, chunk: Chunk, error: Exception, now: float) -> Iterable[PartialInferenceResponse]:
        """Decode a chunk again in another way, if there is one. Else raise, unless it is empty or follows the end."""
        if self.state is State.ENDED:
            return self._ignore_data(chunk.raw)
        if is_error_name(chunk.event) and isinstance(error, UNREADABLE):
            return self._absorb([named_failure(chunk.data)], chunk.raw, now)
        if not chunk.data.strip():  # a block with an empty data field has no meaning
            return ()
        if chunk.data.strip() == END_MARK:  # gateways append it in dialects that do not have it
            return self._absorb([End()], chunk.raw, now)
        if isinstance(error, UNREADABLE):
            events, error = self._decoded_again(chunk, error)
            if events is not None:
                return self._absorb(self._judged(chunk, events), chunk.raw, now)
            if isinstance(error, UNREADABLE) and (other := reading(chunk, error)) is not None:
                return self._take_other(other, now)
        cut = self._head.body_over and is_cut(chunk, error)
        if chunk.kind == "whole" and not cut and self._sent.wire.framing != "whole":
            raise self._fail(self._unexpected(chunk.data).error(), now) from error
        pieces, driver = self.assembler.pieces, self._sent.driver
        raise self._fail(self._cut_off() if cut else undecodable(chunk, error, pieces, driver), now) from error

    def _is_response(self, document: Chunk) -> bool:
        """Return whether a document is a response with its finish, or a failure, and not the first part of a stream."""
        try:
            events = self._sent.driver.decoder({})(document)
        except Exception:  # noqa: BLE001 (it is decoded once more, and the error reported then)
            return False
        return any(isinstance(event, (Finish, Failure)) for event in events)

    def _decoded_again(self, chunk: Chunk, error: Exception) -> tuple[Sequence[Event] | None, Exception]:
        """Return the events of the failure in a chunk, of the first of several documents, or of repaired JSON.

        Else return None. The error is the last one.
        """
        found = suspicion(chunk)
        if found is not None and found.degree == "certain":
            return [found.failure], error
        if (first := first_document(chunk)) is not None and self._is_response(first[0]):
            self.assembler.note(first[1])
            return self._pipeline.decode_again(first[0], first[0].data), error
        return self._repaired(chunk, error)

    def _repaired(self, chunk: Chunk, error: Exception) -> tuple[Sequence[Event] | None, Exception]:
        """Return the events of a chunk after repairs of its JSON, or else None and the last error."""
        decode, data, notes = self._pipeline.decode_again, chunk.data, []
        if (sound := repaired(chunk.data)) is not None:
            decode, data = self._pipeline.decode_repaired, sound
            notes.append("A chunk of the response is no valid JSON; it was repaired.")
        elif not isinstance(error, msgspec.ValidationError):
            return None, error
        for _ in range(_MOST_REPAIRS):
            if notes:
                try:
                    events = decode(chunk, data)
                except Exception as again:  # noqa: BLE001 (the repaired data may be wrong in another way)
                    error = again
                else:
                    for note in notes:
                        self.assembler.note(note)
                    return events, error
            if (fixed := retyped(data, error)) is None:
                break
            data = fixed.data
            notes.append(fixed.note)
        return None, error

    def _take_other(self, other: Reading, now: float) -> Iterator[PartialInferenceResponse]:
        """Take the chunks that a chunk stands for."""
        if other.kept:
            self._leftovers().keep(other.kept)
        if other.note:
            self.assembler.note(other.note)
        for chunk in other.chunks:
            self._head.in_parts = self._head.in_parts or chunk.kind == "part"
            yield from self._take_all((chunk,), now)

    def _leftovers(self) -> Leftovers:
        """Return what was received and is no part of the response: the framer's, if it keeps any."""
        found: Leftovers = getattr(self._framer, "leftovers", None) or self._head.leftovers
        return found

    def _ignore_data(self, data: bytes) -> tuple[()]:
        self._progress.ignored_bytes += len(data)
        return ()

    def _keep_body(self, data: bytes) -> tuple[()]:
        unexpected = self._head.unexpected
        if unexpected is not None and unexpected.feed(data):
            raise self._fail(unexpected.error())
        return ()

    def _flush(self, now: float) -> Iterator[PartialInferenceResponse]:
        """Take the text that filters held back because it might be the start of a tag or half of a character."""
        if held := self._pipeline.rest():
            yield from self._absorb(held, b"", now)

    def _absorb(self, events: Sequence[Event], raw: bytes, now: float) -> Iterator[PartialInferenceResponse]:
        """Take the events of one chunk: first their content, then what they mean for the state of the attempt."""
        self._head.decoded = True
        follow: object = events[-1] if events else None
        if isinstance(follow, Follow):
            events = events[:-1]
        self._check(events, now)
        signals = [_CONTROL.get(type(event), Signal.CONTENT) for event in events]
        self._progress.begun = self._progress.begun or Signal.CONTENT in signals
        before, last = events, None
        if not _ENDS.isdisjoint(signals):
            end = next(index for index, signal in enumerate(signals) if signal in _ENDS)
            before, last = events[:end], events[end]
        if Finish in map(type, before):
            self._progress.finished_before = False
        try:
            partials = self.assembler.absorb(before, raw)
        except LimitExceeded as error:
            raise self._fail(error, now) from None
        if partials or not isinstance(last, Failure):  # a finish beside a failure does not complete the response
            self._advance(partials, now)
        self._record(before, committed=self.committed)
        yield from partials
        if isinstance(last, Failure):
            raise self._fail(provider_error(last, raw, self._sent.limits.error_body), now)
        if isinstance(follow, Follow):  # a failure was raised, and an end means that of this response
            raise self._followed(follow, now)
        if last is not None:
            self._record([last], committed=True)
            if self.state is State.HELD and self._progress.begun and self.response.usage is not None:
                self._move(Signal.CONTENT)  # a choice and its token counts prove that an empty response was meant
                self.assembler.note("The response has ended without content and without a finish reason.")
            # lines between the events may say why there is no finish reason
            interrupted = self.state is not State.FINISHING and self._leftovers().telling
            yield from self._end(Signal.EOF if interrupted else Signal.END, now)

    def _followed(self, follow: Follow, now: float) -> PolyglotError:
        """Return what is raised at the end of a response that a follow-up request continues.

        Raises:
            PluginError: The follow-up request, or what the driver keeps, cannot be used.
        """
        self._progress.followed += 1
        if self._progress.followed > _MOST_FOLLOWED:
            return LimitExceeded(f"The response needs more than {_MOST_FOLLOWED} follow-up requests.")
        state = self._pipeline.before = self._sent.driver.kept_for(follow, self._pipeline.state)
        started = ResponseStarted(self.assembler.response_id, self.assembler.model)
        self.following, self.frame = Job(follow.request, state, started, follow.after), self._ignore_data
        for note in self._leftovers().notes:
            self.assembler.note(note)
        if self.state is State.FINISHING:
            self._progress.finished_before = True
            self._clocks.saw_meaning(now)  # not `grace`: a response is expected
        return Following("The response is received by a further request.")

    def _check(self, events: Sequence[Event], now: float) -> None:
        """Raise `PluginError` if an object is not an event, or has a value of a wrong type."""
        if not _EVENTS.issuperset(map(type, events)):
            unknown = next(event for event in events if type(event) not in _EVENTS)
            what = f"returned {type(unknown).__name__} from decode_chunk, which is not an event, or not the last one"
            raise self._fail(self._sent.driver.at_fault(what), now)
        for event in events:
            if wrong := type_problem(event):
                what = f"returned a {type(event).__name__} from decode_chunk whose {wrong}"
                raise self._fail(self._sent.driver.at_fault(what), now)

    def _record_and_text(
        self, event: TextDelta, raw: bytes
    ) -> PartialInferenceResponse | Sequence[PartialInferenceResponse]:
        self._record((event,), committed=True)
        return self.assembler.text(event, raw)

    def _record(self, events: Sequence[Event], *, committed: bool) -> None:
        if self._log is not None:
            self._log.record(events, committed=committed)

    def _advance(self, partials: Sequence[PartialInferenceResponse], now: float) -> None:
        """Move the state, and set the clocks, by what a chunk contained."""
        signal = self._signal(partials)
        self._move(signal)
        if signal is Signal.QUIET:
            return
        if self._progress.first_event is None:
            self._progress.first_event = seconds = self._clocks.elapsed(now)
            if (report := self._progress.on_first) is not None:
                self._progress.on_first = None  # it refers to the call, which refers to this attempt
                report(seconds)
        if signal is Signal.CONTENT or self._sent.wire.finish_counts == "last":
            self._clocks.saw_meaning(now)  # where the last finish counts, more content may follow one
        else:
            self._clocks.saw_finish(now)

    def _signal(self, partials: Sequence[PartialInferenceResponse]) -> Signal:
        if not self.assembler.all_finished:  # in `finishing` it means that a further choice has begun
            return Signal.CONTENT if partials or self.state is State.FINISHING else Signal.QUIET
        return Signal.FINISH if partials or self.state is not State.FINISHING else Signal.QUIET

    # Ending

    def _move(self, signal: Signal) -> None:
        state = self.state
        if state is not State.ENDED:  # another thread may have closed the call meanwhile
            self.state = LIFE[state, signal]

    def _settle(self, signal: Signal, now: float | None) -> Outcome:
        progress = self._progress
        if progress.outcome is not None:  # as above
            return progress.outcome
        progress.outcome = outcome = outcome_of(self._proven_state(signal), signal, self._sent.wire.complete_on)
        progress.duration = None if now is None else self._clocks.elapsed(now)
        for note in self._leftovers().notes:
            self.assembler.note(note)
        self._move(signal)
        self.frame = self._ignore_data
        return outcome

    def _proven_state(self, signal: Signal) -> State:
        """Return the state, without a finish that is older than a follow-up request whose response is not received."""
        received = signal is Signal.END or (signal is Signal.EOF and self._head.decoded)
        older = self._progress.finished_before and self.state is State.FINISHING and not received
        return State.COMMITTED if older else self.state

    def _end_of_body(self, chunks: Sequence[Chunk], now: float) -> Iterator[PartialInferenceResponse]:
        """End the attempt with its body. A whole body that was decoded is complete if it contained a response."""
        if self.state is State.ENDED:
            return
        whole = self._head.decoded and not self._head.in_parts and any(chunk.kind == "whole" for chunk in chunks)
        if whole and not self._progress.begun:  # JSON without content: a proxy's, or that of a failure
            raise self._fail(self._unexpected(b"".join(chunk.data for chunk in chunks)).error(), now)
        if whole and self.state is State.HELD:
            self._move(Signal.CONTENT)  # a whole response may consist of an empty text
        yield from self._end(Signal.END if whole else Signal.EOF, now)

    def _end(
        self, signal: Signal, now: float, error: PolyglotError | None = None
    ) -> Iterator[PartialInferenceResponse]:
        if signal is Signal.END and self.state is State.COMMITTED and self.assembler.begun_finished:
            self._move(Signal.FINISH)  # fewer choices than requested, all of them with their finish
        if self._settle(signal, now) is not Outcome.FINISHED:
            if signal is not Signal.CLOCK and (reason := self._reason()) is not None:
                self._progress.outcome, error = Outcome.FAILED, reason
            raise self._with_partial(error or self._cut_off(signal))
        if self._progress.continues and self.assembler.reopen_at_length():
            self._progress.outcome = Outcome.TRUNCATED
            raise self._with_partial(LengthReached("The response has reached its limit of tokens, and is continued."))
        closing = self.assembler.closing()
        try:
            self.assembler.usage  # noqa: B018 (read now, so that usage which the driver cannot read fails the attempt)
        except PluginError as broken:
            self._progress.outcome = Outcome.FAILED
            raise self._with_partial(broken) from broken.__cause__
        yield from closing

    def _fail(self, error: PolyglotError, now: float | None = None) -> PolyglotError:
        """End the attempt with an error, and return the error to raise."""
        self._settle(Signal.FAILURE, now)
        if isinstance(error, Truncated):
            self._progress.outcome = Outcome.TRUNCATED
        return self._with_partial(error)

    def _with_partial(self, error: PolyglotError) -> PolyglotError:
        status, headers = self._head.status, self._head.headers
        return error.add_facts(
            phase="stream" if status in OK else "headers",
            status=None if status in OK else status or None,
            request_id=self._head.request_id,
            retry_after=retry_after_seconds(headers) if isinstance(error, ProviderError) else None,
            partial=self.response,
        )

    def _reason(self) -> PolyglotError | None:
        """Return the error that something received beside the response gives as the reason of an interruption."""
        leftovers = self._leftovers()
        for data in (*leftovers.objects, bytes(leftovers.text)):
            if (found := suspicion(Chunk(data, data))) is not None:
                return provider_error(found.failure, data, self._sent.limits.error_body)
        return None

    def _cut_off(self, signal: Signal = Signal.EOF) -> Truncated:
        beside = bytes(self._leftovers().text)
        return cut_off(beside, decoded=self._head.decoded, marked=signal is Signal.END)

    def _unexpected(self, body: bytes = b"") -> UnexpectedResponse:
        head, (wire, driver, _, limits, _) = self._head, self._sent
        unexpected = UnexpectedResponse(head.status, head.headers, limits.error_body, driver.decode_error, wire.url)
        unexpected.feed(body)
        return unexpected


def _without_end(events: Sequence[Event]) -> Sequence[Event]:
    return [event for event in events if not isinstance(event, End)]
