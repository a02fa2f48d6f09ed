"""Checks of how a driver encodes requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from polyglot_core.plugin import json_access
from polyglot_testkit.check import KEY, differing, expect
from polyglot_testkit.input_output import no_input_or_output
from polyglot_testkit.probes import is_dropped, probes_for

if TYPE_CHECKING:
    from polyglot_testkit.check import Exam

__all__ = [
    "encoding_is_deterministic_and_touches_nothing",
    "every_feature_is_encoded_or_rejected",
    "stream_is_only_a_switch",
    "the_key_stays_out_of_url_and_body",
]


def encoding_is_deterministic_and_touches_nothing(exam: Exam) -> bool:
    """Check that a request is always encoded to the same bytes, without I/O."""
    for request in exam.requests:
        first = exam.driver.encode(request)
        with no_input_or_output() as touched:
            second = exam.driver.encode(request)
        expect(not touched, f"encode_request does I/O ({', '.join(touched)}); move it to authorize")
        expect(first == second, "encode_request gives different bytes for one request")
    return True


def the_key_stays_out_of_url_and_body(exam: Exam) -> bool:
    """Check that the key is in no URL and no body, and in a header only as a `Secret`."""
    for request in exam.requests:
        wire = exam.driver.encode(request)
        expect(KEY not in wire.url, "the key is in the URL, where logs and proxies keep it")
        expect(KEY.encode() not in wire.body, "the key is in the body")
        plain = [name for name, value in wire.headers.items() if isinstance(value, str) and KEY in value]
        expect(not plain, f"the key is in the clear in header {plain}; leave it to core, or use Secret")
    return True


def stream_is_only_a_switch(exam: Exam) -> bool:
    """Check that a streamed and a plain request differ in the switch only."""
    for request in exam.requests:
        bodies = [exam.driver.encode(msgspec.structs.replace(request, stream=stream)).body for stream in (True, False)]
        fields = set(differing(*(json_access.parse(body, otherwise=body) for body in bodies))) - exam.switch
        why = (
            f"a streamed and a plain request differ in {', '.join(sorted(fields))}; if these fields are "
            "the switch of the dialect, name them: check_driver(…, switch=[…])"
        )
        expect(not fields, why)
    return True


def every_feature_is_encoded_or_rejected(exam: Exam) -> bool:
    """Check that each feature of a request changes what is sent, or raises a `RequestError`."""
    everything = probes_for(exam.requests[0].model)
    dropped = {probe.name for probe in everything if is_dropped(probe, exam.driver.encode)}
    for name in exam.left_out:
        known = ", ".join(probe.name for probe in everything)
        expect(any(probe.name == name for probe in everything), f"left_out knows no {name!r}; it knows {known}")
        expect(name in dropped, f"{name!r} is encoded or rejected; remove it from left_out")
    missing = [probe.name for probe in everything if probe.name in dropped and probe.name not in exam.left_out]
    why = (
        f"the same is sent with and without {', '.join(missing)}; encode it, pass it to cannot_express, or justify it: "
        "check_driver(…, left_out={name: reason})"
    )
    expect(not missing, why)
    return True
