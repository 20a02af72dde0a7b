"""Host names under which the server answers.

A web page can point a name of its own at 127.0.0.1 and then reach what listens there as its own origin (DNS
rebinding). Only the Host header tells: it still carries the page's name. An address in it cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)


class Hosts:
    """`allowed`: names and addresses besides those of loopback, in lower case."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)

    def allow(self, host: str, local: str | None) -> bool:
        """Whether a Host header, with or without a port, names this server, reached at the address `local`."""
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().strip("[]").rstrip(".")
        return name in self._allowed or name == local or is_loopback(name)


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether nobody but this machine can reach `name`. RFC 6761: `localhost` and all below it are loopback."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
