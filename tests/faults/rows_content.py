"""Rows 65 to 75: the response is complete, and its content is unusual."""

from __future__ import annotations

from typing import Any

from polyglot_core import FinishReason, Truncated
from polyglot_core._values.limits import Limits
from polyglot_core.errors import LimitExceeded, Malformed, Overloaded
from polyglot_openai.chat.presets import PRESETS
from polyglot_simulator import Garbage, RawReply, Reply

from . import frames
from .bodies import DONE, FINISH, GOOGLE, STORY, TEXT, delta, event, finish, reply, said
from .playing import all_of, answers, simulated, told
from .stage import Ends, Scenario, Stage, same

__all__ = ["SCENARIOS"]

# Finish reasons

WORDS = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "malformed_function_call": FinishReason.ERROR,
    "a_new_word": FinishReason.OTHER,
}
reasons = [
    simulated(65, word, "It is one of our words, and the provider's own is kept.",
              answers(facts={"finish_reason": reason, "finish_reason_raw": word}), reply=reply(*STORY[:3], finish(word), DONE))
    for word, reason in WORDS.items()
] + [
    simulated(65, "refusal", "A refusal that is kept apart stays apart from the text.",
              answers("", facts={"refusal": "I cannot."}), reply=Reply(refusal="I cannot.")),
    simulated(65, "anthropic: refusal", "It is one of our words.", answers(facts={"finish_reason": FinishReason.REFUSAL}),
              reply=Reply(TEXT, finish_reason="refusal"), driver="anthropic"),
    simulated(65, "gemini: SAFETY", "It is one of our words.", answers(facts={"finish_reason": FinishReason.CONTENT_FILTER}),
              reply=Reply(TEXT, finish_reason="SAFETY"), driver="gemini"),
]  # fmt: skip

NO_RESOURCES = reply(STORY[0], finish("insufficient_system_resource"), DONE)
interrupted = [
    simulated(65, "deepseek: interrupted", "A reason that means an interruption there is an error that keeps what came.",
              Ends(error=Overloaded, content="One", facts={"attempts": 1, "retryable": True}), reply=NO_RESOURCES,
              again=2, facts=PRESETS["deepseek"].facts),
    simulated(65, "deepseek: interrupted at once", "Before anything came it is asked again.", answers(requests=2),
              reply=[reply(finish("insufficient_system_resource"), DONE), TEXT], again=2, facts=PRESETS["deepseek"].facts),
]  # fmt: skip


# JSON

UNREADABLE = {
    "cut": b'{"choices": [',
    "no JSON": b"Sorry, no.",
    "a list": b"[1, 2",
    "escape sequences": b"\x1b]52;c;aGk=\x07 \x1b[31m",
}
NUMBERS = {"NaN": b"NaN", "Infinity": b"-Infinity", "1e999": b"1e999", "-0": b"-0", "400 digits": b"9" * 400}
DEEP = b'{"choices":[{"index":0,"delta":{"content":"!"}}],"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
json_errors = [
    *[simulated(66, part, "It is said to be unreadable, with where and the beginning of it; it is not passed over.",
                Ends(error=Malformed, content="One two", facts={"attempts": 1, "retryable": False},
                     says=("2 pieces",), never_says=("\x1b", "\x07", "x" * 300)),
                Garbage(after_events=3, data=event(data + b"x" * 1000)), again=2)
      for part, data in UNREADABLE.items()],
    *[simulated(67, part, "A number that is none, or beyond all range, does no harm to the text beside it.", answers("One!"),
                reply=reply(said("One"), event(b'{"choices":[{"index":0,"delta":{"content":"!"},"logprobs":{"n":%b}}],"x":%b}' % (number, number)), FINISH, DONE))
      for part, number in NUMBERS.items()],
    simulated(67, "2^70 tokens", "A count that nobody means is unknown, and the others stand.", answers("One"),
              reply=reply(said("One"), FINISH, event({"choices": [], "usage": {"prompt_tokens": 2**70, "completion_tokens": 1}}), DONE)),
    simulated(68, "a pair in two deltas", "Two halves of a character are one.", answers("One🎉"),
              reply=reply(said("One"), *(event(b'{"choices":[{"index":0,"delta":{"content":"\\u%b"}}]}' % half) for half in (b"d83c", b"df89")), FINISH, DONE)),
    simulated(68, "half a pair", "A half that stays alone is U+FFFD.", answers("One\N{REPLACEMENT CHARACTER}!"),
              reply=reply(said("One"), event(b'{"choices":[{"index":0,"delta":{"content":"\\ud83c!"}}]}'), FINISH, DONE)),
    simulated(69, "100,000 deep", "It is unreadable, and no RecursionError.", Ends(error=Malformed, content="One"),
              reply=reply(said("One"), event(b"[" * 100_000), FINISH, DONE)),
    simulated(69, "in a field that nobody reads", "It is unreadable there too.", Ends(error=Malformed, content="One"),
              reply=reply(said("One"), event(DEEP), FINISH, DONE)),
]  # fmt: skip

