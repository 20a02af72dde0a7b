"""The events of a log, as clients read them on every transport. Described here, made by chat.transcript and
chat.reading; tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from server.api.schemas import Accepted, Message, Problem, Source, Timings, Usage


class _Event(BaseModel):
    # More may be added: clients pass over what they do not know.
    model_config = ConfigDict(extra="allow")

    id: str = Field(description="The cursor behind this event.")


class ReadyEvent(_Event):
    """The first on every connection; it is not in the log."""

    type: Literal["ready"]
    session_id: str
    cursor: str
    tail: str = Field(description="The end of the log.")
    active: list[str] = Field(description="Answers being written.")
    server_time: str
    heartbeat: float = Field(description="Seconds of silence before a sign of life.")


class PostedEvent(_Event):
    """A question was accepted."""

    type: Literal["posted"]
    message: Message
    client_id: str | None = Field(default=None, description="What its sender called it, on a WebSocket.")


class StartEvent(_Event):
    type: Literal["start"]
    message_id: str
    parent_id: str | None
    provider: str | None
    model: str | None
    timestamp: str


class ThinkingEvent(_Event):
    type: Literal["thinking"]
    message_id: str
    chunk_id: int
    content: str


class ChunkEvent(_Event):
    type: Literal["chunk"]
    message_id: str
    chunk_id: int = Field(description="From 1.")
    offset: int = Field(description="Characters (Unicode code points) of the answer before this one.")
    content: str


class SourcesEvent(_Event):
    type: Literal["sources"]
    message_id: str
    sources: list[Source]


class RetryingEvent(_Event):
    """The provider failed before its first text, and is tried again; reasoning so far is void."""

    type: Literal["retrying"]
    message_id: str
    attempt: int = Field(description="The one that failed.")
    delay: float = Field(description="Seconds until the next.")
    provider: str | None = Field(description="Who is tried next.")
    model: str | None
    problem: Problem


class CompleteEvent(_Event):
    """The last event of an answer that went well, or was stopped."""

    type: Literal["complete"]
    message_id: str
    status: Literal["completed", "cancelled"]
    finish_reason: Literal["stop", "length", "content_filter", "cancelled"] | None
    provider: str | None
    model: str | None
    usage: Usage | None
    timings: Timings | None
    full_content: str
    length: int = Field(description="Characters (Unicode code points) of `full_content`.")
    sha256: str = Field(description="Of `full_content` in UTF-8, hex.")
    timestamp: str


class ErrorEvent(_Event):
    """The last event of an answer that did not go well; the text is what there was."""

    type: Literal["error"]
    message_id: str
    status: Literal["failed", "interrupted"]
    problem: Problem
    full_content: str
    length: int
    sha256: str
    timestamp: str


class SessionEvent(_Event):
    """The session has another title, or is gone."""

    type: Literal["session"]
    title: str | None = None
    deleted: bool | None = None


class ResetEvent(_Event):
    """The cursor that was sent points nowhere: read the history again. What follows is all that is kept."""

    type: Literal["reset"]
    reason: Literal["epoch", "ahead", "expired"]
    cursor: str


class Event(
    RootModel[
        Annotated[
            ReadyEvent
            | PostedEvent
            | StartEvent
            | ThinkingEvent
            | ChunkEvent
            | SourcesEvent
            | RetryingEvent
            | CompleteEvent
            | ErrorEvent
            | SessionEvent
            | ResetEvent,
            Field(discriminator="type"),
        ]
    ]
):
    """One of these, by its `type`. There may be more: pass over those that you do not know."""


class EventPage(BaseModel):
    events: list[Event]
    cursor: str = Field(description="What to ask with next.")
    done: bool


class PongFrame(BaseModel):
    """The answer to a ping on a WebSocket; no event of the log."""

    type: Literal["pong"]
    timestamp: str


class AcceptedFrame(Accepted):
    """The answer to a question that was taken before; no event of the log."""

    type: Literal["accepted"]
    client_id: str = Field(description="What the sender of the question called it.")


class RefusalFrame(BaseModel):
    """What a frame could not do; no event of the log, so it has no `id`. The connection stays open."""

    type: Literal["error"]
    problem: Problem
    client_id: str | None = Field(default=None, description="What the sender of a question called it.")
