"""Two people with a token each, and the name that a server has in public."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from httpx_ws import WebSocketSession, connect_ws

from tests import plain

ADA = "xio_ada-0123456789abcdefghijklmnopqrstuvwxyz"
BOB = "xio_bob-0123456789abcdefghijklmnopqrstuvwxyz"
PUBLIC_HOST = "chat.example.com"
PUBLIC = f"https://{PUBLIC_HOST}"


def line(**tokens: str) -> str:
    """As XIONIMUS_TOKENS has it."""
    return ",".join(f"{name}:{hashlib.sha256(token.encode()).hexdigest()}" for name, token in tokens.items())


TOKENS = line(ada=ADA, bob=BOB)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def socket_to(url: str, headers: dict[str, str]) -> Iterator[WebSocketSession]:
    session: WebSocketSession
    with plain.Client(headers=headers) as client, connect_ws(url, client) as session:
        yield session
