"""A conversation of several pages is exported whole, in order, in both forms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.types import Message

from server.api import export
from server.chat.models import History
from tests.chat.chatting import Scripted, answering, chatting
from tests.storage.kept import OWNER

pytestmark = pytest.mark.anyio


async def whole(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@pytest.mark.parametrize("page", [1, 2, 3, 6, 7])
async def test_pages_put_together_are_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(export, "PAGE", page)
    async with chatting(tmp_path / "x.db", Scripted(answering("eins"), answering("zwei"), answering("drei"))) as chat:
        for content in ("one", "two", "three"):
            await chat.end(await chat.ask(content))
        session = await chat.service.session(OWNER, "s")
        told = json.loads(await whole(await export.as_json(chat.service, OWNER, session)))
        history = await chat.service.history(OWNER, "s", None, 100)
        assert told == {"session": session.public(), "messages": [message.public() for message in history.messages]}
        text = (await whole(await export.as_markdown(chat.service, OWNER, session))).decode()
        places = [text.index(word) for word in ("# one", "eins", "\n\ntwo", "zwei", "three", "drei")]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Why is the sky blue?", "Why is the sky blue.md"),
        ("a/b\\..\n“ü” 🙂", "a b .. “ü” 🙂.md"),
        ("gpj\u202e.exe\ud800", "gpj .exe.md"),
        ("...", None),
        ("", None),
    ],
)
async def test_the_file_has_the_name_of_the_conversation(tmp_path: Path, title: str, name: str | None) -> None:
    async with chatting(tmp_path / "x.db") as chat:
        session = replace(await chat.service.create_session(OWNER, "s", "x"), title=title)
        plain, _, encoded = export.disposition(session, "md").partition("; filename*=UTF-8''")
        assert plain == 'attachment; filename="s.md"'
        assert (unquote(encoded) or None) == name
        assert encoded.isascii()


async def test_an_empty_conversation_is_exported_too(tmp_path: Path) -> None:
    async with chatting(tmp_path / "x.db") as chat:
        session = await chat.service.create_session(OWNER, "empty", "Nothing")
        assert json.loads(await whole(await export.as_json(chat.service, OWNER, session)))["messages"] == []
        assert (await whole(await export.as_markdown(chat.service, OWNER, session))) == b"# Nothing\n"


async def test_a_long_one_is_sent_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    async with chatting(tmp_path / "x.db", Scripted(*[answering("x" * 1_000)] * 4)) as chat:
        for _ in range(4):
            await chat.end(await chat.ask("y"))
        session = await chat.service.session(OWNER, "s")
        expected = await whole(await export.as_json(chat.service, OWNER, session))
        reads: list[str | None] = []
        history = chat.service.history

        async def counted(owner: str, session_id: str, before: str | None, limit: int) -> History:
            reads.append(before)
            return await history(owner, session_id, before, limit)

        monkeypatch.setattr(chat.service, "history", counted)
        response = export.response(await export.as_json(chat.service, OWNER, session), "application/json", {})
        sent: list[bytes] = []
        looked_up = len(reads)

        async def receive() -> Message:
            raise AssertionError("nothing is asked of the client")

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))
            assert len(reads) - looked_up <= len(sent)  # no page is read before the one in front of it has gone

        await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert max(map(len, sent)) < 2_500
    assert b"".join(sent) == expected


async def test_one_that_is_deleted_meanwhile_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    async with chatting(tmp_path / "x.db", Scripted(*[answering("x")] * 3)) as chat:
        for _ in range(3):
            await chat.end(await chat.ask("y"))
        session = await chat.service.session(OWNER, "s")
        response = export.response(await export.as_json(chat.service, OWNER, session), "application/json", {})
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("nothing is asked of the client")

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == 3:
                await chat.service.delete_session(OWNER, "s")

        await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert len(sent) == 3
    assert sent[-1]["more_body"]


async def test_what_grows_meanwhile_pushes_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 4)
    async with chatting(tmp_path / "x.db", Scripted(answering("a"))) as chat:
        for content in ("one", "two", "three", "four"):
            await chat.end(await chat.ask(content))
        session = await chat.service.session(OWNER, "s")
        expected = await whole(await export.as_json(chat.service, OWNER, session))
        parts = await export.as_json(chat.service, OWNER, session)
        await chat.end(await chat.ask("five"))
        monkeypatch.setattr(export, "PAGE", 1)  # as if the messages were larger now
        assert await whole(parts) == expected