# Unusual chunks

ODD = {
    "no choices": {"id": "x"},
    "choices null": {"choices": None},
    "choices []": {"choices": []},
    "delta null": {"choices": [{"index": 0, "delta": None}]},
    "unknown fields": {"choices": [{"index": 0, "delta": {"new": [1]}, "newer": {}}], "newest": 1},
    "nulls": {"id": None, "choices": [{"index": None, "delta": {"content": None, "tool_calls": None, "role": None}, "finish_reason": None}], "usage": None},
}  # fmt: skip
odd_chunks = [
    *[simulated(70, part, "It says nothing, and does no harm.", answers(), reply=reply(event(odd), STORY[0], event(odd), *STORY[1:]))
      for part, odd in ODD.items()],
    simulated(70, "anthropic: unknown event", "It says nothing, and does no harm.", answers(),
              Garbage(after_events=3, data=b'event: new\ndata: {"type":"new","x":1}\n\n'), driver="anthropic"),
    simulated(70, "responses: unknown event", "It says nothing, and does no harm.", answers(),
              Garbage(after_events=3, data=b'event: response.new\ndata: {"type":"response.new"}\n\n'), driver="openai-responses"),
    simulated(70, "bedrock: unknown event", "It says nothing, and does no harm.", answers(), driver="bedrock",
              reply=RawReply(writes=[frames.STORY[0], frames.event("new", {"x": 1}), *frames.STORY[1:]], headers=frames.HEADERS)),
]  # fmt: skip


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Return a usage object."""
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def counting(part: str, promise: str, *writes: bytes, counts: tuple[int, int] | None = (5, 3)) -> Scenario:
    """Define a stream with the token counts that are expected of it."""

    @told(71, part, promise)
    def play(stage: Stage) -> None:
        server = stage.simulate(reply(*writes))
        ending = stage.keeps(answers(), stage.call(stage.connection(server)), server)
        found = ending.response.usage
        same("usage", found and (found.input_tokens, found.output_tokens), counts)

    return play


LAST = event({"choices": [], "usage": usage(5, 3)})
usages = [
    counting("after the finish", "Usage that comes after the finish is waited for.", *STORY[:4], LAST, DONE),
    counting("on every chunk", "Counts that grow replace each other and are never added up.",
             *(event({"choices": [], "usage": usage(5, number)}) + piece for number, piece in enumerate(STORY[:3])), FINISH, LAST, DONE),
    counting("twice", "A report that comes twice counts once.", *STORY[:4], LAST, LAST, DONE),
    counting("before the text", "The order does not matter.", LAST, *STORY),
    counting("with the finish", "Usage in the chunk of the finish counts.", *STORY[:3],
             FINISH.replace(b'"model"', b'"usage":{"prompt_tokens":5,"completion_tokens":3},"model"'), DONE),
    counting("0", "Nothing is a count too.", *STORY[:4], event({"choices": [], "usage": usage(0, 0)}), DONE, counts=(0, 0)),
    counting("none", "What nobody reported is None.", *STORY, counts=None),
]  # fmt: skip

# Choices, tool calls and their order

choices = [
    simulated(72, "finish twice", "The first one counts here.", answers(facts={"finish_reason": FinishReason.STOP}),
              reply=reply(*STORY[:4], finish("length"), DONE)),
    simulated(72, "finish with text", "The text of the last chunk is text.", answers(),
              reply=reply(*STORY[:2], finish("stop", delta={"content": " three"}), DONE)),
    simulated(72, "text after the finish", "It is text.", answers(), reply=reply(*STORY[:2], FINISH, STORY[2], DONE)),
    simulated(72, "gemini: two reasons", "The last one counts there, because STOP may stand on every chunk.",
              answers(facts={"finish_reason": FinishReason.LENGTH}), driver="gemini",
              reply=reply(*(event({**chunk, "candidates": [{**chunk["candidates"][0], "finishReason": word}]})  # type: ignore[dict-item]
                            for chunk, word in zip(GOOGLE, ["STOP", "STOP", "MAX_TOKENS"], strict=True)))),
    simulated(74, "a delta twice", "What comes twice was said twice.", answers("One two two three"),
              reply=reply(STORY[0], STORY[1], *STORY[1:])),
    simulated(74, "anthropic: no starts", "Text that comes before its start is text.", answers(), driver="anthropic",
              reply=reply(*(event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}) for text in ("One", " two", " three")),
                          event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), event({"type": "message_stop"}))),
    simulated(75, "[DONE] and data: as text", "What the model says is text, whatever it looks like.",
              answers("[DONE]\n\ndata: [DONE]\n\n: x\r\nevent: error"),
              reply=reply(said("[DONE]"), said("\n\ndata: [DONE]\n\n"), said(": x\r\nevent: error"), FINISH, DONE)),
]  # fmt: skip


@told(72, "two choices in turn", "Each has its own text and its own finish.")
def two_choices(stage: Stage) -> None:
    server = stage.simulate(Reply(choices=[Reply("One two three"), Reply("Four five", finish_reason="length")]))
    ending = stage.keeps(answers(), stage.call(stage.connection(server)), server)
    found = [(choice.content, choice.finish_reason) for choice in ending.response.choices]
    same("choices", found, [("One two three", FinishReason.STOP), ("Four five", FinishReason.LENGTH)])


@told(
    72, "everything in one chunk", "Text, thinking, a call, log probabilities, the finish and usage survive each other."
)
def everything_at_once(stage: Stage) -> None:
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}
    parts = {"content": TEXT, "reasoning_content": "Hm.", "tool_calls": [call]}
    chunk = finish("stop", delta=parts, logprobs={"content": [1]})
    counted = chunk.replace(b'"model"', b'"usage":{"prompt_tokens":5,"completion_tokens":3},"model"')
    server = stage.simulate(reply(counted, DONE))
    response = stage.keeps(answers(), stage.call(stage.connection(server)), server).response
    found = (
        response.reasoning_content,
        response.tool_calls[0].name,
        response.choices[0].logprobs,
        response.usage.output_tokens,
    )
    same("thinking, call, log probabilities, tokens", found, ("Hm.", "f", ({"content": [1]},), 3))
    same("reason", response.finish_reason, FinishReason.TOOL_CALLS)


@told(72, "a choice of number 10^9", "A number that is too large costs no memory, and too many choices are refused.")
def many_choices(stage: Stage) -> None:
    one = stage.simulate(reply(said("One", 10**9), finish(index=10**9), DONE))
    ending = stage.keeps(answers(""), stage.call(stage.connection(one)), one)
    same("choices", [(choice.index, choice.content) for choice in ending.response.choices], [(10**9, "One")])
    many = stage.simulate(reply(*(said("x", index) for index in range(9)), FINISH, DONE))
    call = stage.call(stage.connection(many, limits=Limits(choices=4)))
    stage.keeps(Ends(error=LimitExceeded, content="x", says=("limits.choices",)), call, many)


def calls(*pieces: dict[str, Any]) -> bytes:
    """Return a chunk with pieces of tool calls: a name, an id and arguments each."""
    made = [
        {**{k: v for k, v in piece.items() if k in {"index", "id"}},
         "function": {k: v for k, v in piece.items() if k in {"name", "arguments"}}}
        for piece in pieces
    ]  # fmt: skip
    return delta(tool_calls=made)


def calling(
    part: str, promise: str, *chunks: bytes, made: list[tuple[Any, ...]], reason: str = "tool_calls"
) -> Scenario:
    """Define a stream with tool calls: name, arguments (None if they do not parse), and whether each may be run."""

    @told(73, part, promise)
    def play(stage: Stage) -> None:
        server = stage.simulate(reply(*chunks, finish(reason), DONE))
        ending = stage.keeps(answers(""), stage.call(stage.connection(server)), server)
        found = [(call.name, call.arguments, call.ready) for call in ending.response.tool_calls]
        same("calls", found, made)
        same("reason", ending.response.finish_reason, FinishReason.TOOL_CALLS)

    return play


A, B = {"a": 1}, {"b": 2}
tool_calls = [
    calling("arguments never close", "What does not parse is kept, says so, and is not offered to be run.",
            calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a": 1'}), made=[("f", None, False)]),
    calling("two in turn", "Pieces go to their own call by index.",
            calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a"'}), calls({"index": 1, "id": "2", "name": "g", "arguments": '{"b"'}),
            calls({"index": 0, "arguments": ":1}"}), calls({"index": 1, "arguments": ":2}"}), made=[("f", A, True), ("g", B, True)]),
    calling("three in turn", "However their pieces take turns, each call is whole.",
            *(calls({"index": index, "id": str(index), "name": name, "arguments": '{"'}) for index, name in enumerate("fgh")),
            *(calls({"index": index, "arguments": text}) for text in ("a", '":', "1}") for index in range(3)),
            made=[(name, A, True) for name in "fgh"]),
    calling("two pieces in one chunk", "Pieces of one index in one chunk go to one call.",
            calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a"'}, {"index": 0, "arguments": ":1}"}), made=[("f", A, True)]),
    calling("no index", "Where the server does not number them, a new name is a new call.",
            calls({"id": "1", "name": "f", "arguments": '{"a"'}), calls({"arguments": ":1}"}), calls({"id": "2", "name": "g", "arguments": '{"b":2}'}),
            made=[("f", A, True), ("g", B, True)]),
    calling("id on every piece", "An id that is repeated changes nothing.",
            *(calls({"index": 0, "id": "1", "name": "f" if text == "{" else None, "arguments": text}) for text in ("{", '"a":', "1}")), made=[("f", A, True)]),
    calling("another id on every piece", "A new id without a name goes on with its index.",
            *(calls({"index": 0, "id": text, "name": "f" if text == "{" else None, "arguments": text}) for text in ("{", '"a":', "1}")), made=[("f", A, True)]),
    calling("same index, new id and name", "It is another call.",
            calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a":1}'}), calls({"index": 0, "id": "2", "name": "g", "arguments": '{"b":2}'}),
            made=[("f", A, True), ("g", B, True)]),
    calling("no arguments", "Nothing at all is the empty object.", calls({"index": 0, "id": "1", "name": "f", "arguments": ""}), made=[("f", {}, True)]),
    calling("stop instead of tool_calls", "A plain stop with calls is `tool_calls`.", calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a":1}'}),
            made=[("f", A, True)], reason="stop"),
]  # fmt: skip


@told(73, "with the finish", "A call in the chunk of the finish is a call.")
def call_with_finish(stage: Stage) -> None:
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}
    server = stage.simulate(reply(finish("tool_calls", delta={"tool_calls": [call]}), DONE))
    ending = stage.keeps(answers(""), stage.call(stage.connection(server)), server)
    same("calls", [(made.name, made.arguments, made.ready) for made in ending.response.tool_calls], [("f", A, True)])


@told(
    73,
    "cut in the arguments",
    "A call that breaks off is in the partial, as far as it came, and is not offered to be run.",
)
def cut_call(stage: Stage) -> None:
    server = stage.simulate(reply(calls({"index": 0, "id": "1", "name": "f", "arguments": '{"a": 1'})))
    ending = stage.keeps(Ends(error=Truncated), stage.call(stage.connection(server)), server)
    call = ending.response.tool_calls[0]
    same("call", (call.name, call.arguments_raw, call.complete, call.ready), ("f", '{"a": 1', False, False))


SCENARIOS = all_of(globals())
