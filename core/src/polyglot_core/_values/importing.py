"""Imports of modules on first use, which a fork in another thread waits for, and of modules of other packages.

A module of another package may do anything when it is imported. Whatever it raises becomes a `PluginError` that names
the package. What it writes to standard output, where the response may be written, is logged instead. An import that
takes long cannot be ended, so it is logged too.
"""

from __future__ import annotations

import importlib
import logging
import operator
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.suggest import suggestion
from polyglot_core.errors import PluginError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_module", "import_plugin", "import_target"]

_log = logging.getLogger("polyglot_core.drivers")

_SECONDS = 5.0  # after which an import is reported as slow; it may have to read a disk that sleeps

# A child that is forked while another thread imports a module inherits the module half imported, and its lock held by a
# thread that the child does not have: its own import would wait for ever. So a fork waits until no import of ours is
# under way.
_importing = threading.RLock()  # reentrant, for a module that forks while it is imported

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )


def import_module(name: str) -> ModuleType:
    """Import a module by its absolute name and return it. Exceptions of the import pass."""
    with _importing:
        return importlib.import_module(name)


class _Output:
    """Standard output while a module is imported: it keeps what the importing thread writes."""

    def __init__(self, usual: Any) -> None:  # noqa: ANN401 (any stream, or none)
        self.usual, self.thread, self.kept = usual, threading.get_ident(), ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a stream has)
        return getattr(self.usual, name)

    def write(self, text: str) -> int:
        """Write a text, or keep it. A module may keep this object, and write to it after the import."""
        if threading.get_ident() == self.thread:
            self.kept += text
        elif self.usual is not None:
            self.usual.write(text)
        return len(text)


def import_plugin(name: str, what: str) -> ModuleType:
    """Import a module of another package and return it.

    Args:
        name: Absolute name of the module.
        what: What it is imported for, with distribution and version, to begin a sentence with.

    Raises:
        PluginError: It cannot be imported. A `KeyboardInterrupt` passes, because it may be a Ctrl-C.
        TransportError: The process has no file descriptor left.
    """
    try:
        return import_module(name) if name in sys.modules else _import_watched(name, what)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, OSError) and (ours := no_descriptor(error)):
            raise ours from error
        raise PluginError(f"{what} could not be imported: {_problem(name, error)}", phase="configure") from error


def _import_watched(name: str, what: str) -> ModuleType:
    slow = threading.Timer(_SECONDS, _log.warning, ("%s is being imported for %g seconds.", what, _SECONDS))
    slow.daemon = True
    slow.start()
    with _importing:  # two threads that exchange standard output would restore each other's
        sys.stdout = output = _Output(sys.stdout)
        try:
            return import_module(name)
        finally:
            slow.cancel()
            output.thread = 0
            sys.stdout = output.usual if sys.stdout is output else sys.stdout  # the module may have set another
            if output.kept:
                _log.warning("%s wrote to standard output when it was imported: %.200r", what, output.kept)


def _problem(name: str, error: BaseException) -> str:
    """Return why a module could not be imported, with what may have been meant by a name that does not exist."""
    module, colon, _ = name.partition(":")
    package, _, last = module.rpartition(".")
    if not isinstance(error, ModuleNotFoundError) or not f"{name}.".startswith(f"{error.name}."):
        return f"{type(error).__name__}: {error}"
    import pkgutil  # noqa: PLC0415 (only a wrong entry point needs it)

    siblings = [each.name for each in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", ()))]
    near = f" (did you mean {module!r}?)" if colon else suggestion(last, siblings)
    return f"{type(error).__name__}: its entry point names the module {name!r}, which does not exist{near}"


def import_target(target: str, what: str) -> Any:  # noqa: ANN401 (whatever the target stands for)
    """Import and return what ``module:attribute`` names.

    Raises:
        PluginError: The module cannot be imported, or has no such attribute.
    """
    module, _, attribute = (part.strip() for part in target.partition(":"))
    found = import_plugin(module, what)
    try:
        return operator.attrgetter(attribute)(found) if attribute else found
    except AttributeError as error:
        near = suggestion(attribute, dir(found))
        raise PluginError(f"{what} is not there: {error}, as {target!r} names it{near}.", phase="configure") from error
