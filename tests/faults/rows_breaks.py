"""Rows 33 to 45: the response is cut off, ends early, or is split in unusual ways."""

from __future__ import annotations

import itertools
import json

from polyglot_core import Outcome, TimedOut, TransportError, Truncated
from polyglot_simulator import ByteAtATime, Comments, Cut, Drop, LeaveOpen, Reply, Reset, Stall

from .bodies import BODY, DONE, FINISH, STORY, TEXT, event, reply, said, streamed
from .playing import all_of, answers, scripted, simulated, told
from .scripted import CHUNKED, chunk, head, plain
from .stage import Ends, Scenario, Stage, same

__all__ = ["SCENARIOS"]

ENDS_OF_EVENTS = list(itertools.accumulate(map(len, STORY)))
PIECES = ("", "One", "One two", "One two three")


def at_byte(size: int) -> int:
    """Return how many events are complete in so many bytes of `BODY`."""
    return sum(end <= size for end in ENDS_OF_EVENTS)


PLACES = sorted({0, 1, *range(7, len(BODY), 97), *ENDS_OF_EVENTS, *(end - 1 for end in ENDS_OF_EVENTS)})
"""Bytes after which a body breaks off: all over it, and at and before the end of each event."""


# The connection breaks, or the body ends


def broken_everywhere(row: int, part: str, how: str) -> Scenario:
    """Play a connection that breaks after each of `PLACES`; the next request succeeds."""

    @told(
        row,
        part,
        "Before anything came it is asked again; then it is an error that keeps what came; after the finish it does no harm.",
    )
    def play(stage: Stage) -> None:
        for size in PLACES:
            script = (head(**CHUNKED), *([chunk(BODY[:size])] if size else []), 0.02, how)
            server = stage.serve(script, streamed(*STORY))  # type: ignore[arg-type]
            stage.keeps(_after_a_break(at_byte(size)), stage.call(stage.connection(server, again=1)), server)

    return play


def _after_a_break(events: int) -> Ends:
    if events == 0:
        return answers(requests=2)
    if events <= 3:
        facts = {"phase": "stream", "kind": "broken", "retryable": True, "attempts": 1}
        return Ends(error=TransportError, content=PIECES[events], facts=facts)
    return answers()


breaks = [
    broken_everywhere(33, "after any byte", "reset"),
    broken_everywhere(34, "after any byte", "close"),
    *[
        scripted(
            row,
            "in a plain answer",
            "A plain answer that did not arrive whole has not arrived; it is asked again.",
            answers(requests=2),
            (head(200, "application/json", content_length="900"), b'{"choices": [', 0.02, how),
            (plain(json.dumps({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}).encode(), 200, None),),
            again=1,
            stream=False,
        )
        for row, how in ((33, "reset"), (34, "close"))
    ],
    *[
        simulated(
            row,
            "before the headers",
            "It is asked again, and the caller sees the answer alone.",
            answers(requests=2),
            fault(before_headers=True, times=1),
            again=2,
        )
        for row, fault in ((33, Reset), (34, Drop))
    ],
]  # fmt: skip


@told(
    35,
    "after any byte",
    "A body that ends in good order before the finish is `Truncated`, after it, finished; nothing in between.",
)
def ended_everywhere(stage: Stage) -> None:
    for size in PLACES:
        server = stage.serve((head(**CHUNKED), *([chunk(BODY[:size])] if size else []), b"0\r\n\r\n"), streamed(*STORY))
        # an event whose data is whole counts without its blank line
        stage.keeps(_after_an_end(at_byte(size + len(b"\n\n"))), stage.call(stage.connection(server, again=1)), server)


def _after_an_end(events: int) -> Ends:
    if 0 < events <= 3:
        return Ends(error=Truncated, content=PIECES[events], facts={"attempts": 1, "retryable": True})
    return _after_a_break(events)


@told(35, "marked instead", "Who asks for `on_truncated='mark'` gets what came, and its outcome says that it was cut.")
def marked(stage: Stage) -> None:
    server = stage.simulate(fault=Cut(after_events=3))
    call = stage.call(stage.connection(server), on_truncated="mark")
    stage.keeps(answers("One two", outcome=Outcome.TRUNCATED), call, server)


@told(35, "resumed", "Who asks for `resume='restart'` gets the whole answer, and a partial that shows the seam.")
def resumed(stage: Stage) -> None:
    server = stage.simulate(fault=Reset(after_events=3, times=1))
    call = stage.call(stage.connection(server, again=1), resume="restart")
    stage.keeps(answers(requests=2), call, server)
    same("seams", [partial.seam.how for partial in call.partials if partial.seam], ["restart"])


@told(35, "within the thinking", "Thinking that is cut keeps its text, and nothing of it is content.")
def cut_thinking(stage: Stage) -> None:
    server = stage.simulate(Reply(TEXT, reasoning="Let me think"), fault=Cut(after_events=4))
    call = stage.call(stage.connection(server, "anthropic"))
    ending = stage.keeps(Ends(error=Truncated), call, server)
    thought = ending.response.reasoning_content
    same("some of the thinking", bool(thought) and "Let me think".startswith(thought), True)


