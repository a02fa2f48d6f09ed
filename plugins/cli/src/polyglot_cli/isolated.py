"""Lists of drivers and connections, made in a child process in which the packages of other people are imported.

A module may do anything when it is imported: end the process, write to standard output, or never return. In the child
that affects no one. The child names each module before it is imported, and gives up an import after five seconds. If it
ends without a result, the module named last is the cause, and another child is started in which that module cannot be
imported. So one package costs one line of the list.
"""

from __future__ import annotations

import importlib.abc
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from polyglot_core import Inference, PolyglotError, connections, drivers
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

__all__ = ["EXTENSIONS", "ConnectionRow", "DriverRow", "Extension", "Survey", "run_child", "survey"]

IMPORT_SECONDS = 5.0
"""Seconds that one import may take."""

_CHILD_SECONDS = 120.0  # for all of them; an import in C may keep the child from giving up
_SLOW = 75  # exit code of a child that gave up an import
_RESULT = "\0"  # begins the line of the result; no name of a module begins so
_PROGRAM = (
    "import json, sys; order = json.load(sys.stdin); sys.path[:] = order['path']; "
    "from polyglot_cli.isolated import run_child; run_child(order)"
)

EXTENSIONS = {
    "polyglot.transports": "transport",
    "polyglot.observers": "observer",
    "polyglot.admission": "admission",
    "polyglot.formats": "formats",
    "polyglot.commands": "command",
}
"""Entry-point groups beside drivers and presets, and what each is for."""

_DRIVERS, _PRESETS = "polyglot.drivers", "polyglot.presets"


class DriverRow(NamedTuple):
    """A driver.

    Attributes:
        name: Name that connections use. It begins with the distribution if another one registers the same name.
        distribution: Distribution that provides it.
        version: Version of the distribution.
        usable: Whether it loads.
        reason: Why it does not load.
        hooks: Names of the hooks that it implements.
        notes: What is odd about it, in sentences.
    """

    name: str
    distribution: str
    version: str
    usable: bool
    reason: str
    hooks: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def origin(self) -> str:
        """Return the distribution with its version."""
        return f"{self.distribution} {self.version}"

    @property
    def bare(self) -> str:
        """Return the name without the distribution."""
        return self.name.rpartition(":")[2]


class ConnectionRow(NamedTuple):
    """A name that selects a connection. The fields are those of `polyglot_core.connections`."""

    name: str
    source: str
    driver: str
    model: str | None
    base_url: str | None
    usable: bool
    reason: str
    key: str


class Extension(NamedTuple):
    """A package for another purpose than drivers: its kind, name, distribution with version, and why it is unusable."""

    kind: str
    name: str
    origin: str
    reason: str


class Survey(NamedTuple):
    """Everything that was found.

    Attributes:
        drivers: The drivers.
        connections: The names that select a connection.
        extensions: Packages for other purposes.
        facts: What is wrong with the facts of connections, in sentences.
        warnings: What packages were warned about when they were imported.
        problem: Why the connections cannot be listed; empty if they can.
    """

    drivers: Sequence[DriverRow] = ()
    connections: Sequence[ConnectionRow] = ()
    extensions: Sequence[Extension] = ()
    facts: Sequence[str] = ()
    warnings: Sequence[str] = ()
    problem: str = ""

    def connections_or_raise(self) -> Sequence[ConnectionRow]:
        """Return the connections.

        Raises:
            ConfigError: The configuration cannot be read.
        """
        if self.problem:
            raise ConfigError(self.problem, phase="configure")
        return self.connections


def survey(*parts: str, config: str | None = None) -> Survey:
    """Import all packages in a child process, and return what was found.

    Args:
        parts: Fields of `Survey` that are wanted. `warnings` are always returned.
        config: Path of the configuration file; None is the default one.

    Raises:
        RuntimeError: The child ended before it imported anything.
    """
    skipped: dict[str, str] = {}
    while True:
        order = {"path": sys.path, "parts": parts, "config": config, "skipped": skipped}
        lines, how = _run(json.dumps(order))
        if lines and lines[-1].startswith(_RESULT):
            return _read(json.loads(lines[-1][1:]))
        if not lines or lines[-1] in skipped:
            msg = f"The installed packages cannot be listed: {how}."
            raise RuntimeError(msg)
        skipped[lines[-1]] = how


