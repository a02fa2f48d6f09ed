"""The connections that the page offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_cli.connection_list import CallableConnection, callable_connections
from polyglot_cli.play.simulated import NAME
from polyglot_core import AsyncInference, ConfigError, Inference, PolyglotError

if TYPE_CHECKING:
    from polyglot_simulator import Simulator

__all__ = ["Choices"]

_SIMULATOR = CallableConnection(NAME, "local", "openai", NAME, "running")


class Choices:
    """The connections that can be called, and the simulator.

    Args:
        config: Path of the configuration file; None is the default one. It is read anew at every use.
        simulator: The running simulator.
        first: Name of the connection that is chosen at first; None is the default one.
    """

    def __init__(self, config: str | None, simulator: Simulator, first: str | None = None) -> None:
        self.config = config
        self._simulator = simulator
        self._first = first

    def listed(self) -> list[CallableConnection]:
        """Return the connections, the one that is chosen at first at the beginning.

        Raises:
            ConfigError: The configuration cannot be read, or has no connection of the name that was given.
        """
        found = callable_connections(self.config)
        if all(each.name != NAME for each in found):
            found.append(_SIMULATOR)
        name = self._first or self._default()
        known = next((each for each in found if each.name == name), None) or self._named(name)
        return [known, *(each for each in found if each.name != name)]

    def is_simulator(self, name: str) -> bool:
        """Return True if the name stands for the simulator of this page, and not for a connection of the file."""
        if name != NAME:
            return False
        try:
            Inference.using(name, config=self.config, api_key=None)
        except ConfigError:
            return True
        return False

    def inference(self, name: str) -> AsyncInference:
        """Return an inference for a connection. May wait for a command that prints a key.

        Raises:
            ConfigError: There is no such connection, or its key is missing.
            PluginError: Its driver cannot be loaded.
        """
        if self.is_simulator(name):
            return AsyncInference.from_connection(self._simulator.connection)
        return AsyncInference.using(name, config=self.config)

    def _default(self) -> str:
        """Return the name of the default connection, or that of the simulator if there is none."""
        try:
            return Inference.using(None, config=self.config, api_key=None).connection.name or NAME
        except PolyglotError:  # there is none, or it cannot be called
            return NAME

    def _named(self, name: str) -> CallableConnection:
        """Return a connection that is not listed, such as one with a model behind a slash; its key is not read."""
        connection = Inference.using(name, config=self.config, api_key=None).connection
        return CallableConnection(name, "file", connection.driver, connection.model, "not checked")
