from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.chat.errors import StorageUnavailable
from server.chat.models import Sessions
from server.storage import reading, search
from tests.chat.chatting import Disk
from tests.storage.kept import NOON, OWNER, Kept, keep

pytestmark = pytest.mark.anyio

SESSIONS = {
    "german": ("Wie heißt die größte Stadt?", "Sie heißt Übersee, glaube ich: ÄÖÜ."),
    "chinese": ("什么是日志?", "日志是一系列有序的记录。"),
    "greek": ("Τι είναι η ΟΔΟΣΗΜΑ;", "Είναι στους δρόμους."),  # noqa: RUF001
    "emoji": ("Show me a family", "Here: 👩‍👩‍👧 and 😀!"),
    "code": ('What does "SELECT * FROM t" do?', "100% of rows_of t; it's `a OR b AND NOT c*` NEAR(x) -y ^z {col}:"),
    "windows": ("C:\\temp", "a\\b"),
    "nul": ("before\0after", "behind\0it"),
}


async def found(kept: Kept, query: str, owner: str = OWNER) -> set[str]:
    return {session.id for session in (await kept.store.sessions(owner, query, None, 100)).sessions}


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=["not indexed yet", "indexed"])
async def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    """For tests that only read."""
    async with keep(tmp_path_factory.mktemp("search") / "xionimus.db") as kept:
        for session, (question, reply) in SESSIONS.items():
            await kept.answer(question, reply, session=session)
        if request.param == "indexed":
            await kept.store.index()
            assert await unindexed(kept) == 0
        yield kept


async def unindexed(kept: Kept) -> int:
    [(count,)] = await kept.rows("SELECT COUNT(*) FROM unindexed")
    return int(count)


async def indexed(kept: Kept, text: str) -> int:
    """In how many messages the index has found it."""
    return len(await kept.rows("SELECT rowid FROM message_search WHERE message_search MATCH ?", f'"{text}"'))


@pytest.mark.parametrize(
    ("query", "sessions"),
    [
        ("größte", {"german"}),
        ("GRÖSSTE", set()),
        ("GRÖß", {"german"}),
        ("übersee", {"german"}),
        ("ÜBERSEE", {"german"}),
        ("äöü", {"german"}),
        ("ÖSS", set()),
        ("öß", {"german"}),
        ("äö", {"german"}),
        ("Ü", {"german"}),
        ("ΟΔΟΣ", {"greek"}),
        ("οδοση", {"greek"}),
        ("στουσ", {"greek"}),
        ("Σ", {"greek"}),
        ("日志", {"chinese"}),
        ("是", {"chinese"}),
        ("有序的", {"chinese"}),
        ("有序的记录。", {"chinese"}),
        ("😀", {"emoji"}),
        ("👩‍👩‍👧", {"emoji"}),
        ("👧 and 😀!", {"emoji"}),
        ("FAMILY", {"emoji"}),
        ("me", {"emoji", "windows"}),
    ],
)
async def test_finds_what_contains_it_in_any_script_and_case(filled: Kept, query: str, sessions: set[str]) -> None:
    assert await found(filled, query) - {"windows"} == sessions - {"windows"}


@pytest.mark.parametrize(
    "query",
    [
        *('"SELECT', '"', '""', "'", "it's", "%", "100%", "_", "s_o", "rows_of", "*", "* FROM", "c*`", "OR b"),
        *("AND NOT c", "a OR b AND NOT c", "NEAR(x)", "-y ", "^z", "{col}:", "t; it", "`a", ") -y", "of t;"),
    ],
)
async def test_every_character_means_itself(filled: Kept, query: str) -> None:
    assert await found(filled, query) == {
        session for session, texts in SESSIONS.items() if any(query in text for text in texts)
    }


@pytest.mark.parametrize("query", ["\\", ":\\", "\\b", "C:\\t", "a\\b", "\\temp"])
async def test_a_backslash_means_itself(filled: Kept, query: str) -> None:
    assert await found(filled, query) == {"windows"}


@pytest.mark.parametrize("query", ["s%o", "%_%", "so_hein", "a%b", "'; DROP TABLE sessions; --", "nothing like it"])
async def test_what_nobody_said_is_not_found(filled: Kept, query: str) -> None:
    assert await found(filled, query) == set()


@pytest.mark.parametrize("query", ["\0", "e\0", "re\0af", "\0xyz", "x" * 100_000])
async def test_odd_queries_are_no_failure_of_the_storage(filled: Kept, query: str) -> None:
    assert await found(filled, query) <= {"nul"}


async def test_without_a_query_there_are_all(filled: Kept) -> None:
    assert await found(filled, "") == set(SESSIONS)


async def test_titles_are_searched_too_without_regard_to_case(kept: Kept) -> None:
    await kept.store.create_session(OWNER, "s", "Äpfel und Birnen", NOON)
    for query in ("äpfel", "ÄPFEL", "UND", "ä", "n", "Äpfel und Birnen"):
        assert await found(kept, query) == {"s"}
    assert await found(kept, "Kirschen") == set()


async def test_a_title_that_was_changed_is_found_by_the_new_one_alone(kept: Kept) -> None:
    await kept.store.create_session(OWNER, "s", "before", NOON)
    await kept.store.rename_session(OWNER, "s", "after")
    assert await found(kept, "after") == {"s"}
    assert await found(kept, "before") == set()


