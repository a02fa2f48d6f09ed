"""A folder of wheels built from this checkout, and environments made from nothing but those wheels."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD_WHEELS = Path(__file__).with_name("build_wheels.py")
PLUGINS = Path(__file__).parents[2] / "plugins"
HOSTILE = ("polyglot-exits", "polyglot-claims", "polyglot-wrong-hooks", "polyglot-writes", "polyglot-hangs")
COMMANDS = "Scripts" if os.name == "nt" else "bin"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with installed wheels. What runs in it starts in an empty folder, without our settings."""

    folder: Path
    wheelhouse: Path

    @property
    def python(self) -> Path:
        return self.folder / COMMANDS / "python"

    def install(self, *distributions: str) -> None:
        """Install our wheels by path and what they need from the same folder; no index is asked."""
        wheels = [wheel_of(self.wheelhouse, distribution) for distribution in distributions]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", self.python]
        # Not compiled: of hundreds of modules, few are imported.
        options = ["--no-compile", "--no-index", "--find-links", self.wheelhouse]
        subprocess.run([*pip, "install", *options, *wheels], check=True)

    def command(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run an installed command."""
        return self._run([self.folder / COMMANDS / name, *arguments], variables)

    def program(self, text: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program."""
        return self._run([self.python, "-c", text, *arguments], variables)

    @contextlib.contextmanager
    def started(self, text: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Start a Python program, with pipes; killed if it is left unfinished."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [self.python, "-c", text]
        with subprocess.Popen(command, cwd=self._home, env=self._env | variables, encoding="utf-8", **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def _home(self) -> Path:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return home

    @property
    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        home = str(self._home)
        return kept | {"HOME": home, "USERPROFILE": home, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}

    def _run(self, command: list[str | Path], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self._home,
            env=self._env | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=240,
            check=False,
        )


def wheel_of(wheelhouse: Path, distribution: str) -> Path:
    """The wheel of one distribution; there is exactly one."""
    (wheel,) = wheelhouse.glob(f"{distribution.replace('-', '_')}-*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of wheels that ``WHEELHOUSE`` names, as under tox, or else a new one."""
    if named := os.environ.get("WHEELHOUSE"):
        return Path(named)
    folder = tmp_path_factory.mktemp("wheelhouse")
    subprocess.run([sys.executable, BUILD_WHEELS, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Environment:
    """What a user has after installing our packages."""
    ours = ("polyglot-core", "polyglot-openai", "polyglot-simulator", "polyglot-cli")
    return _environment(tmp_path_factory, wheelhouse, *ours)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Environment:
    """Every package of ours beside the others."""
    plugins = [
        f"polyglot-{folder.name}" for folder in sorted(PLUGINS.iterdir()) if (folder / "pyproject.toml").is_file()
    ]
    return _environment(tmp_path_factory, wheelhouse, "polyglot-core", *plugins)


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Environment:
    """The core beside one good driver of a third party, one that cannot be imported, and two that claim one name."""
    strangers = ("polyglot-acme", "polyglot-broken", "polyglot-twin-one", "polyglot-twin-two")
    return _environment(tmp_path_factory, wheelhouse, "polyglot-core", *strangers)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Environment:
    """What a user has after installing our packages, one good driver of a third party, and five hostile packages."""
    ours = ("polyglot-core", "polyglot-openai", "polyglot-simulator", "polyglot-cli")
    strangers = ("polyglot-acme", "polyglot-contract-one")
    return _environment(tmp_path_factory, wheelhouse, *ours, *strangers, *HOSTILE)


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Environment:
    """The core beside drivers of third parties, with what these depend on."""
    drivers = ("polyglot-tgi", "polyglot-bedrock-messages", "polyglot-replicate")
    return _environment(tmp_path_factory, wheelhouse, "polyglot-core", *drivers)


def _environment(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path, *distributions: str) -> Environment:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    environment = Environment(folder, wheelhouse)
    environment.install(*distributions)
    return environment
