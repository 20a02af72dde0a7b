"""A conversation of several pages is exported whole, in order, in both forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.types import Message

from server.api import export
from tests.chat.chatting import Scripted, answering, chatting
from tests.storage.kept import OWNER

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("page", [1, 2, 3, 6, 7])
async def test_pages_put_together_are_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(export, "PAGE", page)
    async with chatting(tmp_path / "x.db", Scripted(answering("eins"), answering("zwei"), answering("drei"))) as chat:
        for content in ("one", "two", "three"):
            await chat.end(await chat.ask(content))
        session = await chat.service.session(OWNER, "s")
        told = json.loads(b"".join(await export.as_json(chat.service, OWNER, session)))
        history = await chat.service.history(OWNER, "s", None, 100)
        assert told == {"session": session.public(), "messages": [message.public() for message in history.messages]}
        text = b"".join(await export.as_markdown(chat.service, OWNER, session)).decode()
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
        assert json.loads(b"".join(await export.as_json(chat.service, OWNER, session)))["messages"] == []
        assert b"".join(await export.as_markdown(chat.service, OWNER, session)) == b"# Nothing\n"


async def test_a_long_one_is_sent_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    async with chatting(tmp_path / "x.db", Scripted(*[answering("x" * 1_000)] * 4)) as chat:
        for _ in range(4):
            await chat.end(await chat.ask("y"))
        session = await chat.service.session(OWNER, "s")
        parts = await export.as_json(chat.service, OWNER, session)
    response, sent = export.response(parts, "application/json", {}), list[Message]()

    async def receive() -> Message:
        raise AssertionError("nothing is asked of the client")

    async def send(message: Message) -> None:
        sent.append(message)

    await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert max(len(message.get("body", b"")) for message in sent) < 2_000
    assert b"".join(message.get("body", b"") for message in sent) == b"".join(parts)
    assert response.headers["content-length"] == str(len(b"".join(parts)))
