"""Families of words, words of pictures and opening verbs, as data, and how often they occur."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .passages import Passage

__all__ = [
    "AT_LEAST",
    "AT_MOST",
    "FAMILIES",
    "FUNCTION_KINDS",
    "LIMITED_BELOW",
    "OPENING",
    "PICTURES",
    "REPORTED",
    "VERBS",
    "VERBS_AT_LEAST",
    "Hit",
    "hits",
    "opens_with_verb",
    "per_thousand",
    "verb_share",
    "word_count",
    "worst_files",
]

FAMILIES = {
    "answer": r"answer(s|ed|ing)?",
    "come/came": r"come|comes|came|coming",
    "say/tell": r"say|says|said|saying|tell|tells|told|telling",
    "whoever/somebody": r"whoever|somebody",
    "response": r"responses?",
    "receive": r"receiv(e|es|ed|ing|er)",
    "return": r"return(s|ed|ing)?",
}
"""Words that are counted together, as a pattern of whole words."""

AT_MOST = {"answer": 1.5, "come/came": 1.5, "say/tell": 1.5, "whoever/somebody": 0.1}
"""Occurrences of a family in 1,000 words, in each kind of prose."""

AT_LEAST = {"response": 4.0}
"""The same from below, in the kinds of `LIMITED_BELOW`."""

LIMITED_BELOW = frozenset({"comments", "docstrings", "error strings", "docs"})
FUNCTION_KINDS = frozenset({"docstrings", "docstrings of tests"})
OPENING = "opens with a verb"

VERBS_AT_LEAST = 0.6
"""Share of the docstrings of functions that open with a verb; those of tests state what holds, and are reported."""

PICTURES = {
    "room": r"rooms?",
    "door": r"doors?",
    "house": r"houses?",
    "journey": r"journeys?",
    "let go": r"let(s|ting)?\s+(it\s+|them\s+)?go",
    "on the way": r"on\s+(the|its|their)\s+way",
    "had come": r"ha(d|s|ve)\s+come|what\s+came",
    "stranger": r"strangers?",
    "nobody": r"nobody",
    "whom": r"whom",
}
"""Words of pictures that have no technical meaning; none may occur."""

REPORTED = {
    "place": r"places?",
    "ask": r"ask(s|ed|ing)?",
    "stand": r"stand|stands|stood|standing",
}
"""Words that have a technical meaning too; they are counted without a limit."""

_VERBS = """
    abort accept acquire activate adapt add adjust adopt advance align allow append apply archive arm arrange assemble
    assert assign attach authorize await back begin bind block bound break build bump bundle cache calculate call
    cancel carry catch change check choose clamp classify clean clear clip clone close coerce collapse collect combine
    commit compare compile complete compose compress compute configure confirm connect consume continue convert copy
    count create cut deal decide declare decode decompress decorate decrease decrypt deduplicate defer define delay
    delegate delete deliver deny deprecate dereference derive describe deserialize detach detect determine
    differentiate disable disarm discard disconnect discover dispatch display distribute divide do document double
    download drain draw drive drop dump duplicate echo emit empty enable encode encourage encrypt end enforce enqueue
    enrich ensure enter enumerate erase escape establish estimate evaluate examine exchange exclude execute exhaust
    exit expand expect expire explain export expose express extend extract fail feed fetch fill filter finalize find
    finish fire fix flatten flush fold follow force forget format forward frame free fulfil gather generate get give
    go group grow guard guess halt hand handle hash hide hold identify ignore import include increase increment index
    indicate infer inflate inform inherit initialize inject inline insert inspect install intercept interpret
    interrupt introduce invalidate invoke iterate join judge keep kill label launch lay leave lift limit link lint
    list listen load localize locate lock log look loop lower make map mark mask match measure meet memoize merge
    migrate mirror mock modify monitor mount move name narrow negotiate nest normalize note notify number observe
    obtain offer omit open order override overwrite pack package pad paginate pair parametrize parse partition pass
    patch pause pay peek perform permit persist pick pin pipe place play plot poll pop populate post prefer prefix
    prepare prepend preserve prevent print probe process produce prompt propagate protect prove provide prune publish
    pull purge push put query queue quit quote raise randomize read rearrange reassemble rebuild recompute reconcile
    reconnect reconstruct record recover redact redirect reduce reenter refer refill refresh refuse register reject
    relay release reload remember remove rename render reopen reorder repair repeat replace replay reply report
    represent request require reraise rescue resend reserve reset resolve respond restart restore resume retain
    rethrow retrieve retry return reuse reverse revert revoke rewind rewrite rollback rotate round route run sample
    sanitize save scan schedule scope score scrub seal search seed seek select send separate serialize serve set
    settle shield shift shorten show shrink shuffle shut shutdown sign signal silence simulate skip sleep slice sniff
    solve sort spawn specify spell split start stash state stop store stream strip stub submit subscribe substitute
    subtract succeed suggest sum summarize supply support suppress survive suspend swallow swap switch synthesize take
    tally teach terminate test thread throw tick tidy toggle tokenize touch trace track transfer transform translate
    trap traverse treat trigger trim truncate try turn unblock undo unescape uninstall unite unlink unlock unpack
    unregister unset unsubscribe unwind unwrap unzip update upgrade upload use validate vary verify visit vote wait
    wake walk warn watch weigh withdraw wrap write yield zip
"""
VERBS = frozenset(_VERBS.split())
"""Words with which the docstring of a function may open, as an imperative."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PATTERNS = {
    name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
    for name, pattern in {**FAMILIES, **PICTURES, **REPORTED}.items()
}
_FIRST = re.compile(r"\s*([A-Za-z]+)(?!['-])(?:\s+(of)\b)?")


class Hit(NamedTuple):
    """An occurrence of a family.

    Attributes:
        passage: Where it is.
        line: Line of the file, from 1.
        text: The line, or as much of it as is prose.
    """

    passage: Passage
    line: int
    text: str


def word_count(passages: Iterable[Passage]) -> int:
    """Return how many words passages have."""
    return sum(len(_WORD.findall(passage.prose)) for passage in passages)


def hits(passages: Iterable[Passage], family: str) -> Iterator[Hit]:
    """Yield the occurrences of a family, a word of a picture or a reported word."""
    for passage in passages:
        prose = passage.prose
        lines = prose.splitlines()
        for found in _PATTERNS[family].finditer(prose):
            offset = prose.count("\n", 0, found.start())
            yield Hit(passage, passage.line + offset, lines[offset].strip())


def per_thousand(passages: Iterable[Passage], family: str) -> float:
    """Return the occurrences of a family in 1,000 words."""
    listed = list(passages)
    words = word_count(listed)
    return 1000 * sum(1 for _ in hits(listed, family)) / words if words else 0.0


def opens_with_verb(docstring: str) -> bool:
    """Return whether a docstring opens with a verb in the imperative; "Number of ..." opens with a noun."""
    first = _FIRST.match(docstring)
    return first is not None and first[1].lower() in VERBS and first[2] is None


def verb_share(docstrings: Iterable[Passage]) -> float:
    """Return the share of docstrings that open with a verb; 1 is all."""
    opening = [opens_with_verb(passage.text) for passage in docstrings]
    return sum(opening) / len(opening) if opening else 1.0


def worst_files(passages: Iterable[Passage]) -> list[tuple[str, int]]:
    """Return the files that passages stand in, and how many of them, the most first."""
    return Counter(passage.path for passage in passages).most_common()
