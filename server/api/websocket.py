"""`/ws/chat/{session_id}`: a session's log and the commands, on one socket. And what is said where there is none."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.api import event_schemas, schemas
from server.api.errors import ProblemError, path_of, problem_of, respond
from server.api.operation import Frames, Operation, operation
from server.api.requests import count_frame, cursor_in, owner_of
from server.chat.errors import ChatError, NotFound
from server.chat.models import now, timestamp
from server.chat.reading import Reader
from server.chat.service import ChatService, Question
from server.streaming.events import BadCursor, encode
from server.transports.connections import Connections
from server.transports.outside import run_outside
from server.transports.websocket import CloseCode, send_log

PATH = "/ws/chat/{session_id}"
FRAMES = TypeAdapter[schemas.ChatFrame | schemas.CancelFrame | schemas.PingFrame](schemas.Frame)
MAX_FRAMES = 200  # within
FRAMES_WINDOW = 10.0  # seconds
GONE = (WebSocketDisconnect, RuntimeError)  # Starlette's words for a client that has left


class WebSocketAPI:
    def __init__(self, service: ChatService, connections: Connections, send_timeout: float) -> None:
        self._service = service
        self._connections = connections
        self._send_timeout = send_timeout

    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute(PATH, self.chat)]

    @operation(
        Operation(
            "GET",
            PATH,
            "The session's log and the commands on one WebSocket, a JSON object a frame; creates the session",
            "Events",
            query=schemas.SocketQuery,
            answers={101: None},
            problems=("upgrade_required",),
            frames=Frames(
                (schemas.ChatFrame, schemas.CancelFrame, schemas.PingFrame),
                (event_schemas.Event, event_schemas.PongFrame, event_schemas.AcceptedFrame, event_schemas.RefusalFrame),
            ),
        )
    )
    async def plain(self, request: Request) -> Response:
        return upgrade_required(request)

    async def chat(self, websocket: WebSocket) -> None:
        scope = websocket.scope
        await run_outside(scope, websocket.receive, websocket.send, partial(self._chat, scope))

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        try:
            reader = await self._reader(websocket)
        except (ChatError, BadCursor, ValidationError) as error:
            await _tell_problem(websocket, error)
            await websocket.close(_code_for(error))
            return
        code = await self._serve(websocket, reader)
        if code is not None:
            # It may be gone already, or take not even this.
            with suppress(*GONE, TimeoutError):
                async with asyncio.timeout(self._send_timeout):
                    await websocket.close(code)

    async def _reader(self, websocket: WebSocket) -> Reader:
        """A session that does not exist is created, unless the client believes to have read it before."""
        session_id = schemas.InSession.model_validate(websocket.path_params).session_id
        cursor = cursor_in(websocket)
        if cursor is None:
            await self._service.open_session(owner_of(websocket), session_id)
        reader = await self._service.read_session(owner_of(websocket), session_id, cursor)
        await reader.open()
        websocket.scope["headers"].clear()  # nobody looks at them any more
        return reader

    async def _serve(self, websocket: WebSocket, reader: Reader) -> CloseCode | None:
        """Send the log and take commands until one of the two ends; the code to close with, if still open."""
        sending = asyncio.create_task(send_log(websocket, reader, self._connections, self._send_timeout))
        taking = asyncio.create_task(self._take_frames(websocket, reader.target.session_id))
        _, pending = await asyncio.wait({sending, taking}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        # Both are looked at: when the client leaves, both may have failed of it.
        for ended in await asyncio.gather(sending, taking, return_exceptions=True):
            if isinstance(ended, ChatError):
                await _tell_problem(websocket, ended)
                return _code_for(ended)
            if isinstance(ended, Exception) and not isinstance(ended, GONE):
                raise ended
            if isinstance(ended, CloseCode):
                return ended
        return None

    async def _take_frames(self, websocket: WebSocket, session_id: str) -> CloseCode | None:
        times: deque[float] | None = None  # most clients only listen
        loop = asyncio.get_running_loop()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            times = deque(maxlen=MAX_FRAMES) if times is None else times
            if len(times) == MAX_FRAMES and loop.time() - times[0] < FRAMES_WINDOW:
                return CloseCode.TOO_MANY_FRAMES
            times.append(loop.time())
            try:
                await self._obey(websocket, session_id, message.get("text"))
            except (ChatError, ProblemError, ValidationError) as error:
                await _tell_problem(websocket, error)

    async def _obey(self, websocket: WebSocket, session_id: str, text: str | None) -> None:
        count_frame(websocket)
        if text is None:
            raise ProblemError("bad_request", "send text frames with a JSON object each")
        frame = FRAMES.validate_json(text)
        if isinstance(frame, schemas.ChatFrame):
            await self._ask(websocket, session_id, frame)
        elif isinstance(frame, schemas.CancelFrame):
            await self._cancel(owner_of(websocket), session_id, frame.message_id)
        else:
            await websocket.send_text(encode({"type": "pong", "timestamp": timestamp(now())}))

    async def _ask(self, websocket: WebSocket, session_id: str, frame: schemas.ChatFrame) -> None:
        question = Question(session_id, frame.content, frame.parent_id, frame.client_id)
        try:
            accepted = await self._service.ask(owner_of(websocket), question, frame.how(frame.client_id))
        except ChatError as error:
            # With its id: the client may have asked several things.
            await _tell_problem(websocket, error, frame.client_id)
            return
        if accepted.replayed:  # its `posted` was told before, maybe to nobody who still listens
            told = {"client_id": frame.client_id, **schemas.accepted(accepted)}
            await websocket.send_text(encode({"type": "accepted", **told}))

    async def _cancel(self, owner: str, session_id: str, message_id: str) -> None:
        found = await self._service.find(owner, message_id)
        if found.session_id != session_id:
            raise NotFound(f"there is no message {message_id} in this session")
        await self._service.cancel(owner, message_id)


def upgrade_required(request: Request) -> Response:
    """To a plain request, where only a WebSocket can be had (RFC 9110, section 15.5.22)."""
    detail = "a proxy on the way may have dropped the upgrade; read /api/sessions/{id}/events instead"
    told = problem_of(ProblemError("upgrade_required", detail), path_of(request.scope))
    return respond(told, {"Upgrade": "websocket", "Connection": "upgrade"})


def nowhere() -> WebSocketRoute:
    """For every other address. Starlette would refuse without a word, and a folder of files fail."""

    async def refuse(websocket: WebSocket) -> None:
        told = problem_of(ProblemError("not_found", "there is no WebSocket at this address"), path_of(websocket.scope))
        await websocket.send_denial_response(respond(told))

    return WebSocketRoute("/{path:path}", refuse)


async def _tell_problem(websocket: WebSocket, error: Exception, client_id: str | None = None) -> None:
    echo = {"client_id": client_id} if client_id else {}
    told: dict[str, Any] = {"type": "error", "problem": problem_of(error, path_of(websocket.scope)), **echo}
    with suppress(*GONE):
        await websocket.send_text(encode(told))


def _code_for(error: Exception) -> CloseCode:
    if isinstance(error, NotFound):
        return CloseCode.NOT_FOUND
    if isinstance(error, ChatError):
        return CloseCode.UNAVAILABLE
    return CloseCode.BAD_REQUEST
