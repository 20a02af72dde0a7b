"""Sessions and messages, as the application and the wire know them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from datetime import UTC, datetime
from typing import Any, Literal

from server.streaming.events import Cursor
from server.streaming.log import Stream
from server.streaming.values import value

MessageStatus = Literal["streaming", "completed", "cancelled", "failed", "interrupted"]
OnBusy = Literal["reject", "interrupt", "enqueue"]

TITLE_LENGTH = 60


def new_message_id() -> str:
    return f"msg_{secrets.token_urlsafe(18)}"


def now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds; the text sorts as the time does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sha256(text: str) -> str:
    """Hex, of the text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def title_of(question: str) -> str:
    """The first question as a title: one line, cut at a word."""
    line = " ".join(question.lstrip()[: 10 * TITLE_LENGTH].split())  # a question may be a book
    if len(line) <= TITLE_LENGTH:
        return line
    head = line[:TITLE_LENGTH]
    cut = head.rfind(" ")
    return (head[:cut] if cut > TITLE_LENGTH // 2 else head) + "…"


@value
class Options:
    """What a request may set about how it is answered; kept, so that it can be answered again alike."""

    ultra_thinking: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    system: str | None = None


@value
class Session:
    id: str
    title: str
    created_at: str
    updated_at: str
    active: Sequence[str] = ()  # messages being written

    def public(self) -> dict[str, Any]:
        return {**asdict(self), "active": list(self.active)}


@value
class Message:
    """`content` is the text so far while the status is `streaming`, then the whole text."""

    id: str
    session_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    status: MessageStatus
    created_at: str
    stream: Stream
    after: Cursor  # its events come after this place,
    last_seq: int | None = None  # and end with this one
    content: str = ""
    thinking: str = ""
    sources: Sequence[Mapping[str, str]] = ()
    provider: str | None = None
    model: str | None = None
    options: Options = field(default_factory=Options)
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    timings: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    finished_at: str | None = None

    def public(self) -> dict[str, Any]:
        """The wire's form. Everything about an answer is None in a question."""
        return {
            "id": self.id,
            "session_id": self.session_id,
            "parent_id": self.parent_id,
            "role": self.role,
            "status": self.status,
            "content": self.content,
            "length": len(self.content),
            "sha256": sha256(self.content),
            "thinking": self.thinking or None,
            "sources": list(self.sources),
            "provider": self.provider,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "timings": self.timings,
            "error": self.problem,
            "created_at": self.created_at,
            "finished_at": self.finished_at,
        }


@value
class MessageAt:
    """A message, and the cursor from which the log continues it exactly."""

    message: Message
    cursor: Cursor


@value
class History:
    """A page of messages, oldest first, as they were at `cursor`."""

    messages: Sequence[Message]
    cursor: Cursor
    has_more: bool


@value
class Sessions:
    sessions: Sequence[Session]
    has_more: bool