async def test_only_ones_own_sessions_are_found(filled: Kept) -> None:
    for query in ("", "日志", "family"):
        assert await found(filled, query, "somebody else") == set()


async def test_what_others_have_said_is_not_gone_through(kept: Kept) -> None:
    plan = await kept.database.read(
        lambda connection: connection.fetch_all(
            f"EXPLAIN QUERY PLAN {search.FOUND_SHORT}", {"owner": OWNER, "text": "x"}
        )
    )
    assert [row["detail"].partition(" USING ")[2].partition("(")[2] for row in plan] == ["owner=?)", "session=?)"]


async def test_searches_leave_a_connection_to_others(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await kept.answer("a question", "eleven words")
    searching, over = threading.Event(), threading.Event()

    def slow(*_: Any) -> Sessions:
        searching.set()
        over.wait(30)
        return Sessions([], has_more=False)

    monkeypatch.setattr(reading, "sessions", slow)
    async with asyncio.TaskGroup() as searches:
        for _ in range(8):
            searches.create_task(kept.store.sessions(OWNER, "x", None, 10))
        try:
            await asyncio.to_thread(searching.wait, 10)
            async with asyncio.timeout(10):
                assert (await kept.store.find(OWNER, message.id)).content == "eleven words"
        finally:
            over.set()


async def test_an_answer_is_found_when_it_has_ended(kept: Kept) -> None:
    accepted, new = await kept.ask("a question")
    assert await found(kept, "eleven") == set()
    await kept.finish(accepted, new.claim, "eleven words")
    assert await found(kept, "eleven") == {"s"}


@pytest.mark.parametrize("first", [True, False])
async def test_what_was_deleted_is_not_found_and_not_in_the_index(kept: Kept, first: bool) -> None:
    await kept.answer("日志", "日志是一系列有序的记录。")
    if first:
        await kept.store.index()
        assert await indexed(kept, "日志是") == 1
    stream, _ = await kept.store.hide_session(OWNER, "s")
    assert await found(kept, "日志是") == set()
    await kept.store.purge_session(stream)
    await kept.store.index()
    assert await indexed(kept, "日志是") == await unindexed(kept) == 0
    await kept.rows("INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)")


async def test_the_index_follows_in_steps(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHARACTERS", 60)
    monkeypatch.setattr(search, "MESSAGES", 5)
    sizes = [10, 70, 10, 10, 10, 50, 10, *[1] * 7]
    for number, size in enumerate(sizes):
        await kept.ask("wanted" + "." * (size - 6), session=f"s{number}")
    steps = []
    before = await unindexed(kept)
    while before:
        await kept.log.transact(search.index_some)
        steps.append(before - (before := await unindexed(kept)))
        assert await found(kept, "wanted") == {f"s{number}" for number, size in enumerate(sizes)}
    assert steps == [1, 1, 3, 2, 5, 2]
    assert await indexed(kept, "wanted") == len(sizes)


async def test_it_follows_what_the_last_process_left(path: Path) -> None:
    async with keep(path) as kept:
        await kept.answer("a question", "eleven words")
    async with keep(path) as kept:
        assert await unindexed(kept) == 2
        await kept.store.index()
        assert await indexed(kept, "eleven words") == 1


async def test_it_goes_on_when_the_storage_works_again(kept: Kept) -> None:
    await kept.answer("a question", "eleven words")
    disk = Disk(kept.database)
    disk.room = 0
    with pytest.raises(StorageUnavailable):
        await kept.store.index()
    assert await found(kept, "eleven") == {"s"}
    disk.room = math.inf
    await kept.store.index()
    assert await indexed(kept, "eleven words") == 1


async def test_where_nothing_was_said_nothing_is_written(kept: Kept) -> None:
    await kept.answer("a question", "eleven words")
    await kept.store.index()
    commits = kept.log.writer.tally.commits
    await kept.store.index()
    assert kept.log.writer.tally.commits == commits


async def test_what_is_to_be_indexed_and_is_not_there_holds_nothing_up(kept: Kept) -> None:
    await kept.answer("one", "eins")
    await kept.database.write(
        lambda connection: connection.execute_many("INSERT INTO unindexed VALUES (?)", [(0,), (999_999,)])
    )
    await asyncio.wait_for(kept.store.index(), 10)
    assert await unindexed(kept) == 0


async def test_a_text_that_the_index_has_cannot_change(kept: Kept) -> None:
    await kept.answer("a question", "eleven words")
    with pytest.raises(sqlite3.IntegrityError, match="written once"):
        await kept.database.write(lambda connection: connection.fetch_all("UPDATE messages SET content = 'other'"))


@pytest.mark.parametrize("query", [search.SELECT_UNINDEXED, search.INDEX, search.FOUND])
async def test_never_are_all_messages_gone_through(kept: Kept, query: str) -> None:
    values = {"text": "", "match": '"x"'} if query is search.FOUND else (1,)
    plan = await kept.database.read(
        lambda connection: [row["detail"] for row in connection.fetch_all(f"EXPLAIN QUERY PLAN {query}", values)]
    )
    assert any("unindexed" in step for step in plan)
    assert [step for step in plan if step.startswith("SCAN messages") or "TEMP B-TREE" in step] == []
