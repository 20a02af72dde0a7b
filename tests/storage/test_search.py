from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.storage.kept import NOON, OWNER, Kept, keep

pytestmark = pytest.mark.anyio

SESSIONS = {
    "german": ("Wie heißt die größte Stadt?", "Sie heißt Übersee, glaube ich: ÄÖÜ."),
    "chinese": ("什么是日志?", "日志是一系列有序的记录。"),
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


@pytest.fixture(scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    """For tests that only read."""
    async with keep(tmp_path_factory.mktemp("search") / "xionimus.db") as kept:
        for session, (question, reply) in SESSIONS.items():
            await kept.answer(question, reply, session=session)
        yield kept


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


async def test_an_answer_is_found_when_it_has_ended(kept: Kept) -> None:
    accepted, new = await kept.ask("a question")
    assert await found(kept, "eleven") == set()
    await kept.finish(accepted, new.claim, "eleven words")
    assert await found(kept, "eleven") == {"s"}


async def test_what_was_deleted_is_not_found_and_not_in_the_index(kept: Kept) -> None:
    await kept.answer("日志", "日志是一系列有序的记录。")
    stream, _ = await kept.store.hide_session(OWNER, "s")
    assert await found(kept, "日志是") == set()
    await kept.store.purge_session(stream)
    assert await kept.rows("SELECT rowid FROM message_search WHERE message_search MATCH '\"日志是\"'") == []
