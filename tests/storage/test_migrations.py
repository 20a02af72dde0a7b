from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from server.chat.errors import StorageUnavailable
from server.storage import migrations
from server.storage.database import Connection, Database, Row
from server.storage.landmarks import SELECT_BETWEEN, SELECT_LANDMARKS, SELECT_LAST
from server.storage.migrations import SchemaRefused, migrate, scripts

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path)
    await database.connect()
    yield database
    await database.disconnect()


def version(connection: Connection) -> int:
    [row] = connection.fetch_all("PRAGMA user_version")
    number: int = row[0]
    return number


def tables(connection: Connection) -> set[str]:
    return {row[0] for row in connection.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def run(database: Database, statement: str) -> list[Row]:
    return await database.write(lambda connection: connection.fetch_all(statement))


async def test_an_empty_file_gets_the_whole_schema(database: Database) -> None:
    assert await database.write(migrate) == len(scripts()) == await database.read(version)
    assert {"sessions", "events", "messages", "claims", "idempotency"} <= await database.read(tables)


async def test_a_file_of_today_stays_as_it_is(database: Database) -> None:
    await database.write(migrate)
    await run(database, "INSERT INTO claims VALUES ('msg', 'token')")
    assert await database.write(migrate) == len(scripts())
    assert len(await run(database, "SELECT * FROM claims")) == 1


async def test_a_file_from_the_future_is_refused_and_left_alone(database: Database) -> None:
    await run(database, "PRAGMA user_version = 99")
    with pytest.raises(SchemaRefused, match="schema version 99"):
        await database.write(migrate)
    assert await database.read(version) == 99
    assert await database.read(tables) == set()


async def test_only_what_is_missing_is_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["CREATE TABLE one (a);", "CREATE TABLE two (a); INSERT INTO one VALUES (1);"]
    monkeypatch.setattr(migrations, "scripts", lambda: steps[:1])
    assert await database.write(migrate) == 1
    monkeypatch.setattr(migrations, "scripts", lambda: steps)
    assert await database.write(migrate) == 2
    assert await database.read(tables) == {"one", "two"}
    assert await database.write(migrate) == 2
    assert len(await run(database, "SELECT * FROM one")) == 1


async def test_an_upgrade_is_in_the_log(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server")
    monkeypatch.setattr(migrations, "scripts", lambda: scripts()[:1])
    await database.write(migrate)
    assert caplog.messages == []
    monkeypatch.undo()
    newest = await database.write(migrate)
    assert caplog.messages == [f"schema version 1 becomes {newest}; older programs refuse it then"]


async def test_events_of_the_first_version_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "scripts", lambda: scripts()[:1])
    await database.write(migrate)
    events = [(session, seq, "run", "chunk", "msg", f'{{"n":{seq}}}') for session in (2, 1) for seq in (1, 2, 3)]
    insert = "INSERT INTO events (session, seq, run, type, message_id, body) VALUES (?, ?, ?, ?, ?, ?)"
    await database.write(lambda connection: connection.execute_many(insert, events))
    monkeypatch.undo()
    await database.write(migrate)
    kept = await run(database, "SELECT session, seq, run, type, message_id, body FROM events ORDER BY session, seq")
    assert [tuple(row) for row in kept] == sorted(events)
    with pytest.raises(sqlite3.IntegrityError):
        await run(database, "INSERT INTO events (session, seq, run, type, body) VALUES (1, 3, '', '', '')")


async def test_the_search_index_of_the_third_version_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "scripts", lambda: scripts()[:3])
    await database.write(migrate)
    insert = """INSERT INTO messages (id, session, role, status, content, created_at, after_epoch, after_seq)
                VALUES (?, 1, 'user', 'completed', ?, '', '', 0)"""
    await run(
        database, "INSERT INTO sessions (owner, id, created_at, updated_at, oldest_run) VALUES ('o', 's', '', '', '')"
    )
    messages = [("one", "first words"), ("two", "second words")]
    await database.write(lambda connection: connection.execute_many(insert, messages))
    monkeypatch.undo()
    await database.write(migrate)
    found = "SELECT rowid FROM message_search WHERE message_search MATCH 'words'"
    assert len(await run(database, found)) == 2
    assert await run(database, "SELECT * FROM unindexed") == []
    await run(database, "DELETE FROM messages WHERE id = 'one'")
    assert len(await run(database, found)) == 1


async def test_a_step_that_fails_leaves_the_version_before_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["CREATE TABLE one (a);", "CREATE TABLE two (a); INSERT INTO one VALUES (1); SELECT nonsense;"]
    monkeypatch.setattr(migrations, "scripts", lambda: steps)
    with pytest.raises(StorageUnavailable, match="nonsense"):
        await database.write(migrate)
    assert await database.read(version) == 1
    assert await database.read(tables) == {"one"}
    assert await run(database, "SELECT * FROM one") == []
    monkeypatch.setattr(migrations, "scripts", lambda: [steps[0], "CREATE TABLE two (a);"])
    assert await database.write(migrate) == 2


def test_the_files_are_numbered_without_gaps() -> None:
    names = sorted(file.name for file in Path(migrations.__file__).parent.glob("*.sql"))
    assert [int(name.split("_")[0]) for name in names] == list(range(1, len(names) + 1))
    assert [len(name.split("_")[0]) for name in names] == [4] * len(names)


def test_a_gap_in_the_numbers_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("")
    (tmp_path / "0003_third.sql").write_text("")
    monkeypatch.setattr(migrations, "files", lambda name: tmp_path)
    with pytest.raises(AssertionError, match="0003_third"):
        scripts()


async def test_every_query_for_pages_uses_an_index(database: Database, path: Path) -> None:
    await database.write(migrate)
    queries = {
        SELECT_LANDMARKS.replace(":stream", "1").replace(":first", "5"): "SEARCH events USING INDEX landmarks",
        SELECT_LAST.replace("?", "1"): "SEARCH events USING INDEX landmarks",
        SELECT_BETWEEN.replace("?", "1"): "SEARCH events USING INTEGER PRIMARY KEY",
        "SELECT MAX(key) AS key FROM events": "SEARCH events",
        "SELECT * FROM messages WHERE session = 1 AND key < 5 ORDER BY key DESC LIMIT 9": "messages_of_session",
        "SELECT id FROM messages WHERE session = 1 AND status = 'streaming' ORDER BY key": "messages_streaming",
        "SELECT * FROM sessions WHERE owner = '' AND id IS NOT NULL ORDER BY updated_at DESC, key DESC LIMIT 9": (
            "sessions_newest"
        ),
    }
    with closing(sqlite3.connect(path)) as shell:
        for query, index in queries.items():
            plan = " ".join(row[3] for row in shell.execute(f"EXPLAIN QUERY PLAN {query}"))
            assert index in plan
            assert "TEMP B-TREE" not in plan
