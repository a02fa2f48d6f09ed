"""What ``polyglot doctor`` finds out: the installation, its packages, the connections, and what is wrong with them."""

from __future__ import annotations

import os
import platform
import re
import ssl
import stat
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import click

from polyglot_cli.isolated import EXTENSIONS, Survey, survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_cli.online import Trial

__all__ = ["ConfigFile", "Report", "examine"]

_REQUIRED_NAME = re.compile("[A-Za-z0-9._-]+")  # begins a requirement
_GROUPS = ("polyglot.drivers", "polyglot.presets", "polyglot.dialects", *EXTENSIONS)
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class ConfigFile(NamedTuple):
    """The configuration file.

    Attributes:
        path: Its path; None if there is no home folder.
        exists: Whether it is there.
        permissions: Its mode in octal digits; empty if there is none.
        private: Whether only its owner can read it. True where permissions are no such thing.
        packages: The distribution that it chooses for a name.
    """

    path: str | None
    exists: bool = False
    permissions: str = ""
    private: bool = True
    packages: Mapping[str, str] = {}


class Report(NamedTuple):
    """Everything that was found out.

    Attributes:
        python: Version and implementation, and the path of the interpreter.
        platform: The operating system.
        packages: Version of each package of Polyglot, of each that extends it, and of the libraries in use.
        found: Drivers, connections and other packages.
        file: The configuration file.
        variables: Names of the variables of Polyglot that are set.
        transport: The transport that is used unless a connection names another.
        proxies: Proxies of the system, by scheme, without user names and passwords.
        certificates: Where trusted certificates are read from, by kind.
        trials: The calls that were made.
    """

    python: Mapping[str, str]
    platform: str
    packages: Mapping[str, str]
    found: Survey
    file: ConfigFile
    variables: Sequence[str]
    transport: str
    proxies: Mapping[str, str]
    certificates: Mapping[str, str]
    trials: Sequence[Trial] = ()

    @property
    def contested(self) -> dict[str, list[str]]:
        """Return the packages that register the same name, by the names of drivers that the file does not choose."""
        owners: dict[str, list[str]] = {}
        for row in self.found.drivers:
            owners.setdefault(row.bare, []).append(row.distribution)
        return {name: of for name, of in owners.items() if len(of) > 1 and name not in self.file.packages}

    def problems(self) -> list[str]:
        """Return what is wrong, in sentences."""
        connections = [
            f"Connection {row.name!r} cannot be used: {row.reason}"
            for row in self.found.connections
            if row.source == "file" and not row.usable
        ]
        trials = [f"A call over {each.connection!r} failed: {each.error}" for each in self.trials if each.error]
        unread = [self.found.problem] if self.found.problem else []
        return [*unread, *_of_packages(self), *connections, *self.found.facts, *_of_settings(self), *trials]

    def notes(self) -> list[str]:
        """Return what is odd, but not wrong: presets that are used instead of a driver, and so on."""
        return [f"{row.name} of {row.origin}: {note}" for row in self.found.drivers for note in row.notes]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values, with the problems first."""
        found = self.found
        return {
            "problems": self.problems(),
            "notes": self.notes(),
            "python": dict(self.python),
            "platform": self.platform,
            "packages": dict(self.packages),
            "drivers": [row._asdict() for row in found.drivers],
            "contested": self.contested,
            "connections": [row._asdict() for row in found.connections],
            "extensions": [row._asdict() for row in found.extensions],
            "file": self.file._asdict(),
            "variables": list(self.variables),
            "transport": self.transport,
            "proxies": dict(self.proxies),
            "certificates": dict(self.certificates),
            "online": [trial._asdict() for trial in self.trials],
        }


def _of_packages(report: Report) -> Iterator[str]:
    """Yield what is wrong with packages: those that cannot be used, odd modules, and names of several packages."""
    for row in report.found.drivers:
        if not row.usable:
            yield f"{row.reason}."
        yield from (f"Driver {row.name!r} of {row.origin}: {note}" for note in row.notes if note.startswith("It "))
    for name, owners in report.contested.items():
        lines = " or ".join(f'{name} = "{owner}"' for owner in owners)
        yield (
            f"The name {name!r} is registered by {' and '.join(owners)}. Select one in the table [packages] of the "
            f'configuration file: {lines}; or in each connection, as in driver = "{owners[0]}:{name}".'
        )
    for kind, name, origin, reason in report.found.extensions:
        if reason:
            yield f"{kind.capitalize()} {name!r} of {origin} cannot be used: {reason}"


def _of_settings(report: Report) -> Iterator[str]:
    if not report.file.private:
        yield f"{report.file.path} holds a key and can be read by others; run chmod 600 on it."
    for kind, file in report.certificates.items():
        if not Path(file).exists():
            yield f"{kind} is {file}, which does not exist."


def examine(config: str | None) -> Report:
    """Return the report, without calls.

    Args:
        config: Path of the configuration file; None is the default one.
    """
    found = survey("drivers", "connections", "extensions", "facts", config=config)
    return Report(
        python={"version": f"{platform.python_implementation()} {platform.python_version()}", "path": sys.executable},
        platform=platform.platform(),
        packages=_packages(),
        found=found,
        file=_config_file(config),
        variables=sorted(name for name in os.environ if name.startswith("POLYGLOT_")),
        transport=_transport(found),
        proxies={scheme: _without_credentials(url) for scheme, url in sorted(getproxies().items()) if scheme != "no"},
        certificates=_certificates(),
    )


def _packages() -> dict[str, str]:
    """Return names and versions: of Polyglot's packages, of those that register something, and of what they require."""
    extending = {entry.dist.name for group in _GROUPS for entry in metadata.entry_points(group=group) if entry.dist}
    installed: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        installed.setdefault(_plain(distribution.name), distribution)  # the first on the path is the one imported
    ours = {name for name, of in installed.items() if name.startswith("polyglot-") or of.name in extending}
    required = {
        found[0] for name in ours for line in installed[name].requires or () if (found := _REQUIRED_NAME.match(line))
    }
    return {
        name: installed[name].version
        for name in sorted(ours | {_plain(each) for each in required})
        if name in installed
    }


