"""One SQLite file, through `databases`: one connection that writes, a few that read, all held open.

Held, because every query outside a held connection opens a new one, with a new thread. A factory
sets the PRAGMAs, because those set by a query are forgotten by the next connection. What has to be done
together is one trip to the connection's thread.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite
import databases

from server.chat.errors import StorageUnavailable

Row = sqlite3.Row
Result = TypeVar("Result")
Values = Mapping[str, Any] | Sequence[Any]
Files = Sequence[tuple[int, int]]  # device and number of each; none if one is missing

BUSY_TIMEOUT = 5.0


def lowered(text: str) -> str:
    """As the search's index has it: without regard to case, nor to where in a word a sigma stands."""
    return text.lower().replace("ς", "σ")  # noqa: RUF001


class _Tuned(sqlite3.Connection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row_factory = sqlite3.Row
        # FULL: a commit is on the disk when it is acknowledged; only then does a reader see it.
        # What was deleted is overwritten, however SQLite was built.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -16000", "secure_delete = ON"):
            self.execute(f"PRAGMA {pragma}")
        # SQLite's own LOWER and LIKE know no case but that of ASCII.
        self.create_function("lowered", 1, lowered, deterministic=True)


class _StorageErrors:
    """A class, because this stands around every statement: a generator would take several times as long."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The other two: our own mistake, or a question put to the database.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.IntegrityError | sqlite3.ProgrammingError
        ):
            raise StorageUnavailable(f"the database does not work: {error}") from error


_storage_errors = _StorageErrors()


class Connection:
    """A connection, in the thread that it belongs to. Named (`:name`) or positional (`?`) values.

    Raises StorageUnavailable where SQLite fails for a reason outside the statement.
    """

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def fetch_all(self, query: str, values: Values = ()) -> list[Row]:
        """Run one statement; what it returns (rows of a SELECT, or of RETURNING)."""
        with _storage_errors:
            return self._raw.execute(query, values).fetchall()

    def fetch_one(self, query: str, values: Values = ()) -> Row | None:
        rows = self.fetch_all(query, values)
        return rows[0] if rows else None

    def iterate(self, query: str, values: Values = ()) -> Iterator[Row]:
        """The rows of a SELECT, each read when it is asked for."""
        with _storage_errors:
            yield from self._raw.execute(query, values)

    def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for every row; the number of rows it changed."""
        with _storage_errors:
            return self._raw.executemany(query, rows).rowcount

    def run_script(self, script: str) -> None:
        """Run several statements. On an error, what the script began is rolled back."""
        try:
            with _storage_errors:
                self._raw.executescript(script)
        except BaseException:
            self._raw.rollback()
            raise

    @contextmanager
    def transaction(self, mode: str = "IMMEDIATE") -> Iterator[None]:
        # IMMEDIATE by default: a deferred one that reads first fails at its first write when another
        # process writes, whatever the busy timeout.
        try:
            self.fetch_all(f"BEGIN {mode}")
            yield
            self.fetch_all("COMMIT")
        except BaseException:
            self._raw.rollback()
            raise


class DatabaseRefused(Exception):
    """The file cannot be used; the message names it and says what to do."""


class Database:
    """The file at `path`, for one process alone."""

    def __init__(self, path: Path, readers: int = 2) -> None:
        self._path = path
        self._readers = readers
        self._files: Files = ()
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._held = AsyncExitStack()
        self._writer: aiosqlite.Connection

    async def connect(self) -> None:
        """Raises DatabaseRefused: another server uses the file, it is damaged, or it cannot be written."""
        async with AsyncExitStack() as held:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _create(self._path)
                held.callback(lock(self._path).close)
                await asyncio.to_thread(_check, self._path)
                self._writer = await self._hold(held)
                for _ in range(self._readers):
                    self._idle.put_nowait(await self._hold(held))
            except (sqlite3.Error, OSError, StorageUnavailable) as error:
                raise DatabaseRefused(f"{self._path} cannot be used as a database: {error}") from error
            self._files = _identities(self._path)
            if not self._files:
                raise DatabaseRefused(
                    f"{self._path} cannot be used as a database: another file was opened in its place"
                )
            self._held = held.pop_all()

    async def disconnect(self) -> None:
        # One connection left open keeps the process from ending: its thread is not a daemon.
        await self._held.aclose()

    def verify(self) -> None:
        """Raises StorageUnavailable if the file, or the one that new commits go to, is not there any more.

        SQLite goes on writing to a file that was deleted or moved away, and what it writes is lost.
        """
        if _identities(self._path) != self._files:
            raise StorageUnavailable(f"the database file {self._path}, or its -wal, was moved or deleted")

    async def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` on the connection that writes, in its thread; what it raises is raised here.

        Who is cancelled meanwhile leaves it to be done all the same.
        """
        return await _run(self._writer, work)

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` on a connection that reads; all its statements see the same state."""
        raw = await self._idle.get()
        try:
            return await _run(raw, partial(_in_snapshot, work))
        finally:
            self._idle.put_nowait(raw)

    async def _hold(self, held: AsyncExitStack) -> aiosqlite.Connection:
        # `databases` keeps one connection an instance and task; an instance for each is what holds many.
        # To `databases` the path is part of a URL: unquoted, a `#` or `%20` in it would be another file.
        url = f"sqlite:///{quote(os.fsencode(self._path))}"
        database = databases.Database(url, factory=_Tuned, timeout=BUSY_TIMEOUT)
        await held.enter_async_context(database)
        connection = await held.enter_async_context(database.connection())
        raw: aiosqlite.Connection = connection.raw_connection
        return raw


async def _run(raw: aiosqlite.Connection, work: Callable[[Connection], Result]) -> Result:
    # Private, for want of a public way to do several things in one trip to the thread: a trip costs more than
    # most statements, and a question with its answer takes about forty of those.
    result: Result = await raw._execute(work, Connection(raw._conn))  # type: ignore[no-untyped-call]
    return result


def _in_snapshot(work: Callable[[Connection], Result], connection: Connection) -> Result:
    with connection.transaction("DEFERRED"):
        return work(connection)


def _create(path: Path) -> None:
    """Only its owner can read it, where SQLite would let everybody; the -wal takes that over.

    One that is there is not opened: to close a file ends all locks that the process has on it.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):  # it is another's, whose it is to say who reads it
                os.chmod(f"{path}{suffix}", 0o600)