COMPLETE = {"finish_reason": "stop"}
completions = [
    simulated(36, "no [DONE]", "The finish is enough.", answers(facts=COMPLETE), Cut(after_events=5)),
    simulated(36, "no [DONE], socket open", "The finish is enough, and is waited with for `grace` only.",
              answers(facts=COMPLETE, closed=True, within=2.0), Stall(after_events=5), clocks={"grace": 0.1}),
    simulated(37, "[DONE] alone", "The provider says that it is over: the answer is finished, for an unknown reason.",
              answers("One", facts={"finish_reason": "unknown", "finish_reason_raw": None}), reply=reply(said("One"), DONE)),
    simulated(38, "socket left open", "After the sign of the end nothing is waited for, and the socket is closed.",
              answers(closed=True, within=1.0), LeaveOpen()),
    simulated(39, "text and rubbish after [DONE]", "What follows the sign of the end is not part of the answer.",
              answers(facts=COMPLETE), reply=reply(*STORY, said(" four"), event(b"{rubbish"), FINISH)),
    simulated(40, "cut in an event", "Half an event is a cut stream and no unreadable one.",
              Ends(error=Truncated, content="One two"), Cut(after_bytes=len(BODY) - 160), reply=reply(*STORY)),
    simulated(40, "cut in an event, plain", "Half a JSON text is a cut answer and no unreadable one.",
              Ends(error=Truncated, facts={"retryable": True}), Cut(after_bytes=60), stream=False),
]  # fmt: skip


@told(39, "counted", "What came after the end is counted.")
def counted(stage: Stage) -> None:
    server = stage.simulate(reply(BODY + said(" four")))
    call = stage.call(stage.connection(server))
    stage.keeps(answers(), call, server)
    ignored = call.pending.stream()._pump.call.attempt.ignored_bytes
    same("bytes ignored", ignored, len(said(" four")) - len(b"data: \n\n"))


# Characters and lines

characters = [
    simulated(41, "cut in a character", "A cut within a character is a cut stream.", Ends(error=Truncated, content="One"),
              reply=reply(said("One"), event(b'{"choices":[{"delta":{"content":"Gr' + "ü".encode()[:1])[:-2])),
    simulated(41, "broken character", "What is no UTF-8 is replaced, as in any event stream.", answers("OneGr\ufffd\ufffde"),
              reply=reply(said("One"), event(b'{"choices":[{"delta":{"content":"Gr\xfc\xdfe"}}]}'), FINISH, DONE)),
    *[simulated(43, name, "Lines may end in LF, CR or CRLF.", answers(), reply=reply(BODY.replace(b"\n", line)))
      for name, line in {"CRLF": b"\r\n", "CR": b"\r"}.items()],
    simulated(43, "CRLF, byte by byte", "A line end may come in two reads.", answers(), ByteAtATime(),
              reply=reply(BODY.replace(b"\n", b"\r\n"))),
    simulated(43, "mixed", "Lines may end differently in one stream.", answers(),
              reply=reply(*[piece.replace(b"\n", line) for piece, line in zip(STORY, [b"\n", b"\r\n", b"\r", b"\n", b"\r\n"], strict=True)])),
    simulated(44, "one", "A mark at the beginning is dropped.", answers(), reply=reply(b"\xef\xbb\xbf" + BODY)),
    simulated(44, "in three reads", "It may come in pieces.", answers(), reply=reply(b"\xef", b"\xbb", b"\xbf", BODY, delay=0.01)),
    simulated(44, "two", "Both are dropped.", answers(),
              reply=reply(b"\xef\xbb\xbf" * 2 + BODY)),
]  # fmt: skip


@told(42, "every split", "However the bytes are cut into reads, the partials are the same.")
def every_split(stage: Stage) -> None:
    body = said("Grüße ") + said("🎉") + said(" – ✓") + FINISH + DONE
    text = "Grüße 🎉 – ✓"
    for size in (1, 2, 3, 5, 7, 16, len(body)):
        writes = [body[place : place + size] for place in range(0, len(body), size)]
        server = stage.simulate(reply(*writes))
        call = stage.call(stage.connection(server))
        stage.keeps(answers(text), call, server)
        deltas = [partial.content_delta for partial in call.partials]
        same(f"deltas in reads of {size}", deltas, ["Grüße ", "🎉", " – ✓", ""])


PING = b"event: ping\ndata: \n\n"
comments = [
    simulated(45, "comments", "They are no part of the answer.", answers(), Comments(every=0.0, count=5, after_events=3)),
    simulated(45, "event: ping", "It is no part of the answer.", answers(),
              reply=reply(PING, STORY[0], PING, *STORY[1:3], b": x\n\n", *STORY[3:])),
    simulated(45, "before the first event", "They do not set `first` back: the call is given up after it.",
              Ends(error=TimedOut, facts={"clock": "first"}, closed=True, within=2.0),
              Comments(every=0.05, count=200, after_events=0), clocks={"first": 0.3}),
    simulated(45, "between events", "They feed `silence`, so that a thinking model is not given up.", answers(),
              Comments(every=0.1, count=6, after_events=3), clocks={"silence": 0.4}),
]  # fmt: skip


SCENARIOS = all_of(globals())
