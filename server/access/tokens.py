"""Tokens, and who they stand for. A token is shown once, when it is made; what is kept is its hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from server.settings import TokenHash

PREFIX = "xio_"  # so that a token is known for one, wherever it leaks to


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    # A fast hash is right here, unlike for passwords: 256 random bits cannot be guessed at any speed.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Tokens:
    def __init__(self, hashes: Sequence[TokenHash]) -> None:
        self._hashes = hashes

    def __bool__(self) -> bool:
        """Whether there are any: then everybody has to show one."""
        return bool(self._hashes)

    def name_of(self, token: str) -> str | None:
        """Who `token` stands for. Looks at all of them, whichever fits, so that the time tells nothing."""
        digest = hash_of(token)
        found = None
        for each in self._hashes:
            if hmac.compare_digest(each.sha256, digest):
                found = each.name
        return found
