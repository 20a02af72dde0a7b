"""A TCP connection to a name that may have several addresses, of which some may lead nowhere (RFC 8305).

uvloop's `create_connection` waits for the first address until it gives up by itself: behind an IPv6 that is broken,
as many networks have it, that is never within a timeout.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.staggered import staggered_race
from collections.abc import Sequence
from functools import partial
from typing import Any

DELAY = 0.25  # seconds after which the next address is tried beside the last, as the RFC advises


async def connected_socket(host: str, port: int) -> socket.socket:
    """A socket that does not block, to the address that answered first. Raises OSError, UnicodeError."""
    attempts = [partial(_connected, *address) for address in await addresses_of(host, port)]
    if len(attempts) == 1:
        return await attempts[0]()
    winner, _, errors = await staggered_race(attempts, DELAY)
    if winner is None:
        raise next(error for error in errors if error is not None)
    found: socket.socket = winner
    return found


async def addresses_of(host: str, port: int) -> Sequence[tuple[int, Any]]:
    """Each with its family, the one first that the system thinks best."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


async def _connected(family: int, place: Any) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, place)
    except BaseException:
        connecting.close()
        raise
    return connecting
