"""A whole conversation, to take away: put together a page at a time, so that others are served in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from time import monotonic

from server.chat.models import Message, Session
from server.chat.service import ChatService

PAGE = 50  # messages

Messages = Sequence[Message]


async def as_json(service: ChatService, owner: str, session: Session) -> bytes:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _encoded(service, owner, session, lambda page: _json([message.public() for message in page])[1:-1])
    return b'{"session":%b,"messages":[%b]}' % (_json(session.public()), b",".join(pages))


async def as_markdown(service: ChatService, owner: str, session: Session) -> bytes:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _encoded(service, owner, session, lambda page: "\n\n".join(map(_markdown, page)).encode())
    return b"\n\n".join([f"# {session.title or session.id}".encode(), *pages]) + b"\n"


async def _encoded(
    service: ChatService, owner: str, session: Session, encode: Callable[[Messages], bytes]
) -> Sequence[bytes]:
    """All pages that have something, the oldest first."""
    pages: list[bytes] = []
    before: str | None = None
    while True:
        began = monotonic()
        history = await service.history(owner, session.id, before, PAGE)
        if history.messages:
            pages.append(encode(history.messages))
            before = history.messages[0].id
        if not history.has_more:
            return pages[::-1]
        await asyncio.sleep(monotonic() - began)  # half of the time is for others


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _markdown(message: Message) -> str:
    who = "Question" if message.role == "user" else f"Answer ({message.provider}/{message.model})"
    ended = "" if message.status == "completed" else f" [{message.status}]"
    parts = [f"## {who}{ended}\n\n{message.created_at}\n\n{message.content}"]
    if message.sources:
        parts.append("\n".join(f"- [{each['title']}]({each['url']})" for each in message.sources))
    return "\n\n".join(parts)
