from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from server.chat.errors import StorageUnavailable
from server.storage.database import Connection, Database, DatabaseRefused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path)
    await database.connect()
    await database.write(lambda connection: connection.run_script("CREATE TABLE t (a UNIQUE);"))
    yield database
    await database.disconnect()


def values(connection: Connection) -> list[object]:
    return [row["a"] for row in connection.fetch_all("SELECT a FROM t ORDER BY a")]


def add(connection: Connection, *numbers: object) -> None:
    with connection.transaction():
        for number in numbers:
            connection.fetch_all("INSERT INTO t VALUES (?)", (number,))


def pragmas(connection: Connection) -> dict[str, object]:
    return {name: connection.fetch_all(f"PRAGMA {name}")[0][0] for name in PRAGMAS}


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5_000}  # 2 is FULL


async def test_every_connection_is_durable_patient_and_does_not_block_readers(database: Database) -> None:
    assert await database.write(pragmas) == PRAGMAS
    for seen in await asyncio.gather(*[database.read(pragmas) for _ in range(6)]):
        assert seen == PRAGMAS


async def test_what_was_written_is_seen_by_every_reader(database: Database) -> None:
    await database.write(lambda connection: add(connection, 1))
    assert await asyncio.gather(*[database.read(values) for _ in range(6)]) == [[1]] * 6


async def test_what_raises_in_a_transaction_undoes_it(database: Database) -> None:
    def fail(connection: Connection) -> None:
        with connection.transaction():
            connection.fetch_all("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    await database.write(lambda connection: add(connection, 2))
    assert await database.read(values) == [2]


async def test_a_commit_that_fails_is_rolled_back(database: Database) -> None:
    def orphan(connection: Connection) -> None:
        connection.run_script("""
            PRAGMA foreign_keys = ON;
            CREATE TABLE parent (a PRIMARY KEY);
            CREATE TABLE child (a REFERENCES parent (a) DEFERRABLE INITIALLY DEFERRED);
        """)
        with connection.transaction():
            connection.fetch_all("INSERT INTO child VALUES (1)")

    with pytest.raises(sqlite3.IntegrityError):
        await database.write(orphan)
    assert await database.read(lambda connection: connection.fetch_all("SELECT * FROM child")) == []
    await database.write(lambda connection: add(connection, 1))


async def test_a_full_disk_is_told_and_passes(database: Database) -> None:
    def limit(connection: Connection, more: int) -> None:
        [row] = connection.fetch_all("PRAGMA page_count")
        connection.fetch_all(f"PRAGMA max_page_count = {row[0] + more}")

    await database.write(lambda connection: limit(connection, 2))
    with pytest.raises(StorageUnavailable, match="full"):
        await database.write(lambda connection: add(connection, *[str(number) * 4_000 for number in range(100)]))
    assert await database.read(values) == []
    await database.write(lambda connection: limit(connection, 1_000))
    await database.write(lambda connection: add(connection, 1))
    assert await database.read(values) == [1]


async def test_a_mistake_in_a_statement_is_no_storage_failure(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(lambda connection: add(connection, 1, 1))
    with pytest.raises(sqlite3.ProgrammingError):
        await database.read(lambda connection: connection.fetch_all("SELECT ?"))
    assert await database.read(values) == []


async def test_a_read_sees_one_state_however_many_statements_it_has(database: Database) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[list[object], list[object]]:
        before = values(connection)
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(10)
        return before, values(connection)

    reading = asyncio.create_task(database.read(twice))
    await begun.wait()
    await database.write(lambda connection: add(connection, 1))
    go_on.set()
    assert await reading == ([], [])
    assert await database.read(values) == [1]


@pytest.mark.parametrize("steps", range(5))
async def test_a_reader_that_leaves_at_any_moment_leaves_its_connection_whole(database: Database, steps: int) -> None:
    for _ in range(4):  # more than there are connections
        reading = asyncio.create_task(database.read(values))
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    await database.write(lambda connection: add(connection, 1))
    assert await asyncio.gather(*[database.read(values) for _ in range(6)]) == [[1]] * 6


async def test_a_writer_that_leaves_takes_nothing_back(database: Database) -> None:
    writing = asyncio.create_task(database.write(lambda connection: add(connection, 1, 2)))
    await asyncio.sleep(0)
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    await database.write(lambda connection: add(connection, 3))
    assert await database.read(values) == [1, 2, 3]


async def test_another_process_on_the_same_file_is_refused_until_the_first_is_gone(
    database: Database, path: Path
) -> None:
    second = Database(path)
    with pytest.raises(DatabaseRefused, match="another"):
        await second.connect()
    await second.disconnect()
    await database.disconnect()
    await second.connect()
    assert await second.read(values) == []
    await second.disconnect()


async def test_who_is_refused_takes_the_lock_from_nobody(database: Database, path: Path) -> None:
    with pytest.raises(DatabaseRefused):
        await Database(path).connect()
    take = f"import sqlite3; sqlite3.connect({str(path) + '-lock'!r}, timeout=0).execute('BEGIN EXCLUSIVE')"
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", take], capture_output=True, text=True, timeout=20
    )
    assert "database is locked" in ended.stderr


async def test_nobody_else_can_read_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    database = Database(folder / "xionimus.db")
    await database.connect()
    await database.write(lambda connection: connection.run_script("CREATE TABLE t (a);"))
    files = {file.name: file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())}
    await database.disconnect()
    assert files.pop("data") == 0o700
    assert {"xionimus.db", "xionimus.db-wal", "xionimus.db-lock"} <= set(files)
    assert set(files.values()) == {0o600}


