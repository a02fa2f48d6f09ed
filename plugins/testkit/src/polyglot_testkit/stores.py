"""Where a cache keeps its entries: a folder, or an SQLite file. Both drop what was used least recently."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from polyglot_core.errors import ConfigError
from polyglot_testkit.private_files import make_folder, remove_leftovers, write_private

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

__all__ = ["FolderStore", "SQLiteStore", "Store"]


class Store(Protocol):
    """Keeps entries by their keys. Every method may be called from any thread and any process."""

    def get(self, key: str) -> bytes | None:
        """Return an entry, which is then the one used last; None if there is none, or if it is too old."""
        ...

    def put(self, key: str, entry: bytes) -> None:
        """Keep an entry, and drop those used least recently if there is not enough space."""
        ...

    def drop(self, key: str) -> None:
        """Drop an entry, if there is one."""
        ...


class _Entry(NamedTuple):
    used: float
    size: int
    path: str


class FolderStore:
    """A file for each entry. The time of its last use is the file's time of access; of its writing, that of its change.

    Args:
        folder: The folder, which is created if needed.
        max_bytes: Size of all entries together. While several processes write, it may be exceeded by a twentieth for
            each of them.
        max_age: Seconds for which an entry is used; None for no limit.
    """

    def __init__(self, folder: Path, max_bytes: int, max_age: float | None) -> None:
        make_folder(folder)
        self._folder = folder
        self._max_bytes, self._max_age = max_bytes, max_age
        self._slack = max_bytes // 20  # so that the folder is listed for every twentieth that was written, not always
        self._unlisted = self._slack + 1
        self._lock = threading.Lock()  # guards the number of bytes that were written since the folder was listed

    def get(self, key: str) -> bytes | None:
        """Return an entry, as `Store.get` does."""
        path = self._path(key)
        try:
            written = path.stat().st_mtime
            if self._max_age is not None and time.time() - written > self._max_age:
                self.drop(key)
                return None
            entry = path.read_bytes()
            os.utime(path, (time.time(), written))
        except FileNotFoundError:
            return None
        return entry

    def put(self, key: str, entry: bytes) -> None:
        """Keep an entry, as `Store.put` does."""
        if len(entry) > self._max_bytes - self._slack:
            return
        write_private(self._path(key), entry, durable=False)
        with self._lock:
            self._unlisted += len(entry)
            if self._unlisted <= self._slack:
                return
            self._unlisted = 0
        self._shrink()

    def drop(self, key: str) -> None:
        """Drop an entry."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.jsonl"

    def _shrink(self) -> None:
        """Drop entries until there is space for a twentieth more, and what killed processes have left."""
        entries = sorted(self._entries())
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= self._max_bytes - self._slack:
                break
            total -= entry.size
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.unlink(entry.path)  # noqa: PTH108 (as scandir has it)
        remove_leftovers(self._folder)

    def _entries(self) -> Iterator[_Entry]:
        with os.scandir(self._folder) as files:
            for file in files:
                if file.name.endswith(".jsonl"):
                    with contextlib.suppress(FileNotFoundError):
                        facts = file.stat()
                        yield _Entry(facts.st_atime, facts.st_size, file.path)


_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, entry BLOB NOT NULL, written REAL NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries
    BEGIN UPDATE total SET bytes = bytes + length(new.entry); END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON entries
    BEGIN UPDATE total SET bytes = bytes - length(old.entry); END;
"""

_PATIENCE = 10.0  # seconds to wait for the writes of other processes

_SLICE = 0.02  # seconds between two attempts to change the mode


class SQLiteStore:
    """A row for each entry of one file. Each operation has its own connection, so that threads and forks share none.

    Args:
        file: The file, which is created with mode 0600 if needed.
        max_bytes: Size of all entries together, without what SQLite needs besides.
        max_age: Seconds for which an entry is used; None for no limit.

    Raises:
        ConfigError: The file is not a database that a cache has written.
    """

    def __init__(self, file: Path, max_bytes: int, max_age: float | None) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))  # the files beside it get its mode
        self._file = file
        self._max_bytes, self._max_age = max_bytes, max_age
        try:
            self._prepare()
        except sqlite3.Error as error:
            msg = f"{file} cannot be used as a cache: {error}. Remove it, or name another file."
            raise ConfigError(msg, phase="configure") from error

    def _prepare(self) -> None:
        """Create the tables, unless they exist. SQLite does not wait by itself while another process changes the mode.

        Raises:
            sqlite3.Error: It is not a database, or stays locked.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._open() as database:
                    database.execute("PRAGMA journal_mode = WAL")
                    database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_SLICE)
            else:
                return

    def get(self, key: str) -> bytes | None:
        """Return an entry, as `Store.get` does."""
        now = time.time()
        with self._open() as database:
            row = database.execute("SELECT entry, written FROM entries WHERE key = ?", (key,)).fetchone()
            if row is None or (self._max_age is not None and now - row[1] > self._max_age):
                return None
            with contextlib.suppress(sqlite3.OperationalError):  # another process writes; the moment matters little
                database.execute("PRAGMA busy_timeout = 0")
                database.execute("UPDATE entries SET used = ? WHERE key = ?", (now, key))
        return bytes(row[0])

    def put(self, key: str, entry: bytes) -> None:
        """Keep an entry, as `Store.put` does."""
        if len(entry) > self._max_bytes:
            return
        now = time.time()
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM entries WHERE key = ?", (key,))
            database.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (key, entry, now, now))
            excess = database.execute("SELECT bytes FROM total").fetchone()[0] - self._max_bytes
            oldest = database.execute("SELECT key, length(entry) FROM entries ORDER BY used, key") if excess > 0 else ()
            dropped = []
            for name, size in oldest:
                if excess <= 0:
                    break
                dropped.append((name,))
                excess -= size
            database.executemany("DELETE FROM entries WHERE key = ?", dropped)
            database.execute("COMMIT")

    def drop(self, key: str) -> None:
        """Drop an entry."""
        with self._open() as database:
            database.execute("DELETE FROM entries WHERE key = ?", (key,))

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = NORMAL")
            yield database
        finally:
            database.close()
