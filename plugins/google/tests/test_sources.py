"""Sources of a stream: whose segments are whose, and where these are."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core.plugin import Chunk, Citation
from polyglot_google.decoding import decode_chunk
from polyglot_google.text_offsets import NOWHERE, TextOffsets


def web(name):
    return {"web": {"uri": f"https://{name}.example", "title": name}}


def support(text, *indexes, **segment):
    return {"segment": {"text": text, **segment}, "groundingChunkIndices": list(indexes)}


def stream(*metadata):
    chunks = [
        {
            "candidates": [
                {"content": {"parts": [{"text": "x"}]}, "groundingMetadata": {**dict(zip(NAMES, each, strict=True))}}
            ]
        }
        for each in metadata
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


NAMES = ("groundingChunks", "groundingSupports")
A, B, C = map(web, "ABC")
EXPECTED = [("A", "of a"), ("A", "also of a"), ("B", "of b")]

STREAMS = {
    "at once": [([A, B], [support("of a", 0), support("also of a", 0), support("of b", 1)])],
    "new ones only": [([A], [support("of a", 0)]), ([B], [support("also of a", 0), support("of b", 1)])],
    "all again": [
        ([A], [support("of a", 0)]),
        ([A, B], [support("of a", 0), support("also of a", 0), support("of b", 1)]),
        ([A, B], [support("of a", 0), support("also of a", 0), support("of b", 1)]),
    ],
    "sources again, supports new": [
        ([A], [support("of a", 0)]),
        ([A, B], [support("also of a", 0), support("of b", 1)]),
    ],
    "some sources again": [
        ([A, B], [support("of a", 0), support("also of a", 0)]),
        ([A], [support("of b", 1)]),
    ],
    "supports before their source": [
        ([A], [support("of a", 0), support("of b", 1)]),
        ([B], [support("also of a", 0)]),
    ],
}


@pytest.mark.parametrize("metadata", STREAMS.values(), ids=STREAMS)
def test_each_source_has_its_segments_once(events, metadata):
    """However the server repeats the sources."""
    cited = [
        event.payload for event in events(stream(*metadata)) if isinstance(event, Citation) if "web" in event.payload
    ]
    found = [(each["web"]["title"], one["segment"]["text"]) for each in cited for one in each["groundingSupports"]]
    assert sorted(found) == sorted(EXPECTED)


def test_late_segments_are_kept(events):
    """The source is known before."""
    cited = [
        event.payload for event in events(stream(([A], []), ([], [support("of a", 0)]))) if isinstance(event, Citation)
    ]
    assert cited == [{**A, "groundingSupports": []}, {**A, "groundingSupports": [support("of a", 0)]}]


@pytest.mark.parametrize("indexes", [(), (7,), (-1,), ("0",)], ids=str)
def test_segment_without_a_source_is_kept(events, indexes):
    """It may have no index, or one that leads nowhere."""
    cited = [event.payload for event in events(stream(([A], [support("x", *indexes)]))) if isinstance(event, Citation)]
    assert cited == [{**A, "groundingSupports": []}, {"groundingSupports": [support("x", *indexes)]}]


def test_candidates_have_sources_of_their_own(replay_body):
    """The indexes of each begin at 0."""
    metadata = [{"groundingChunks": [source], "groundingSupports": [support("x", 0)]} for source in (A, B)]
    candidates = [
        {"index": index, "content": {"parts": [{"text": "x"}]}, "groundingMetadata": each, "finishReason": "STOP"}
        for index, each in enumerate(metadata)
    ]
    choices = replay_body(json.dumps({"candidates": candidates}).encode(), streamed=False).response.choices
    assert [choice.citations[0]["web"]["title"] for choice in choices] == ["A", "B"]


PLACES = {
    "ascii": ([["Roses like sun."]], {"startIndex": 6, "endIndex": 10, "text": "like"}, (0, 6, 10)),
    "offsets are bytes": ([["Röses – like"]], {"startIndex": 11, "endIndex": 15, "text": "like"}, (0, 8, 12)),
    "start of zero": ([["Röse"]], {"endIndex": 3, "text": "Rö"}, (0, 0, 2)),
    "over pieces": ([["Rö"], ["ses"]], {"startIndex": 1, "endIndex": 4, "text": "ös"}, (0, 1, 3)),
    "second block": ([["Rö", "ses"]], {"startIndex": 3, "endIndex": 5, "text": "se"}, (1, 0, 2)),
    "part of its own": ([["Rö", "ses"]], {"partIndex": 1, "startIndex": 1, "endIndex": 3, "text": "es"}, (1, 1, 3)),
    "over blocks": ([["Rö", "ses"]], {"startIndex": 1, "endIndex": 5, "text": "öse"}, (0, 1, 2)),
    "slightly wrong offsets": ([["Roses – like sun."]], {"startIndex": 10, "endIndex": 16, "text": "like"}, (0, 8, 12)),
    "end beyond the text": ([["Roses – like"]], {"startIndex": 10, "endIndex": 16, "text": "like"}, (0, 8, 12)),
    "wrong offsets of a text that is there twice": (
        [["like, like"]],
        {"startIndex": 1, "endIndex": 5, "text": "like"},
        (None, None, None),
    ),
    "offsets far off": (
        [["like" + " " * 100 + "sun"]],
        {"startIndex": 100, "endIndex": 104, "text": "like"},
        (None, None, None),
    ),
    "empty text": ([["Roses"]], {"startIndex": 1, "endIndex": 1, "text": ""}, (None, None, None)),
    "without text": ([["Roses"]], {"startIndex": 1, "endIndex": 3}, (0, 1, 3)),
    "another text": ([["Roses"]], {"startIndex": 1, "endIndex": 3, "text": "xx"}, (None, None, None)),
    "beyond the end": ([["Roses"]], {"startIndex": 1, "endIndex": 30}, (None, None, None)),
    "no end": ([["Roses"]], {"startIndex": 1}, (None, None, None)),
    "odd offsets": ([["Roses"]], {"startIndex": "1", "endIndex": None}, (None, None, None)),
}


@pytest.mark.parametrize(("chunks", "segment", "expected"), PLACES.values(), ids=PLACES)
def test_place_of_a_segment(replay_body, chunks, segment, expected):
    """In characters of the part's text; nothing where the offsets do not fit the text."""
    given = [{"candidates": [{"content": {"parts": [{"text": text} for text in texts]}}]} for texts in chunks]
    about = {"groundingChunks": [A], "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}]}
    given.append({"candidates": [{"groundingMetadata": about, "finishReason": "STOP"}]})
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in given)
    choice = replay_body(body).response.choices[0]
    (cited,) = choice.cited
    assert (cited.part, cited.start, cited.end) == expected
    if cited.part is not None and expected[2] is not None:
        text = choice.parts[cited.part].text[cited.start : cited.end]
        assert segment.get("text", text).startswith(text)