def lock(path: Path) -> sqlite3.Connection:
    """Held while the process lives, and let go by the system however it ends.

    A database of its own: a lock on the real one would keep backups and the sqlite3 shell out as well.
    """
    place = path.with_name(f"{path.name}-lock")
    _create(place)
    belonging_like(place, path)
    held = sqlite3.connect(place, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        held.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:  # the disk, or the rights
            raise DatabaseRefused(f"{place} cannot be written, which keeps others out meanwhile: {error}") from error
        raise DatabaseRefused(
            f"another Xionimus is using {path}; stop it, or give this one a file of its own with --database-url"
        ) from None
    return held


def _identities(path: Path) -> Files:
    try:
        found = [os.stat(f"{path}{suffix}") for suffix in ("", "-wal")]  # before every commit: a Path takes far longer
    except OSError:
        return ()
    return [(each.st_dev, each.st_ino) for each in found]


def _check(path: Path) -> None:
    """Raises DatabaseRefused for a file that is damaged, and sqlite3.Error for one that cannot be written."""
    if problems := damage(path):
        raise DatabaseRefused(
            f"{path} is damaged ({problems}). Nothing was changed. Put a backup in its place: xionimus restore FILE; "
            f"or save what can be read: sqlite3 '{path}' .recover | sqlite3 rescued.db"
        )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def reading(path: Path) -> sqlite3.Connection:
    """A connection to a file of which nothing is written, nor beside it: it may lie where nothing can be."""
    # Where nothing is left beside it, nobody has it open; and to say so leaves no empty -wal behind.
    is_alone = not any(os.path.exists(f"{path}{suffix}") for suffix in ("-wal", "-journal"))
    how = "mode=ro&immutable=1" if is_alone else "mode=ro"
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?{how}", uri=True)


def belonging_like(file: Path, other: Path) -> None:
    """Give `file` to whom `other`, or else its folder, belongs: a service can use then what root leaves there."""
    with suppress(OSError, AttributeError):  # who is not root gives nothing away, and Windows knows no owners
        found = os.stat(other if other.exists() else other.parent)
        os.chown(file, found.st_uid, found.st_gid)


def damage(path: Path) -> str:
    """What is wrong with the file's contents. Nothing is written, not even what stands in the -wal."""
    try:
        with closing(reading(path)) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError:
        raise  # the disk, the rights, a lock
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    return "" if problems == ["ok"] else "; ".join(problems)