@pytest.mark.parametrize("name", ["a#b.db", "my%20db.db", "ä ?.db", "a;b&c=d@e:f.db", "tab\t.db"])
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data" / name
    database = Database(path)
    await database.connect()
    await database.write(lambda connection: connection.run_script("CREATE TABLE t (a);"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {f"{name}{suffix}": 0o600 for suffix in ("", "-lock", "-lock-journal", "-shm", "-wal")}
    with pytest.raises(DatabaseRefused, match="another"):
        await Database(path).connect()
    path.rename(path.with_name("moved"))
    with pytest.raises(StorageUnavailable, match="moved"):
        database.verify()
    await database.disconnect()


async def test_a_name_that_cannot_be_told_to_sqlite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="cannot be used"):
        await Database(tmp_path / os.fsdecode(b"\xff.db")).connect()


async def test_a_shell_and_a_backup_may_use_the_file_meanwhile(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as shell, closing(sqlite3.connect(":memory:")) as backup:
        shell.execute("INSERT INTO t VALUES (1)")
        shell.commit()
        shell.backup(backup)
        assert backup.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert await database.read(values) == [1]


async def test_a_damaged_file_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"SQLite format 3\0" + b"nonsense" * 1_000)
    with pytest.raises(DatabaseRefused, match="damaged"):
        await Database(path).connect()
    assert path.read_bytes() == b"SQLite format 3\0" + b"nonsense" * 1_000


async def test_nor_is_what_was_left_beside_it(tmp_path: Path) -> None:
    """As where a backup was put in the place of a database that had been killed."""
    path, other = tmp_path / "restored.db", tmp_path / "killed.db"
    with closing(sqlite3.connect(other)) as killed:
        killed.execute("PRAGMA journal_mode = WAL")
        killed.execute("CREATE TABLE t (a UNIQUE)")
        killed.executemany("INSERT INTO t VALUES (?)", [(f"{number:0100}",) for number in range(1_000)])
        killed.commit()
        killed.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = other.read_bytes()
        killed.execute("INSERT INTO t VALUES ('later')")
        killed.commit()
        log = (tmp_path / "killed.db-wal").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "restored.db-wal").write_bytes(log)
    with pytest.raises(DatabaseRefused, match="xionimus restore"):
        await Database(path).connect()
    assert path.read_bytes() == whole[: len(whole) // 2]
    assert (tmp_path / "restored.db-wal").read_bytes() == log


async def test_a_file_that_everybody_could_read_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "copied.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (a)")
    path.chmod(0o644)
    database = Database(path)
    await database.connect()
    await database.write(lambda connection: connection.fetch_all("INSERT INTO t VALUES (1)"))
    modes = [stat.S_IMODE(os.stat(f"{path}{suffix}").st_mode) for suffix in ("", "-wal", "-shm")]
    await database.disconnect()
    assert modes == [0o600] * 3


async def test_a_file_that_was_moved_away_is_noticed(database: Database, path: Path) -> None:
    database.verify()
    os.rename(path, moved := path.with_name("moved.db"))
    with pytest.raises(StorageUnavailable, match="moved"):
        database.verify()
    os.rename(moved, path)
    database.verify()


def test_a_process_ends_after_disconnecting(path: Path) -> None:
    program = """
        import asyncio, sys
        from pathlib import Path
        from server.storage.database import Database

        async def main():
            database = Database(Path(sys.argv[1]))
            await database.connect()
            await database.write(lambda connection: connection.fetch_all("CREATE TABLE t (a)"))
            await database.read(lambda connection: connection.fetch_all("SELECT * FROM t"))
            await database.disconnect()

        asyncio.run(main())
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(path)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=20)
    assert (ended.returncode, ended.stderr) == (0, b"")