def _plain(name: str) -> str:
    return name.replace("_", "-").lower()


def _config_file(config: str | None) -> ConfigFile:
    path = Path(config or os.environ.get("POLYGLOT_CONFIG") or Path(click.get_app_dir("polyglot")) / "polyglot.toml")
    try:
        mode = path.stat().st_mode
    except OSError:
        return ConfigFile(str(path))
    private = os.name != "posix" or not mode & (stat.S_IRWXG | stat.S_IRWXO)
    try:
        read = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # core has reported it
        read = {}
    entries = read.get("connections")
    keys = any("api_key" in entry for entry in entries.values()) if isinstance(entries, dict) else False
    packages = read.get("packages")
    chosen = packages if isinstance(packages, dict) else {}
    return ConfigFile(str(path), True, f"{stat.S_IMODE(mode):04o}", private or not keys, chosen)  # noqa: FBT003 (exists)


def _transport(found: Survey) -> str:
    """Return the transport that is used by default: the one of the variable, the only installed one, or core's own."""
    installed = [each.name for each in found.extensions if each.kind == "transport" and not each.reason]
    return os.environ.get("POLYGLOT_TRANSPORT") or (installed[0] if len(installed) == 1 else "built in")


def _without_credentials(url: str) -> str:
    """Return the URL of a proxy without the user name and password."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
    except ValueError:
        return "a URL that cannot be read"


def _certificates() -> dict[str, str]:
    """Return the files and folders of trusted certificates: those of variables, of certifi, or of OpenSSL."""
    found = {name: os.environ[name] for name in _CERTIFICATES if os.environ.get(name)}
    try:  # HTTP clients use it where it is installed
        return found | {"certifi": str(metadata.distribution("certifi").locate_file("certifi/cacert.pem"))}
    except metadata.PackageNotFoundError:
        usual = ssl.get_default_verify_paths()
        return found | {kind: path for kind, path in (("file", usual.cafile), ("folder", usual.capath)) if path}
