"""A whole conversation, to take away: written and sent a page at a time, so that others are served in between."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import monotonic
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from server.chat.models import Message, Session
from server.chat.service import ChatService

PAGE = 50  # messages
MAX_NAME = 80  # characters
NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff/\\:*?"<>|]+')

Messages = Sequence[Message]
Parts = Sequence[bytes]


async def as_json(service: ChatService, owner: str, session: Session) -> Parts:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _encoded(service, owner, session, lambda page: _json([message.public() for message in page])[1:-1])
    return [b'{"session":%b,"messages":[' % _json(session.public()), *_between(pages, b","), b"]}"]


async def as_markdown(service: ChatService, owner: str, session: Session) -> Parts:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _encoded(service, owner, session, lambda page: "\n\n".join(map(_markdown, page)).encode())
    return [*_between([f"# {session.title or session.id}".encode(), *pages], b"\n\n"), b"\n"]


def response(parts: Parts, media_type: str, headers: Mapping[str, str]) -> Response:
    async def each() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    size = str(sum(map(len, parts)))
    return StreamingResponse(each(), media_type=media_type, headers={**headers, "Content-Length": size})


def disposition(session: Session, suffix: str) -> str:
    """Has a browser name the file by the title (RFC 6266); what knows no such names, by the id."""
    title = NOT_IN_NAMES.sub(" ", session.title)[:MAX_NAME].strip(" .")
    named = f"; filename*=UTF-8''{quote(f'{title}.{suffix}', safe='')}" if title else ""
    return f'attachment; filename="{session.id}.{suffix}"{named}'


async def _encoded(service: ChatService, owner: str, session: Session, encode: Callable[[Messages], bytes]) -> Parts:
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


def _between(parts: Parts, separator: bytes) -> Parts:
    """With the separator between two of them."""
    return [part for each in parts for part in (separator, each)][1:]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _markdown(message: Message) -> str:
    who = "Question" if message.role == "user" else f"Answer ({message.provider}/{message.model})"
    ended = "" if message.status == "completed" else f" [{message.status}]"
    parts = [f"## {who}{ended}\n\n{message.created_at}\n\n{message.content}"]
    if message.sources:
        parts.append("\n".join(f"- [{each['title']}]({each['url']})" for each in message.sources))
    return "\n\n".join(parts)
