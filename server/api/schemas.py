"""The shapes of requests and answers: what is checked on the way in, and what /openapi.json describes."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from server.chat.models import OnBusy, Options
from server.chat.service import How
from server.chat.store import Accepted as Taken
from server.settings import header_safe

SESSION_ID = r"^[A-Za-z0-9_-]{1,64}$"
IDEMPOTENCY_KEY = r"^[A-Za-z0-9:_-]{1,128}$"
MAX_CONTENT = 1_000_000
MAX_POST_WAIT = 300
OPTIONS = frozenset(each.name for each in fields(Options))


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must contain something besides white space")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


Content = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CONTENT),
    AfterValidator(_no_nul),
    AfterValidator(_not_blank),
]
Line = Annotated[str, StringConstraints(max_length=200), AfterValidator(_no_nul), AfterValidator(_one_line)]
Title = Annotated[Line, AfterValidator(_not_blank)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Key = Annotated[SecretStr, Field(min_length=1, max_length=1_000)]
SessionId = Annotated[str, StringConstraints(pattern=SESSION_ID)]
MessageId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class Body(BaseModel):
    """Strict: a number in a string is no number. Closed: a misspelt field is told, not ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class HowBody(Body):
    provider: Name | None = Field(default=None, description="The configured default if null.")
    model: Name | None = Field(default=None, description="The provider's default if null.")
    ultra_thinking: bool = Field(default=False, description="Let the model think longer, visibly.")
    on_busy: OnBusy = Field(
        default="reject",
        description="While another answer of the session is being written: refuse, cancel it and those that wait, or "
        "wait too.",
    )
    api_keys: dict[Name, Annotated[Key, AfterValidator(header_safe)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Keys by provider, used for this answer and kept nowhere.",
    )
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    system: Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_no_nul)] | None = None

    def how(self, idempotency_key: str | None) -> How:
        return How(
            provider=self.provider,
            model=self.model,
            options={name: getattr(self, name) for name in OPTIONS & self.model_fields_set},
            on_busy=self.on_busy,
            api_keys={name: key.get_secret_value() for name, key in self.api_keys.items()},
            idempotency_key=idempotency_key,
        )


class SendBody(HowBody):
    content: Content = Field(description="The question.")
    parent_id: MessageId | None = Field(
        default=None,
        description="The message this goes on from; null: the newest of the session; `root`: none, a new start.",
    )


class ChatFrame(SendBody):
    """A question on a WebSocket."""

    type: Literal["chat"]
    client_id: Annotated[str, StringConstraints(pattern=IDEMPOTENCY_KEY)] | None = Field(
        default=None,
        description="Echoed on the `posted` event, or on the `error` that refuses it; the idempotency key, too.",
    )


class CancelFrame(Body):
    type: Literal["cancel"]
    message_id: MessageId


class PingFrame(Body):
    type: Literal["ping"]


Frame = Annotated[ChatFrame | CancelFrame | PingFrame, Field(discriminator="type")]


class RegenerateBody(HowBody):
    """What is left out is as it was for the answer that is asked for again."""


class CreateSessionBody(Body):
    id: SessionId | None = Field(default=None, description="Chosen by the server if null.")
    title: Line = ""


class RenameSessionBody(Body):
    title: Title


