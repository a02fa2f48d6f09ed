"""One attempt, without a socket: status and bytes in, partials and one outcome out.

How it may go and how it ended is `life`'s to say. Time is an argument.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from polyglot_core._attempt.assembler import Assembler
from polyglot_core._attempt.filters.json_repair import SurrogateJoiner, repaired
from polyglot_core._attempt.filters.resume_whitespace import ResumeWhitespace
from polyglot_core._attempt.filters.think_tags import ThinkTags
from polyglot_core._attempt.lifecycle import LIFE, Signal, State, outcome_of
from polyglot_core._attempt.unexpected_response import OK, UNREADABLE, fits, nothing_came, quoted, refusal
from polyglot_core._values.events import (
    End,
    Event,
    Failure,
    Ping,
    ResponseStarted,
    Seam,
    TextDelta,
    UsageReport,
    type_problem,
)
from polyglot_core._values.limits import Limits
from polyglot_core._values.partial import PartialInferenceResponse
from polyglot_core._values.response import InferenceResponse, Outcome, Timing
from polyglot_core._wire.framings import framer_for
from polyglot_core._wire.messages import Chunk, WireResponse
from polyglot_core._wire.provider_errors import provider_error, retry_after_seconds
from polyglot_core.errors import (
    LimitExceeded,
    Malformed,
    PluginError,
    PolyglotError,
    ProviderError,
    StreamError,
    Truncated,
)

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._wire.messages import WireRequest

__all__ = ["Attempt"]


_CONTROL: dict[type, Signal] = {
    End: Signal.END,
    Failure: Signal.FAILURE,
    Ping: Signal.QUIET,
    ResponseStarted: Signal.QUIET,
    UsageReport: Signal.QUIET,
}
_EVENTS = frozenset(get_args(Event)) - {Seam}  # what a driver may return
_COMMITTED = State.COMMITTED  # a module's name is found faster than a class's member
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id", "cf-ray")


_LIMITS = Limits()


class Attempt:
    """Reads the answer to one request.

    Args:
        wire: The request.
        driver: Who reads.
        clocks: The clocks of the call.
        connection: Name of the connection that is asked.
        limits: How large the answer may be.
        seam: Why this is not the call's first attempt, where something of an answer had come.
        before: The attempt whose answer this one goes on with.
        choices: How many answers were asked for.

    Attributes:
        state: Where the attempt stands.
        outcome: How it ended; None until it has.
        request_id: The provider's id of the request, from the headers.
        ignored_bytes: Bytes that came after the provider had said that nothing more would.
        assembler: What has come, put together.
        decoder_state: What the driver's `decode_chunk` has noted.
        frame: Cuts the next bytes of the body into chunks, each of which is then to be given to `take`. Raises what the
            body of a refusal turns out to be.
    """

    def __init__(
        self,
        wire: WireRequest,
        driver: BoundDriver,
        clocks: Clocks,
        connection: str | None = None,
        *,
        limits: Limits = _LIMITS,
        seam: Seam | None = None,
        before: Attempt | None = None,
        choices: int = 1,
    ) -> None:
        self.state = State.OPENING
        self.outcome: Outcome | None = None
        self.request_id: str | None = None
        self._events: deque[Event] | None = None
        self._held_events: list[Event] = []
        self.ignored_bytes = 0
        self._wire = wire
        self._driver = driver
        self._clocks = clocks
        self._connection = connection
        self._limits = limits
        self._seam = seam
        self.frame: Callable[[bytes], Sequence[Chunk]]
        self.frame, self._last_chunks = self._framing()
        self.decoder_state: dict[str, Any] = before.decoder_state if before and seam and seam.how == "provider" else {}
        self._think_tags = ThinkTags(*wire.think_tags) if wire.think_tags else None
        self._decode = self._decoder()
        self._halves: SurrogateJoiner | None = None  # since a chunk had to be put right
        self.assembler: Assembler = (
            before.assembler if before else Assembler(driver.extract_usage, wire.finish_counts, limits, choices)
        )
        if before is not None:
            self.assembler.go_on()
        written_on = before is not None and seam is not None and seam.how == "prefill"
        self._overlap = ResumeWhitespace(self.assembler.resumable_text() or "") if written_on else None
        self._text = self.assembler.text
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._other_body: bytearray | None = None  # the body of an answer that is no stream, while it is read
        self._answered = False  # whether any chunk could be read
        self._begun = False  # whether there was anything of an answer in one, be it an empty text
        self._body_over = False
        self._first_event: float | None = None
        self._duration: float | None = None

    def watch_events(self, events: deque[Event]) -> None:
        """From now on, append every event to `events` before the partials that it makes are handed out."""
        self._events = events
        self._text = self._text_and_event

    @property
    def committed(self) -> bool:
        """Whether something of the answer has come."""
        return self._first_event is not None

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self.state is State.ENDED

    # What the pump tells

    def begin(self, status: int, headers: Mapping[str, str]) -> Sequence[PartialInferenceResponse]:
        """An answer has begun. `headers` have lower-case names. A partial that shows the seam follows, if there is one.

        Raises:
            LimitExceeded: The head of the answer is too large.
        """
        self._move(Signal.HEADERS)
        self._status = status
        self._headers = headers
        self.request_id = next((headers[name] for name in _REQUEST_IDS if name in headers), None)
        if status not in OK or not fits(self._wire, headers):
            self._other_body = bytearray()
            self.frame = partial(self._keep_other_body, self._other_body)
        if sum(map(len, headers)) + sum(map(len, headers.values())) > self._limits.headers:
            largest = self._limits.headers
            raise self._fail(LimitExceeded(f"The head of the answer is larger than {largest} bytes (limits.headers)."))
        return () if self._seam is None or self._other_body is not None else (self.assembler.show(self._seam),)

    def take(self, chunk: Chunk, now: float) -> PartialInferenceResponse | Iterable[PartialInferenceResponse]:
        """Decode one chunk: the one partial of a piece of text, or the partials of anything else.

        This is the path that everything else is fast for.

        Raises:
            PolyglotError: The provider failed, or the chunk cannot be read. The session has ended, `partial` is filled
                in. It may also come out of what is returned.
        """
        try:
            events = self._decode(chunk)
            event = events[0] if len(events) == 1 else None
        except Exception as error:  # noqa: BLE001 (whatever a driver raises becomes one of our errors)
            return self._pass_or_fail(chunk, error, now)
        if type(event) is TextDelta and self.state is _COMMITTED and event.text and type(event.text) is str:
            self._clocks.meaning = now
            return self._text(event, chunk.raw)
        return self._ignore(chunk) if self.state is State.ENDED else self._absorb(events, chunk.raw, now)

    def feed(self, data: bytes, now: float) -> Iterator[PartialInferenceResponse]:
        """`frame` and `take` in one; exhaust the iterator before the next call."""
        return self._take_all(self.frame(data), now)

    def finish(self, now: float) -> Iterator[PartialInferenceResponse]:
        """The body is over.

        Raises:
            PolyglotError: As `feed`; `Truncated` when the model was not done.
        """
        if self._other_body is not None and self.state is not State.ENDED:
            raise self._fail(self._refusal(self._other_body), now)
        if self.state is not State.ENDED:
            self._body_over = True
            chunks = self._last_chunks()
            yield from self._take_all(chunks, now)
            yield from self._let_go(now)
            yield from self._end_of_body(chunks, now)

    def interrupt(self, signal: Signal, error: PolyglotError, now: float) -> Iterator[PartialInferenceResponse]:
        """The bytes stop here, because of `error`. Closing partials follow if the model was done.

        Raises:
            PolyglotError: `error`, with `partial` filled in, if the model was not done.
        """
        if self._other_body is not None and self._status not in OK and self.state is not State.ENDED:
            error = self._refusal(self._other_body)  # the status says more than the break
        if isinstance(error, StreamError):  # the framer's: the bytes came, and are not what they should be
            signal = Signal.EOF if isinstance(error, Truncated) else Signal.FAILURE
        if self.state is not State.ENDED:
            yield from self._let_go(now)
        if self.state is not State.ENDED:
            yield from self._end(signal, now, error)

    def cancel(self, now: float) -> None:
        """The caller wants no more."""
        if self.state is not State.ENDED:
            self._settle(Signal.CANCEL, now)

    @property
    def response(self) -> InferenceResponse:
        """The response as far as it has come."""
        try:
            usage = self.assembler.usage
        except PluginError:  # raised where the stream ends; what is asked for here is what came
            usage = None
        return InferenceResponse(
            outcome=self.outcome or Outcome.CANCELLED,
            choices=self.assembler.choices(),
            usage=usage,
            model=self.assembler.model,
            id=self.assembler.response_id,
            connection=self._connection,
            request_id=self.request_id,
            timing=Timing(first_event=self._first_event, duration=self._duration),
        )

    def resumable_text(self) -> str | None:
        """The answer so far, if it is a text and nothing else, which a model can be asked to continue."""
        return self.assembler.resumable_text()

    # Reading

    def _framing(self) -> tuple[Callable[[bytes], Sequence[Chunk]], Callable[[], Sequence[Chunk]]]:
        """What cuts the body into chunks, and what gives those that its end completes."""
        if isinstance(self._wire.framing, str):
            framer = framer_for(self._wire, self._limits.event)
            return framer.feed, framer.finish
        try:
            framer = framer_for(self._wire, self._limits.event)
        except Exception as error:
            raise self._driver.broken("its framer", error) from error
        return partial(self._cut, "feed", framer.feed), partial(self._cut, "finish", framer.finish)

    def _cut(self, method: str, cut: Callable[..., Sequence[Any]], *data: bytes) -> Sequence[Chunk]:
        """The chunks that a driver's own framer returns.

        Raises:
            PolyglotError: It found something wrong.
            PluginError: It raised anything else, or returned what are no chunks. The session has ended.
        """
        try:
            chunks = list(cut(*data))
        except PolyglotError:
            raise
        except Exception as error:
            raise self._fail(self._driver.broken(f"{method} of its framer", error)) from error
        if others := [chunk for chunk in chunks if not isinstance(chunk, Chunk)]:
            what = f"returned {type(others[0]).__name__} from {method} of its framer, which is no Chunk"
            raise self._fail(self._driver.at_fault(what))
        return chunks

    def _decoder(self) -> Callable[[Chunk], Sequence[Event]]:
        decode = self._driver.decoder(self.decoder_state)
        return decode if self._think_tags is None else self._think_tags.around(decode)

    def _take_all(self, chunks: Sequence[Chunk], now: float) -> Iterator[PartialInferenceResponse]:
        for chunk in chunks:
            taken = self.take(chunk, now)
            if type(taken) is PartialInferenceResponse:
                yield taken
            else:
                yield from taken  # type: ignore[misc]  # it is the other of the two

    def _pass_or_fail(self, chunk: Chunk, error: Exception, now: float) -> Iterable[PartialInferenceResponse]:
        """Raise for a chunk that cannot be read, unless it can be put right, is empty or follows the end."""
        if self.state is State.ENDED:
            return self._ignore(chunk)
        if isinstance(error, UNREADABLE) and (data := repaired(chunk.data)) is not None:
            try:
                return self._absorb(self._read_again(chunk, data), chunk.raw, now)
            except Exception as again:  # noqa: BLE001 (what is still wrong)
                error = again
        if chunk.data.strip():  # a block with an empty data field says nothing
            cut = self._body_over and _is_cut(chunk, error)
            raise self._fail(self._truncated() if cut else self._unreadable(chunk, error), now) from error
        return ()

    def _read_again(self, chunk: Chunk, data: bytes) -> Sequence[Event]:
        """The events of a chunk whose JSON has been put right."""
        if chunk.kind == "whole":
            self.decoder_state = {}  # what the first reading has left there must not count
            self._decode, self._halves = self._decoder(), None
        if self._halves is None:
            self._halves = SurrogateJoiner()
            self._decode = self._halves.around(self._decode)
        return self._decode(msgspec.structs.replace(chunk, data=data))

    def _ignore(self, chunk: Chunk) -> tuple[()]:
        return self._ignore_data(chunk.raw)

    def _ignore_data(self, data: bytes) -> tuple[()]:
        self.ignored_bytes += len(data)
        return ()

    def _let_go(self, now: float) -> Iterator[PartialInferenceResponse]:
        """What was kept back of a text because more of it could have made something else of it: a tag, a character."""
        kept: list[Event] = [] if self._think_tags is None else list(self._think_tags.rest())
        if self._halves is not None:
            kept = self._halves.rest(kept)
        if kept:
            yield from self._absorb(kept, b"", now)

    def _absorb(self, events: Sequence[Event], raw: bytes, now: float) -> Iterator[PartialInferenceResponse]:
        """Take the events of one chunk: first what they bring, then what they mean for the life of the stream."""
        self._answered = True
        if self._overlap is not None:
            events = self._overlap.trim(events)
        if unknown := [event for event in events if type(event) not in _EVENTS]:
            what = f"returned {type(unknown[0]).__name__} from decode_chunk, which is no event"
            raise self._fail(self._driver.at_fault(what), now)
        for event in events:
            if wrong := type_problem(event):
                what = f"returned a {type(event).__name__} from decode_chunk whose {wrong}"
                raise self._fail(self._driver.at_fault(what), now)
        signals = [_CONTROL.get(type(event), Signal.CONTENT) for event in events]
        self._begun = self._begun or Signal.CONTENT in signals
        if Signal.END in signals or Signal.FAILURE in signals:
            cut = next(i for i, signal in enumerate(signals) if signal in {Signal.END, Signal.FAILURE})
            before, last = events[:cut], events[cut]
        else:
            before, last = events, None
        try:
            partials = self.assembler.absorb(before, raw)
        except LimitExceeded as error:
            raise self._fail(error, now) from None
        if partials or not isinstance(last, Failure):  # a finish beside a failure does not make it an answer
            self._advance(partials, now)
        self._record(before)
        yield from partials
        if isinstance(last, Failure):
            raise self._fail(provider_error(last), now)
        if last is not None:
            closing = self._end(Signal.END, now)
            self._record([last], all_of_them=True)
            yield from closing

    def _text_and_event(
        self, event: TextDelta, raw: bytes
    ) -> PartialInferenceResponse | Sequence[PartialInferenceResponse]:
        self._record((event,))
        return self.assembler.text(event, raw)

    def _record(self, events: Sequence[Event], *, all_of_them: bool = False) -> None:
        """Show events to whoever asked for them.

        Until something of the answer has come, only pings are shown: the attempt may be made again, and then what it
        said of itself is void.
        """
        if self._events is None:
            return
        if self.committed or all_of_them:
            self._events.extend(self._held_events)
            self._events.extend(events)
            self._held_events.clear()
            return
        self._events.extend(event for event in events if type(event) is Ping)
        self._held_events.extend(event for event in events if type(event) is not Ping)

    def _advance(self, partials: Sequence[PartialInferenceResponse], now: float) -> None:
        """Move the state by what a chunk brought."""
        signal = self._signal(partials)
        self._move(signal)
        if signal is Signal.QUIET:
            return
        if self._first_event is None:
            self._first_event = self._clocks.elapsed(now)
        if signal is Signal.CONTENT or self._wire.finish_counts == "last":
            self._clocks.saw_meaning(now)  # where the last finish counts, one may be followed by more of the answer
        else:
            self._clocks.saw_finish(now)

    def _signal(self, partials: Sequence[PartialInferenceResponse]) -> Signal:
        if not self.assembler.all_finished:  # in `finishing` it means that a further choice has begun
            return Signal.CONTENT if partials or self.state is State.FINISHING else Signal.QUIET
        return Signal.FINISH if partials or self.state is not State.FINISHING else Signal.QUIET

    # An answer that is no stream

    def _keep_other_body(self, body: bytearray, data: bytes) -> tuple[()]:
        body += data
        if len(body) >= self._limits.error_body:
            raise self._fail(self._refusal(body))
        return ()

    def _refusal(self, body: bytes | bytearray) -> PolyglotError:
        kept = bytes(body[: self._limits.error_body])
        return refusal(WireResponse(status=self._status, headers=self._headers, body=kept), self._driver.decode_error)

    # Ending

    def _move(self, signal: Signal) -> None:
        state = self.state
        if state is not State.ENDED:  # by another thread, which has closed the call meanwhile
            self.state = LIFE[state, signal]

    def _settle(self, signal: Signal, now: float | None) -> Outcome:
        if self.outcome is not None:  # as above
            return self.outcome
        self.outcome = outcome_of(self.state, signal, self._wire.complete_on)
        self._duration = None if now is None else self._clocks.elapsed(now)
        self._move(signal)
        self.frame = self._ignore_data
        return self.outcome

    def _end(
        self, signal: Signal, now: float, error: PolyglotError | None = None
    ) -> Iterator[PartialInferenceResponse]:
        if self._settle(signal, now) is not Outcome.FINISHED:
            raise self._with_partial(error or self._truncated())
        closing = self.assembler.closing()
        try:
            self.assembler.usage  # noqa: B018 (read now, so that a driver that cannot read it is found out here)
        except PluginError as broken:
            self.outcome = Outcome.FAILED
            raise self._with_partial(broken) from broken.__cause__
        yield from closing

    def _fail(self, error: PolyglotError, now: float | None = None) -> PolyglotError:
        """The error to raise, after the attempt has been ended by it."""
        self._settle(Signal.FAILURE, now)
        if isinstance(error, Truncated):
            self.outcome = Outcome.TRUNCATED
        return self._with_partial(error)

    def _with_partial(self, error: PolyglotError) -> PolyglotError:
        return error.add_facts(
            phase="stream" if self._status in OK else "headers",
            status=None if self._status in OK else self._status or None,
            request_id=self.request_id,
            retry_after=retry_after_seconds(self._headers) if isinstance(error, ProviderError) else None,
            partial=self.response,
        )

    def _end_of_body(self, chunks: Sequence[Chunk], now: float) -> Iterator[PartialInferenceResponse]:
        """What the end of the body means: of a whole one that was read it is the end of the answer, if it is one."""
        if self.state is State.ENDED:
            return
        whole = self._wire.framing == "whole" and self._answered
        if whole and not self._begun:  # JSON that says nothing: of somebody else, or of a failure
            raise self._fail(self._refusal(b"".join(chunk.data for chunk in chunks)), now)
        yield from self._end(Signal.END if whole else Signal.EOF, now)

    def _truncated(self) -> Truncated:
        if not self._answered:
            return nothing_came()
        return Truncated(
            "The stream ended before the model was done: neither a finish reason nor the sign of the end had come. "
            "What came is in the error's partial."
        )

    def _unreadable(self, chunk: Chunk, error: Exception) -> PolyglotError:
        """The error for a chunk that the driver could not decode."""
        if isinstance(error, PolyglotError):
            return error
        if not isinstance(error, UNREADABLE):
            return self._driver.broken("decode_chunk", error)
        count = self.assembler.pieces
        where = f"after {count} {'piece' if count == 1 else 'pieces'} of text"
        return Malformed(f"A chunk of the answer, {where}, cannot be read ({error}): {quoted(chunk.data)}")


def _is_cut(chunk: Chunk, error: Exception) -> bool:
    """Whether the last chunk cannot be read because the body broke off in it."""
    at_end = (
        "truncated",
        f"(byte {len(chunk.data)})",
    )  # how msgspec says it; the second of a number without its digits
    return isinstance(error, UNREADABLE) and (chunk.kind == "part" or any(words in str(error) for words in at_end))