def test_segments_count_without_thinking(replay_body):
    """They are those of the visible text."""
    parts = [{"text": "Hm.", "thought": True}, {"text": "Roses."}]
    about = {"groundingChunks": [A], "groundingSupports": [support("Roses", 0, endIndex=5)]}
    body = {"candidates": [{"content": {"parts": parts}, "groundingMetadata": about, "finishReason": "STOP"}]}
    (cited,) = replay_body(json.dumps(body).encode(), streamed=False).response.choices[0].cited
    assert (cited.part, cited.start, cited.end) == (1, 0, 5)


@given(st.lists(st.text(alphabet="aä–🌹", max_size=3000), min_size=1, max_size=4), st.data())
def test_places_are_those_of_the_text(pieces, data):
    """Any stretch of any text has its place."""
    offsets, text = TextOffsets(), "".join(pieces)
    offsets.begin(0)
    offsets.pieces += pieces
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    before, within = text[:start].encode(), text[start:end].encode()
    place = offsets.place(len(before), len(before) + len(within), text=text[start:end])
    assert place == ((0, start, end) if start < end else NOWHERE)


def seconds(parts):
    """Return how long it takes to decode a chunk with these parts, and metadata for each."""
    count = len(parts)
    segments = [{"startIndex": 2 * n, "endIndex": 2 * n + 2, "text": "ä"} for n in range(count)]
    about = {
        "groundingChunks": [web(str(n)) for n in range(count)],
        "groundingSupports": [{"segment": each, "groundingChunkIndices": [n]} for n, each in enumerate(segments)],
    }
    body = json.dumps({"candidates": [{"content": {"parts": parts}, "groundingMetadata": about}]}).encode()
    begun = time.process_time()
    decode_chunk({}, Chunk(body, body))
    return time.process_time() - begun


@pytest.mark.parametrize(
    "part",
    [
        {"text": "ä"},
        {"text": "ä", "thoughtSignature": "QQ=="},
        {"functionCall": {"name": "f", "args": {}}},
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"addedTomorrow": 1},
    ],
    ids=lambda part: "-".join(part),
)
def test_time_is_linear_in_the_parts(part):
    """Twice the parts take about twice the time."""
    seconds([part] * 100)
    few, many = (min(seconds([part] * count) for _ in range(3)) for count in (500, 4000))
    assert many < 8 * few * 4