class InSession(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    session_id: SessionId


class Query(BaseModel):
    """Parameters of the query; those that a route does not know are ignored."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class EventsQuery(Query):
    after: str | None = Field(
        default=None,
        description="A cursor: what comes after it. `0`: everything that is kept. Last-Event-ID goes before it; "
        "`last_event_id` and `lastEventId` are other names of it.",
    )
    format: Literal["sse", "ndjson", "json", "text"] | None = Field(default=None, description="Goes before Accept.")
    wait: float = Field(
        default=20, ge=0, le=86_400, allow_inf_nan=False, description="Seconds, for json; 25 at the most."
    )
    heartbeat: Literal["comment", "event"] = Field(
        default="comment", description="`event`: SSE heartbeats as `event: ping`."
    )


class AnswerEventsQuery(EventsQuery):
    ticket: str | None = Field(default=None, description="Lets a client in that sends no token; see `…/ticket`.")


class SocketQuery(Query):
    after: str | None = Field(default=None, description="A cursor, as for reading the events over HTTP.")


class SendQuery(Query):
    format: Literal["sse", "ndjson", "json", "text"] | None = None
    wait: float | None = Field(
        default=None,
        ge=0,
        le=MAX_POST_WAIT,
        allow_inf_nan=False,
        description="For json: seconds to wait for the finished message.",
    )


class HistoryQuery(Query):
    before: MessageId | None = Field(default=None, description="The oldest message of the page before.")
    limit: int = Field(
        default=50, ge=1, le=500, description="Messages; fewer come where they hold more than about 1 MiB of text."
    )


class SessionsQuery(Query):
    q: Annotated[str, StringConstraints(max_length=200), AfterValidator(_no_nul)] = Field(
        default="", description="Only sessions whose title or text contains this."
    )
    before: SessionId | None = Field(default=None, description="The last session of the page before.")
    limit: int = Field(default=50, ge=1, le=500)


class ExportQuery(Query):
    format: Literal["json", "markdown"] = "json"


class ProbeTicks(Query):
    ticks: int = Field(default=8, ge=1, le=10)
    interval: float = Field(default=0.25, ge=0.05, le=60, allow_inf_nan=False, description="Seconds between two.")


class ProbeQuery(ProbeTicks):
    format: Literal["sse", "ndjson", "json"] | None = None
    after: int = Field(default=0, ge=0, le=10, description="For json: the number of the last tick one has.")


# Answers: described here, made by `public()` of the models; tests hold the two together.


class Usage(BaseModel):
    input_tokens: int
    output_tokens: int
    source: Literal["provider", "estimated"]


class Timings(BaseModel):
    first_token_ms: float | None
    total_ms: float


class Source(BaseModel):
    url: str
    title: str


class FieldError(BaseModel):
    field: str
    detail: str


class Problem(BaseModel):
    """RFC 9457, with a code for programs."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str | None
    code: str
    retryable: bool
    retry_after: float | None = Field(description="Seconds.")
    errors: list[FieldError] | None = None


class Message(BaseModel):
    id: str
    session_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    status: Literal["streaming", "completed", "cancelled", "failed", "interrupted"]
    content: str = Field(description="The text; while the status is `streaming`, the text so far.")
    length: int = Field(description="Characters (Unicode code points) of `content`.")
    sha256: str = Field(description="Of `content` in UTF-8, hex.")
    thinking: str | None
    sources: list[Source]
    provider: str | None
    model: str | None
    finish_reason: Literal["stop", "length", "content_filter", "cancelled"] | None
    usage: Usage | None
    timings: Timings | None
    error: Problem | None
    created_at: str
    finished_at: str | None


class MessageAt(Message):
    cursor: str = Field(description="From here the log goes on where `content` ends.")


class Accepted(BaseModel):
    user_message: Message
    message: Message
    stream_url: str
    cursor: str = Field(description="The place in the session's log that the answer's events come after.")


def accepted(told: Taken) -> dict[str, Any]:
    """Accepted, as JSON."""
    message = told.answer
    return {
        "user_message": told.question.public(),
        "message": message.public(),
        "stream_url": stream_url(message.id),
        "cursor": str(message.after),
    }


def stream_url(message_id: str) -> str:
    return f"/api/messages/{message_id}/events"


class Ticket(BaseModel):
    url: str = Field(description="Good for a GET, wherever a header or a cookie cannot be sent.")
    expires_in: int = Field(description="Seconds.")


class History(BaseModel):
    messages: list[Message]
    cursor: str = Field(description="The place in the log where these messages were as they are here.")
    has_more: bool = Field(description="Whether there are older ones; a page may be shorter than `limit` all the same.")


class Session(BaseModel):
    id: str
    title: str
    created_at: str
    updated_at: str
    active: list[str] = Field(description="Answers being written or waiting.")


class Sessions(BaseModel):
    sessions: list[Session]
    has_more: bool
    owner: str = Field(description="Whose they are: the caller's name.")


class Export(BaseModel):
    session: Session
    messages: list[Message]


class Model(BaseModel):
    id: str
    thinking: bool


class Provider(BaseModel):
    id: str
    name: str
    ready: bool
    reason: str | None = Field(description="What is missing, if it is not ready.")
    default_model: str | None
    models: list[Model]
    accepts_any_model: bool


class Providers(BaseModel):
    providers: list[Provider]
    default_provider: str


class StreamStatus(BaseModel):
    status: Literal["ok", "draining"]
    active_sessions: int = Field(description="Sessions that somebody reads right now.")
    total_connections: int
    active_streams: int = Field(description="Answers being written or waiting.")
    connections: dict[Literal["sse", "ndjson", "poll", "websocket", "text"], int]


class Health(BaseModel):
    status: str


class Tick(BaseModel):
    type: Literal["tick"]
    number: int
    of: int
    server_time: str


class TickPage(BaseModel):
    events: list[Tick]
    cursor: str
    done: bool
