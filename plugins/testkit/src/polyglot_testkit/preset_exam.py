"""A small exam for presets: rows of data about endpoints, checked with the driver that reads them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from polyglot_core.errors import ConfigError, PluginError, PolyglotError, RequestError
from polyglot_core.plugin import Connection, InferenceRequest, Message, Preset, Secret
from polyglot_core.testing import bind
from polyglot_testkit.check import KEY, ExamFailed, expect, nothing_to_check
from polyglot_testkit.exam import Check, Report, run_check
from polyglot_testkit.key_checks import shown
from polyglot_testkit.probes import probes_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PRESET_CHECKS", "PresetExam", "check_preset", "examine_preset", "installed_driver", "prepare_preset"]

_ACCOUNT_URL = "https://account.example/v1"
_LOCAL = ("127.0.0.1", "localhost", "::1")


class PresetExam(NamedTuple):
    """The input of the checks of a preset.

    Attributes:
        name: Name of the preset.
        preset: The row.
        module: The driver's module; None if the driver is not installed.
    """

    name: str
    preset: Preset
    module: object

    def connection(self, **changes: object) -> Connection:
        """Return a connection with the facts of the row; an address of an account is made up."""
        row = self.preset
        fields: dict[str, object] = {
            "name": self.name,
            "driver": row.driver,
            "base_url": row.base_url or _ACCOUNT_URL,
            "model": row.model or "exam",
            "api_key": Secret(KEY),
            "auth_header": row.auth_header,
            "auth_scheme": row.auth_scheme,
            "facts": row.facts,
            "data_mode": row.data_mode,
            "allow_http": True,  # judged by a check of its own
        }
        return Connection(**{**fields, **changes})  # type: ignore[arg-type]  # checked by the class


def check_preset(name: str, preset: Preset, *, drivers: Mapping[str, object] | None = None) -> Report:
    """Run all checks on a row of data.

    Args:
        name: Name of the preset.
        preset: The row.
        drivers: Modules of drivers that are not installed, by name.

    Raises:
        ExamFailed: A check failed.
    """
    report = examine_preset(prepare_preset(name, preset, drivers=drivers))
    if failed := [f"{result.name}: {result.why}" for result in report.results if result.state == "failed"]:
        raise ExamFailed(f"The preset {name!r} did not pass:\n- " + "\n- ".join(failed))
    return report


def prepare_preset(name: str, preset: Preset, *, drivers: Mapping[str, object] | None = None) -> PresetExam:
    """Return the input of the checks; the arguments are those of `check_preset`."""
    driver = preset.driver
    known = drivers or {}
    return PresetExam(name, preset, known[driver] if driver in known else installed_driver(driver))


def examine_preset(exam: PresetExam) -> Report:
    """Run all checks and return their results; no failure is raised."""
    results = tuple(run_check(name, check, exam) for name, check in PRESET_CHECKS.items())
    return Report(results=results, left_out={}, thin={}, hooks={}, cost=None, name=exam.name)


def installed_driver(name: str) -> object:
    """Return the module of an installed driver; None if there is none.

    Args:
        name: The driver's name; the name of its distribution and a colon may precede it.
    """
    distribution, _, short = name.rpartition(":")
    for entry in entry_points(group="polyglot.drivers", name=short):
        if not distribution or (entry.dist is not None and entry.dist.name == distribution):
            return entry.load()
    return None


# The checks


def the_row_is_a_preset(exam: PresetExam) -> bool:
    """Check that the row is a `Preset` whose name can be written in a configuration file and before a slash."""
    expect(isinstance(exam.preset, Preset), f"the row is a {type(exam.preset).__name__}; create a Preset")
    right = re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", exam.name) is not None
    expect(right, f"the name {exam.name!r} has other characters than a-z, 0-9, dots and dashes")
    return True


def the_driver_is_installed(exam: PresetExam) -> bool:
    """Check that there is a driver of the name that the row states."""
    if exam.module is None:
        names = sorted({entry.name for entry in entry_points(group="polyglot.drivers")})
        near = get_close_matches(exam.preset.driver, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(names)}"
        expect(False, f"no driver {exam.preset.driver!r} is installed; {hint}")  # noqa: FBT003 (it did not hold)
    return True


def the_base_url_is_usable(exam: PresetExam) -> bool:
    """Check that the base URL is https, or of this machine, and has no query, no fragment and no user."""
    url = exam.preset.base_url
    if url is None:
        nothing_to_check("base_url is None: it depends on the account and has to be configured")
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    expect(safe, f"the base URL {url} is not https; plain http exposes the key")
    bare = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username or parts.password)
    expect(bare, f"the base URL {url} has no host, or more than a host and a path")
    expect(url == url.strip() and not url.endswith("/"), f"the base URL {url!r} ends with a slash or has white space")
    return True


def the_key_has_a_variable(exam: PresetExam) -> bool:
    """Check that the environment variable of the key is named, unless the endpoint is on this machine."""
    name = exam.preset.api_key_env
    if name is None:
        local = exam.preset.base_url is not None and urlsplit(exam.preset.base_url).hostname in _LOCAL
        nothing_to_check("no key is needed on this machine" if local else "api_key_env is None: no key is needed")
    expect(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) is not None, f"api_key_env {name!r} is no name of a variable")
    return True


def the_driver_knows_the_facts(exam: PresetExam) -> bool:
    """Check that the driver reads each fact of the row, with its type."""
    try:
        _encode(exam)
    except ConfigError as error:
        raise ExamFailed(_with_hint(str(error), exam.preset.facts)) from error
    except RequestError:
        pass
    return True


def _with_hint(message: str, facts: Mapping[str, object]) -> str:
    """Return the driver's message, with the nearest of the facts that it lists."""
    known = re.findall(r"[a-z_]+", message.rpartition("The facts are ")[2])
    for fact in facts:
        if fact not in known and (near := get_close_matches(fact, known, 1)):
            return f"{message} Did you mean {near[0]!r} instead of {fact!r}?"
    return message


