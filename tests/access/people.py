"""Two people with a token each, and one server that asks for it."""

from __future__ import annotations

import hashlib

ADA = "xio_ada-0123456789abcdefghijklmnopqrstuvwxyz"
BOB = "xio_bob-0123456789abcdefghijklmnopqrstuvwxyz"


def line(**tokens: str) -> str:
    """As XIONIMUS_TOKENS has it."""
    return ",".join(f"{name}:{hashlib.sha256(token.encode()).hexdigest()}" for name, token in tokens.items())


TOKENS = line(ada=ADA, bob=BOB)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
