"""Sessions: the list of them, their history, their log, and what may be done to them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.api import event_schemas, export, schemas
from server.api.messages import READING_PROBLEMS, STREAMS
from server.api.operation import Operation, operation
from server.api.reading import LogResponses
from server.api.requests import cursor_in, owner_of, read_body, read_query
from server.chat.service import ChatService

CHANGING_PROBLEMS = (
    "bad_request",
    "not_found",
    "too_large",
    "unsupported_media_type",
    "invalid",
    "storage_unavailable",
)


class SessionsAPI:
    def __init__(self, service: ChatService, logs: LogResponses, max_body: int) -> None:
        self._service = service
        self._logs = logs
        self._max_body = max_body

    @operation(
        Operation(
            "GET",
            "/api/sessions",
            "Sessions, newest first",
            "Sessions",
            query=schemas.SessionsQuery,
            answers={200: schemas.Sessions},
            problems=("not_found", "invalid", "storage_unavailable"),
        )
    )
    async def list(self, request: Request) -> Response:
        query = read_query(request, schemas.SessionsQuery)
        found = await self._service.sessions(owner_of(request), query.q, query.before, query.limit)
        sessions = [session.public() for session in found.sessions]
        return JSONResponse({"sessions": sessions, "has_more": found.has_more, "owner": owner_of(request)})

    @operation(
        Operation(
            "POST",
            "/api/sessions",
            "Create a session; asking in one that does not exist does it too",
            "Sessions",
            body=schemas.CreateSessionBody,
            body_required=False,
            answers={201: schemas.Session},
            problems=(*CHANGING_PROBLEMS, "draining"),
        )
    )
    async def create(self, request: Request) -> Response:
        body = await read_body(request, schemas.CreateSessionBody, self._max_body)
        session = await self._service.create_session(owner_of(request), body.id, body.title)
        return JSONResponse(session.public(), 201, headers={"Location": f"/api/sessions/{session.id}"})

    @operation(
        Operation(
            "GET",
            "/api/sessions/{session_id}",
            "One session",
            "Sessions",
            answers={200: schemas.Session},
            problems=("not_found", "storage_unavailable"),
        )
    )
    async def read(self, request: Request) -> Response:
        return JSONResponse(
            (await self._service.session(owner_of(request), request.path_params["session_id"])).public()
        )

    @operation(
        Operation(
            "PATCH",
            "/api/sessions/{session_id}",
            "Rename a session",
            "Sessions",
            body=schemas.RenameSessionBody,
            answers={200: schemas.Session},
            problems=CHANGING_PROBLEMS,
        )
    )
    async def rename(self, request: Request) -> Response:
        body = await read_body(request, schemas.RenameSessionBody, self._max_body)
        session_id = request.path_params["session_id"]
        return JSONResponse((await self._service.rename_session(owner_of(request), session_id, body.title)).public())

    @operation(
        Operation(
            "DELETE",
            "/api/sessions/{session_id}",
            "Delete a session and everything in it",
            "Sessions",
            answers={204: None},
            problems=("not_found", "storage_unavailable"),
        )
    )
    async def delete(self, request: Request) -> Response:
        await self._service.delete_session(owner_of(request), request.path_params["session_id"])
        return Response(status_code=204)

    @operation(
        Operation(
            "GET",
            "/api/sessions/{session_id}/messages",
            "A page of history, oldest first, and the cursor from which the log continues it exactly",
            "Messages",
            query=schemas.HistoryQuery,
            answers={200: schemas.History},
            problems=("not_found", "invalid", "storage_unavailable"),
        )
    )
    async def messages(self, request: Request) -> Response:
        query = read_query(request, schemas.HistoryQuery)
        session_id = request.path_params["session_id"]
        history = await self._service.history(owner_of(request), session_id, query.before, query.limit)
        return JSONResponse(
            {
                "messages": [message.public() for message in history.messages],
                "cursor": str(history.cursor),
                "has_more": history.has_more,
            }
        )

    @operation(
        Operation(
            "GET",
            "/api/sessions/{session_id}/events",
            "The session's log, live; stays open",
            "Events",
            query=schemas.EventsQuery,
            headers=("Last-Event-ID",),
            answers={200: {"application/json": event_schemas.EventPage, **STREAMS}},
            problems=READING_PROBLEMS,
        )
    )
    async def events(self, request: Request) -> Response:
        session_id = request.path_params["session_id"]
        reader = await self._service.read_session(owner_of(request), session_id, cursor_in(request))
        return await self._logs.follow(request, reader)

    @operation(
        Operation(
            "GET",
            "/api/sessions/{session_id}/export",
            "The whole conversation",
            "Sessions",
            query=schemas.ExportQuery,
            answers={200: {"application/json": schemas.Export, "text/markdown; charset=utf-8": None}},
            problems=("not_found", "invalid", "storage_unavailable"),
        )
    )
    async def export(self, request: Request) -> Response:
        query = read_query(request, schemas.ExportQuery)
        session = await self._service.session(owner_of(request), request.path_params["session_id"])
        write = export.as_json if query.format == "json" else export.as_markdown
        parts = await write(self._service, owner_of(request), session)
        suffix, media_type = ("json", "application/json") if query.format == "json" else ("md", "text/markdown")
        headers = {"Content-Disposition": export.disposition(session, suffix)}
        return export.response(parts, media_type, headers)