def misspelt_facts_are_rejected(exam: PresetExam) -> bool:
    """Check that the driver refuses a fact that it does not know: a misspelt one would have no effect."""
    facts = {**exam.preset.facts, "exam_fact": True}
    try:
        _encode(exam, facts=facts)
    except ConfigError as error:
        expect("exam_fact" in str(error), f"the error for the fact 'exam_fact' does not name it: {error}")
    except RequestError as error:
        nothing_to_check(f"the question is rejected: {error}")
    else:
        why = f"the driver {exam.preset.driver!r} ignores unknown facts; it should use read_facts"
        expect(not exam.preset.facts, why)
        nothing_to_check("the row has no facts, and the driver reads none")
    return True


def a_question_is_encoded(exam: PresetExam) -> bool:
    """Check that a question is encoded, streamed and plain, for a URL below the base URL, and without the key."""
    for stream in (True, False):
        wire = _encode(exam, stream=stream)
        base = exam.preset.base_url or _ACCOUNT_URL
        origin = urlsplit(base)
        sent = urlsplit(wire.url)
        expect((sent.scheme, sent.netloc) == (origin.scheme, origin.netloc), f"the URL {wire.url} is not below {base}")
        form = shown(wire.url) or shown(wire.body.decode("utf-8", "replace"))
        expect(form is None, f"the key is in the request, {form}")
    return True


def every_feature_is_encoded_or_refused(exam: PresetExam) -> bool:
    """Check that no feature makes the driver crash with the facts of the row."""
    driver = bind(exam.module, exam.connection())
    for probe in probes_for(exam.preset.model or "exam"):
        try:
            driver.encode(probe.request)
        except PluginError as error:
            msg = f"{probe.name}: {error}"
            raise ExamFailed(msg) from error
        except PolyglotError:
            continue
    return True


def _encode(exam: PresetExam, *, stream: bool = True, **changes: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
    if exam.module is None:
        nothing_to_check("the driver is not installed")
    request = InferenceRequest(
        model=exam.preset.model or "exam", messages=(Message(role="user", content="Hello"),), stream=stream
    )
    return bind(exam.module, exam.connection(**changes)).encode(request)


def the_header_of_the_key_can_be_sent(exam: PresetExam) -> bool:
    """Check that the header for the key is one that HTTP allows."""
    headers = exam.connection().auth_headers()
    expect(bool(headers), "the row leads to no header for the key")
    right = all(re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) for name in headers)
    expect(right, f"auth_header {exam.preset.auth_header!r} is no name of a header")
    return True


_RUN: tuple[Callable[[PresetExam], bool], ...] = (
    the_row_is_a_preset,
    the_driver_is_installed,
    the_base_url_is_usable,
    the_key_has_a_variable,
    the_header_of_the_key_can_be_sent,
    the_driver_knows_the_facts,
    misspelt_facts_are_rejected,
    a_question_is_encoded,
    every_feature_is_encoded_or_refused,
)

PRESET_CHECKS: dict[str, Check] = {run.__name__.replace("_", " "): Check(run, "1.0") for run in _RUN}
"""The checks of presets, by their names in plain words."""
