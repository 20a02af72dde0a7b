"""Addresses that let a client read one message's events without a header or a cookie, for a minute.

    GET /api/messages/{message_id}/events?ticket={expiry}.{mac}.{owner}

The key is made with the process and kept nowhere: a restart makes every ticket void.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.api import schemas
from server.api.operation import Operation, operation
from server.api.requests import owner_of
from server.chat.service import ChatService

LIFETIME = 60  # seconds
PATH = re.compile(r"/api/messages/([A-Za-z0-9_-]{1,64})/events")
TICKET = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_.@-]{1,64})")


class Tickets:
    """`clock` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def issue(self, owner: str, message_id: str) -> str:
        expiry = int(self._clock()) + LIFETIME
        return f"{expiry}.{self._mac(expiry, owner, message_id)}.{owner}"

    def owner(self, ticket: str, path: str) -> str | None:
        """Who the ticket lets in at `path`; None if it is not good there, or not any more."""
        found, place = TICKET.fullmatch(ticket), PATH.fullmatch(path)
        if found is None or place is None:
            return None
        expiry, owner = int(found[1]), found[3]
        right = hmac.compare_digest(found[2], self._mac(expiry, owner, place[1]))
        return owner if right and self._clock() < expiry else None

    def _mac(self, expiry: int, owner: str, message_id: str) -> str:
        digest = hmac.digest(self._key, f"{expiry} {owner} {message_id}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class TicketsAPI:
    def __init__(self, service: ChatService, tickets: Tickets) -> None:
        self._service = service
        self._tickets = tickets

    @operation(
        Operation(
            "POST",
            "/api/messages/{message_id}/ticket",
            f"An address that reads this message's events without a header or a cookie, for {LIFETIME} seconds",
            "Events",
            answers={201: schemas.Ticket},
            problems=("not_found", "storage_unavailable"),
        )
    )
    async def create(self, request: Request) -> Response:
        owner = owner_of(request)
        message = await self._service.find(owner, request.path_params["message_id"])
        url = f"/api/messages/{message.id}/events?ticket={self._tickets.issue(owner, message.id)}"
        return JSONResponse({"url": url, "expires_in": LIFETIME}, 201, headers={"Cache-Control": "no-store"})
