"""What happens to an answer, as entries of the log; and back: a message's text from its events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as encode_text
from typing import Any

from server.chat.models import Message, sha256
from server.streaming.events import Entry, Event


def posted(message: Message, client_id: str | None = None) -> Entry:
    echo = {"client_id": client_id} if client_id else {}
    return Entry.of("posted", {"message": message.public(), **echo})


def start(message: Message, timestamp: str) -> Entry:
    about = {
        "parent_id": message.parent_id,
        "provider": message.provider,
        "model": message.model,
        "timestamp": timestamp,
    }
    return Entry.of("start", about, message.id)


def chunk(message_id: str, chunk_id: int, offset: int, content: str) -> Entry:
    # By hand what Entry.of would make: this is done for every chunk, and takes a fifth of the time.
    body = '{"message_id":"%s","chunk_id":%d,"offset":%d,"content":%s}'
    return Entry("chunk", body % (message_id, chunk_id, offset, encode_text(content)), message_id)


def thinking(message_id: str, chunk_id: int, content: str) -> Entry:
    return Entry.of("thinking", {"chunk_id": chunk_id, "content": content}, message_id)


def sources(message_id: str, found: Sequence[Mapping[str, str]]) -> Entry:
    return Entry.of("sources", {"sources": list(found)}, message_id)


def retrying(message: Message, attempt: int, delay: float, problem: Mapping[str, Any]) -> Entry:
    """`problem` is what happened; provider and model are those tried next."""
    about = {"attempt": attempt, "delay": delay, "provider": message.provider, "model": message.model}
    return Entry.of("retrying", {**about, "problem": problem}, message.id)


def session_changed(**fields: Any) -> Entry:
    return Entry.of("session", fields)


def ended(message: Message) -> Entry:
    """The one event that ends an answer, from the message as it will be kept."""
    text = {
        "full_content": message.content,
        "length": len(message.content),
        "sha256": sha256(message.content),
        "timestamp": message.finished_at,
    }
    if message.problem is not None:
        return Entry.of("error", {"status": message.status, "problem": message.problem, **text}, message.id)
    about = {
        "status": message.status,
        "finish_reason": message.finish_reason,
        "provider": message.provider,
        "model": message.model,
        "usage": message.usage,
        "timings": message.timings,
    }
    return Entry.of("complete", {**about, **text}, message.id)


@dataclass
class Transcript:
    """What an answer's events add up to."""

    chunks: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    sources: list[Mapping[str, str]] = field(default_factory=list)
    started: bool = False

    @property
    def content(self) -> str:
        return "".join(self.chunks)

    @property
    def thinking(self) -> str:
        return "".join(self.thoughts)

    def add(self, event: Event) -> None:
        if event.type == "start":
            self.started = True
        elif event.type == "chunk":
            self.chunks.append(json.loads(event.json)["content"])
        elif event.type == "thinking":
            self.thoughts.append(json.loads(event.json)["content"])
        elif event.type == "sources":
            self.sources += json.loads(event.json)["sources"]
        elif event.type == "retrying":
            # The next attempt thinks anew.
            self.thoughts.clear()


def fold(events: Iterable[Event]) -> Transcript:
    """The transcript of one answer from all its events so far."""
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return transcript
