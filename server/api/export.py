"""A whole conversation, to take away: written and sent a page at a time, so that others are served in between."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from time import monotonic
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from server.chat.errors import ChatError
from server.chat.models import History, Message, Session
from server.chat.service import ChatService

logger = logging.getLogger(__name__)

PAGE = 50  # messages
MAX_NAME = 80  # characters
NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff/\\:*?"<>|]+')

Messages = Sequence[Message]
Parts = AsyncIterator[bytes]


async def as_json(service: ChatService, owner: str, session: Session) -> Parts:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _pages(service, owner, session, lambda page: _json([message.public() for message in page])[1:-1])
    return _around(b'{"session":%b,"messages":[' % _json(session.public()), pages, b",", b"]}")


async def as_markdown(service: ChatService, owner: str, session: Session) -> Parts:
    """Raises NotFound if the session is deleted meanwhile."""
    pages = await _pages(service, owner, session, lambda page: b"\n\n" + "\n\n".join(map(_markdown, page)).encode())
    return _around(f"# {session.title or session.id}".encode(), pages, b"", b"\n")


class Download(StreamingResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ChatError as error:  # without its last piece: whoever reads it sees that it was cut
            logger.warning("an export ended early: %s", error)


def response(parts: Parts, media_type: str, headers: Mapping[str, str]) -> Response:
    return Download(parts, media_type=media_type, headers=headers)


def disposition(session: Session, suffix: str) -> str:
    """Has a browser name the file by the title (RFC 6266); what knows no such names, by the id."""
    title = NOT_IN_NAMES.sub(" ", session.title)[:MAX_NAME].strip(" .")
    named = f"; filename*=UTF-8''{quote(f'{title}.{suffix}', safe='')}" if title else ""
    return f'attachment; filename="{session.id}.{suffix}"{named}'


async def _pages(service: ChatService, owner: str, session: Session, encode: Callable[[Messages], bytes]) -> Parts:
    """Those that have something, the oldest first: where each ends is looked up now, what is in it when it is sent.

    So a reader who is slow costs a page or two, however long the conversation is.
    """
    newest = history = await service.history(owner, session.id, None, PAGE)  # kept: others may come behind it
    ends: list[str] = []
    while history.has_more:
        ends.append(history.messages[0].id)
        history = await _in_turn(service.history(owner, session.id, ends[-1], PAGE))

    async def each() -> AsyncIterator[bytes]:
        begin = None
        for end in reversed(ends):
            if messages := await _between(service, owner, session, begin, end):
                yield encode(messages)
            begin = end
        if newest.messages:
            yield encode(newest.messages)

    return each()


async def _between(service: ChatService, owner: str, session: Session, begin: str | None, end: str) -> Messages:
    """The messages from `begin` (None: the first) to the one before `end`."""
    found: list[Message] = []
    while True:
        history = await _in_turn(service.history(owner, session.id, end, PAGE))
        found[:0] = history.messages
        # One that is being written may have grown, and no longer leave room for all of its page.
        if not history.has_more or history.messages[0].id == begin:
            return found
        end = history.messages[0].id


async def _in_turn(reading: Awaitable[History]) -> History:
    """Half of the time is for others."""
    began = monotonic()
    history = await reading
    await asyncio.sleep(monotonic() - began)
    return history


async def _around(head: bytes, pages: Parts, separator: bytes, end: bytes) -> Parts:
    yield head
    between = b""
    async for page in pages:
        yield between + page
        between = separator
    yield end


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _markdown(message: Message) -> str:
    who = "Question" if message.role == "user" else f"Answer ({message.provider}/{message.model})"
    ended = "" if message.status == "completed" else f" [{message.status}]"
    parts = [f"## {who}{ended}\n\n{message.created_at}\n\n{message.content}"]
    if message.sources:
        parts.append("\n".join(f"- [{each['title']}]({each['url']})" for each in message.sources))
    return "\n\n".join(parts)
