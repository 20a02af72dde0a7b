"""Asking, and everything about one message."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.api import event_schemas, schemas
from server.api.operation import Operation, operation
from server.api.reading import LogResponses
from server.api.requests import (
    cursor_in,
    idempotency_key,
    owner_of,
    read_body,
    read_query,
    wanted_format,
)
from server.chat.models import MessageAt
from server.chat.service import ChatService, Question
from server.chat.store import Accepted
from server.transports import ndjson, sse, text
from server.transports.leaving import unless_gone

STREAMS = {sse.MEDIA_TYPE: None, ndjson.MEDIA_TYPE: event_schemas.Event}
ANSWER_STREAMS = {**STREAMS, text.MEDIA_TYPE: None}
ASKING_PROBLEMS = (
    "bad_request",
    "bad_cursor",
    "not_found",
    "session_busy",
    "too_large",
    "unsupported_media_type",
    "invalid",
    "idempotency_key_reused",
    "unknown_model",
    "provider_not_configured",
    "rate_limited",
    "draining",
    "overloaded",
    "storage_unavailable",
)
READING_PROBLEMS = (
    "bad_request",
    "bad_cursor",
    "not_found",
    "cursor_reset",
    "invalid",
    "storage_unavailable",
)


class MessagesAPI:
    def __init__(self, service: ChatService, logs: LogResponses, max_body: int) -> None:
        self._service = service
        self._logs = logs
        self._max_body = max_body

    @operation(
        Operation(
            "POST",
            "/api/sessions/{session_id}/messages",
            "Ask; the answer comes back in the form that Accept or `format` asks for",
            "Messages",
            body=schemas.SendBody,
            query=schemas.SendQuery,
            headers=("Idempotency-Key", "Last-Event-ID"),
            answers={
                200: {"application/json": schemas.Message, **ANSWER_STREAMS},
                202: schemas.Accepted,
                204: None,
            },
            problems=ASKING_PROBLEMS,
        )
    )
    async def send(self, request: Request) -> Response:
        session_id = schemas.InSession.model_validate(request.path_params).session_id
        key, cursor = idempotency_key(request), cursor_in(request)
        query = read_query(request, schemas.SendQuery)
        body = await read_body(request, schemas.SendBody, self._max_body)
        question = Question(session_id, body.content, body.parent_id)
        accepted = await self._service.ask(owner_of(request), question, body.how(key))
        return await self._answer(request, query, accepted, cursor)

    @operation(
        Operation(
            "POST",
            "/api/messages/{message_id}/regenerate",
            "Ask for another answer to the same question",
            "Messages",
            body=schemas.RegenerateBody,
            body_required=False,
            query=schemas.SendQuery,
            headers=("Idempotency-Key", "Last-Event-ID"),
            answers={
                200: {"application/json": schemas.Message, **ANSWER_STREAMS},
                202: schemas.Accepted,
                204: None,
            },
            problems=ASKING_PROBLEMS,
        )
    )
    async def regenerate(self, request: Request) -> Response:
        key, cursor = idempotency_key(request), cursor_in(request)
        query = read_query(request, schemas.SendQuery)
        body = await read_body(request, schemas.RegenerateBody, self._max_body)
        accepted = await self._service.ask_again(owner_of(request), request.path_params["message_id"], body.how(key))
        return await self._answer(request, query, accepted, cursor)

    @operation(
        Operation(
            "GET",
            "/api/messages/{message_id}",
            "One message as it is now",
            "Messages",
            answers={200: schemas.MessageAt},
            problems=("not_found", "storage_unavailable"),
        )
    )
    async def read(self, request: Request) -> Response:
        return JSONResponse(_at(await self._service.message(owner_of(request), request.path_params["message_id"])))

    @operation(
        Operation(
            "POST",
            "/api/messages/{message_id}/cancel",
            "Stop an answer; the message as it ended. Asking twice changes nothing",
            "Messages",
            answers={200: schemas.Message},
            problems=("not_found", "not_active", "storage_unavailable"),
        )
    )
    async def cancel(self, request: Request) -> Response:
        message = await self._service.cancel(owner_of(request), request.path_params["message_id"])
        return JSONResponse(message.public())

    @operation(
        Operation(
            "GET",
            "/api/messages/{message_id}/events",
            "The events of one answer; ends after its last",
            "Events",
            query=schemas.AnswerEventsQuery,
            headers=("Last-Event-ID",),
            answers={200: {"application/json": event_schemas.EventPage, **ANSWER_STREAMS}, 204: None},
            problems=READING_PROBLEMS,
        )
    )
    async def events(self, request: Request) -> Response:
        message_id = request.path_params["message_id"]
        reader = await self._service.read_message(owner_of(request), message_id, cursor_in(request))
        return await self._logs.follow(request, reader)

    async def _answer(
        self, request: Request, query: schemas.SendQuery, accepted: Accepted, cursor: str | None
    ) -> Response:
        message = accepted.answer
        headers = {"Location": schemas.stream_url(message.id)}
        form = wanted_format(request, query.format, "json")
        if form != "json":
            if accepted.replayed:  # who asks the same again may have read a part of it, or all
                return await self._logs.go_on(form, self._service.read_answer(message, cursor), headers)
            return self._logs.stream(form, self._service.read_answer(message, None), headers)
        if query.wait and await unless_gone(request.receive, self._service.ended(message.id, query.wait)):
            finished = await self._service.message(owner_of(request), message.id)
            return JSONResponse(finished.message.public(), headers=headers)
        return JSONResponse(schemas.accepted(accepted), 202, headers=headers)


def _at(found: MessageAt) -> dict[str, Any]:
    return {**found.message.public(), "cursor": str(found.cursor)}