def _run(order: str) -> tuple[list[str], str]:
    """Run a child; return the lines that it wrote, and how it ended."""
    command = [sys.executable, "-P", "-c", _PROGRAM]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run(  # noqa: S603 (this interpreter)
            command, input=order.encode(), timeout=_CHILD_SECONDS, check=False, **pipes
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode().splitlines(), f"the import did not end within {_CHILD_SECONDS:g} s"
    slow = f"the import did not end within {IMPORT_SECONDS:g} s"
    how = slow if done.returncode == _SLOW else f"the import ended the process, with exit code {done.returncode}"
    return done.stdout.decode().splitlines(), how


def _read(found: dict[str, Any]) -> Survey:
    for text in found["emitted"]:
        warnings.warn(text, stacklevel=2)
    read = Survey(
        [DriverRow(*row) for row in found.get("drivers", ())],
        [ConnectionRow(*row) for row in found.get("connections", ())],
        [Extension(*row) for row in found.get("extensions", ())],
        found.get("facts", ()),
        found["warnings"],
        found.get("problem", ""),
    )
    return read._replace(drivers=[_noted(row, read) for row in read.drivers])


# Names of several packages


def _noted(row: DriverRow, found: Survey) -> DriverRow:
    """Return a driver with notes on its name and its import."""
    rivals = [each.origin for each in found.drivers if each.bare == row.bare and each != row]
    notes = [f"The name {row.bare!r} is also registered by {rival}." for rival in rivals]
    own = {each.distribution for each in found.drivers}
    presets = [entry.dist for entry in metadata.entry_points(group=_PRESETS) if entry.name == row.bare]
    owners = {dist.name: dist.version for dist in presets if dist is not None and _is_allowed(dist.name, own)}
    if row.distribution and row.distribution not in owners:
        notes += [
            f"A preset of {owner} {version} has this name and is used first; the driver is "
            f"'{row.distribution}:{row.bare}'."
            for owner, version in owners.items()
        ]
    name = f"river {row.bare!r} of {row.origin} "  # "Driver" or "The driver"
    notes += [f"It {text.partition(name)[2]}" for text in found.warnings if name in text]
    return row._replace(notes=notes)


def _is_allowed(distribution: str, providers: set[str]) -> bool:
    """Return whether presets of a distribution are allowed: there is no allow list, or it has a driver of that."""
    allowed = os.environ.get("POLYGLOT_DRIVERS")
    return allowed is None or distribution in providers or distribution in {each.strip() for each in allowed.split(",")}


# In the child


class _Watch(importlib.abc.MetaPathFinder):
    """Sees each import of a watched module: reports it, gives it up after a while, or makes it fail.

    Args:
        watched: Names of the modules.
        skipped: Modules that must not be imported, and why.
        report: Called with the name of a module.
    """

    def __init__(self, watched: set[str], skipped: Mapping[str, str], report: Callable[[str], object]) -> None:
        self._watched = watched
        self._skipped = skipped
        self._report = report
        self._timer = threading.Timer(0, str)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Return None: the other finders find the module."""
        if fullname in self._skipped:
            raise ImportError(self._skipped[fullname])
        if fullname in self._watched:
            self._report(fullname)
            self.end()
            self._timer = threading.Timer(IMPORT_SECONDS, os._exit, [_SLOW])
            self._timer.daemon = True
            self._timer.start()
        return None

    def end(self) -> None:
        """End the wait for the current import."""
        self._timer.cancel()


def run_child(order: Mapping[str, Any]) -> NoReturn:
    """List what is asked for in this process, which is a child, write the result, and end the process.

    Args:
        order: What `survey` has sent: the skipped modules, the parts and the configuration file.
    """
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def write(line: str) -> None:
        print(line, file=output, flush=True)

    watch = _Watch(set(_modules()), order["skipped"], write)
    sys.meta_path.insert(0, watch)
    found: dict[str, Any] = {"warnings": [], "emitted": []}
    logging.getLogger("polyglot_core.drivers").addHandler(_Collector(found["warnings"]))
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning, module="polyglot_core")
        warnings.showwarning = lambda text, *_, **__: found["emitted"].append(str(text))
        for part in order["parts"]:
            try:
                found[part] = _PARTS[part](order["config"])
            except PolyglotError as error:
                found["problem"] = error.message
    watch.end()
    write(_RESULT + json.dumps(found))
    os._exit(0)  # a module may have started threads that never end


class _Collector(logging.Handler):
    """Appends the warnings of core about packages to a list."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self._messages.append(record.getMessage())


def _modules() -> Iterator[str]:
    """Yield the modules that entry points of Polyglot name, and the packages above them."""
    for group in (_DRIVERS, _PRESETS, *EXTENSIONS):
        for entry in metadata.entry_points(group=group):
            name = entry.value.partition(":")[0].strip()
            yield from (name[:index] for index, character in enumerate(name) if character == ".")
            yield name


def _extensions(_: str | None) -> Iterator[tuple[str, ...]]:
    """Yield the packages for other purposes. Those that the allow list excludes are not imported."""
    allowed = os.environ.get("POLYGLOT_DRIVERS")
    names = None if allowed is None else {each.strip() for each in allowed.split(",")}
    for group, kind in EXTENSIONS.items():
        for entry in sorted(metadata.entry_points(group=group)):
            distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
            if names is None or distribution in names or (group == "polyglot.observers" and entry.name in names):
                yield kind, entry.name, f"{distribution} {version}", _problem(entry)


def _problem(entry: metadata.EntryPoint) -> str:
    try:
        entry.load()
    except BaseException as error:  # noqa: BLE001 (whatever a module raises)
        return f"{type(error).__name__}: {error}"
    return ""


class _ReadFacts(Mapping[str, Any]):
    """The facts of a connection; `unread` are those that nothing has read."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self.unread = set(facts)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (a fact of any type)
        self.unread.discard(name)
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


def _facts(config: str | None) -> Iterator[str]:
    """Yield what is wrong with facts: those that the driver rejects, and those that no hook for requests reads."""
    for row in connections(config):
        if row.source == "driver" or not row.driver:
            continue
        try:
            connection = Inference.using(row.name, config=config, api_key="none").connection
            if connection.facts:
                facts = _ReadFacts(connection.facts)
                watched = connection.with_changes(facts=facts, fallbacks=(), observers=())
                Inference.from_connection(watched).capabilities(connection.model or "model")
                if facts.unread:
                    yield f"The driver {row.driver!r} does not read {_listed(facts.unread)} of {row.name!r}."
        except ConfigError as error:
            if "facts" in error.message:
                yield error.message
        except PolyglotError:  # the lists have it
            continue


def _listed(names: set[str]) -> str:
    return f"the fact{'s' * (len(names) > 1)} {', '.join(map(repr, sorted(names)))}"


_PARTS: dict[str, Callable[[str | None], Any]] = {
    "drivers": lambda _: [tuple(row) for row in drivers()],
    "connections": lambda config: [tuple(row) for row in connections(config)],
    "extensions": lambda config: list(_extensions(config)),
    "facts": lambda config: list(_facts(config)),
}
