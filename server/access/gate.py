"""What every request and every socket passes before anything else: host, origin, caller, limits; and what every
answer gets on its way out.

Plain ASGI, outside of Starlette's own middleware: a BaseHTTPMiddleware costs each streamed event many times more,
and would come after some of the answers.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable
from functools import partial
from time import monotonic
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from server.access import sign_in
from server.access.headers import default_headers
from server.access.hosts import Hosts, is_loopback
from server.access.limits import CallerLimits, place_of
from server.access.origins import Origins
from server.access.tickets import Tickets
from server.access.tokens import Tokens
from server.api.errors import PROBLEM_KEY, ProblemError, path_of, problem_of, respond
from server.api.requests import COUNT_KEY, OWNER_KEY
from server.streaming.events import encode
from server.transports.websocket import CloseCode

logger = logging.getLogger(__name__)

LOCAL = "local"  # without tokens, whoever reaches the server is one person
OPEN = frozenset({"/healthz", sign_in.PATH})
CANCEL = re.compile(r"/api/messages/[^/]+/cancel")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class Gate:
    def __init__(
        self, app: ASGIApp, hosts: Hosts, origins: Origins, tokens: Tokens, tickets: Tickets, limits: CallerLimits
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._tokens = tokens
        self._tickets = tickets
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        visit = Visit(scope, send, self._origins)
        try:
            self._check_source(scope, visit.headers)
            if (allowed := self._preflight(scope, visit.headers)) is not None:
                return await Response(status_code=204, headers=allowed)(scope, receive, visit.send)
            owner = scope[OWNER_KEY] = self._owner(scope, visit.headers)
            limited = self._limited(scope, owner)
            scope[COUNT_KEY] = partial(self._limits.count, limited)
            with self._limits.within(limited, stops=bool(CANCEL.fullmatch(scope["path"]))):
                if owner is None and scope["path"] not in OPEN:
                    raise ProblemError("unauthorized", "send your token as `Authorization: Bearer TOKEN`, or sign in")
                await self._app(scope, receive, visit.send)
        except ProblemError as refused:
            await visit.refuse(refused, receive)
        finally:
            visit.log()

    def _check_source(self, scope: Scope, headers: Headers) -> None:
        """Raises ProblemError if the request names another host, or comes from a page that has no business here."""
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise ProblemError("bad_request", "send one Host header")
        local = local_of(scope)
        if not self._hosts.allow(hosts[0], local):
            raise ProblemError("forbidden_host", "add the name to XIONIMUS_ALLOWED_HOSTS if it is this server's")
        changes = scope["type"] == "websocket" or scope["method"] not in READING
        if changes and not self._origins.allow(headers):
            raise ProblemError("forbidden_origin", "add the origin to XIONIMUS_ALLOWED_ORIGINS if you trust its pages")

    def _preflight(self, scope: Scope, headers: Headers) -> dict[str, str] | None:
        return self._origins.preflight(headers) if scope.get("method") == "OPTIONS" else None

    def _owner(self, scope: Scope, headers: Headers) -> str | None:
        if not self._tokens:
            return self._local(scope)
        token = sign_in.token_in(headers)
        # A cookie that is not good any more may come along with a ticket.
        return (token and self._tokens.name_of(token)) or self._named_by_ticket(scope)

    def _named_by_ticket(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or b"ticket=" not in scope["query_string"]:
            return None
        return self._tickets.owner(QueryParams(scope["query_string"]).get("ticket", ""), scope["path"])

    def _local(self, scope: Scope) -> str:
        # The settings refuse to listen for others without tokens; whoever else starts the server may still do so.
        local = local_of(scope)
        if local is not None and not is_loopback(local):
            raise ProblemError("unauthorized", "without tokens only loopback is served; see `xionimus token add NAME`")
        return LOCAL

    def _limited(self, scope: Scope, owner: str | None) -> str | None:
        """Whose limits count: a token's owner, else an address. With a space in it, that is nobody's name."""
        if self._tokens and owner is not None:
            return owner
        address = scope["client"][0] if scope.get("client") else ""
        if scope["path"] == "/healthz" or (not self._tokens and is_loopback(address)):
            return None
        return f"address {place_of(address)}"


def local_of(scope: Scope) -> str | None:
    """The address at which a connection has arrived."""
    return scope["server"][0] if scope.get("server") else None


class Visit:
    """One request or socket: its answer's headers, its refusal, and its line in the log."""

    def __init__(self, scope: Scope, send: Send, origins: Origins) -> None:
        self.headers = Headers(raw=scope["headers"])
        self._scope = scope
        self._send = send
        self._origins = origins
        self._id = secrets.token_hex(8)
        self._began = monotonic()
        self._status = 0
        self._refused: dict[str, Any] = {}
        scope[PROBLEM_KEY] = self._refused
        bind_contextvars(request_id=self._id)

    def send(self, message: Message) -> Awaitable[None]:
        # No coroutine of its own: every event of every stream passes here.
        if message["type"] in STARTS:
            self._complete(message)
        elif message["type"] == "websocket.accept":
            self._status = 101
        return self._send(message)

    def _complete(self, message: Message) -> None:
        self._status = message["status"]
        has = {name.lower() for name, _ in message.get("headers", ())}
        defaults = [each for each in default_headers(self._scope["path"]) if each[0] not in has]
        shared = [(name.encode(), value.encode()) for name, value in self._origins.shared_with(self.headers).items()]
        request_id = (b"x-request-id", self._id.encode())
        message["headers"] = [*message.get("headers", ()), *defaults, *shared, request_id]

    async def refuse(self, refused: ProblemError, receive: Receive) -> None:
        told = problem_of(refused, path_of(self._scope))
        self._refused.update(told)
        if self._scope["type"] == "http":
            await self._answer(refused, told["status"])(self._scope, receive, self.send)
        elif told["status"] in (400, 403):
            await respond(told)(self._scope, receive, self.send)
        else:
            await self._accept_and_close(refused.code, encode({"type": "error", "problem": told}), receive)

    def _answer(self, refused: ProblemError, status: int) -> Response:
        navigates = self._scope["method"] == "GET" and "text/html" in self.headers.get("accept", "")
        if refused.code == "unauthorized" and navigates:
            return sign_in.redirect_to_page(self._scope["path"])
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        return respond(problem_of(refused, path_of(self._scope)), headers)

    async def _accept_and_close(self, code: str, told: str, receive: Receive) -> None:
        # A browser learns a close code, but never the status of a refused handshake.
        await receive()
        await self.send({"type": "websocket.accept"})
        await self._send({"type": "websocket.send", "text": told})
        close = CloseCode.UNAUTHORIZED if code == "unauthorized" else CloseCode.UNAVAILABLE
        await self._send({"type": "websocket.close", "code": close})

    def log(self) -> None:
        scope = self._scope
        level = logging.WARNING if self._status >= 500 or self._is_suspect() else logging.DEBUG
        if logger.isEnabledFor(level):
            told = {
                "method": scope.get("method", "WEBSOCKET"),
                "path": scope["path"],  # never the query: it may hold a ticket
                "status": self._status,
                "code": self._refused.get("code"),
                "detail": self._refused.get("detail"),
                "address": (scope.get("client") or (None,))[0],
                "caller": scope.get(OWNER_KEY),
                "milliseconds": round(1_000 * (monotonic() - self._began), 1),
            }
            logger.log(level, "request", extra=told)

    def _is_suspect(self) -> bool:
        """Somebody tries tokens, or comes from where nobody should; who has not signed in yet is no suspect."""
        code = self._refused.get("code")
        if code == "unauthorized":
            return sign_in.token_in(self.headers) is not None
        wrong_token = self._status == 401 and self._scope["path"] == sign_in.PATH
        return wrong_token or code in ("forbidden_host", "forbidden_origin")
