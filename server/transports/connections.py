"""Who is connected: counted by transport, kept warm through silence, let go when too old or when the server stops."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Protocol

from server.chat.reading import Reader
from server.streaming.log import Stream

Transport = Literal["sse", "ndjson", "poll", "websocket", "text"]

TICK = 0.25  # seconds
# A heartbeat after so many ticks of silence, too: there are boxes on the way that hold back one piece until the next
# one comes. Not after one tick: that may come right behind an event, and the two would be one piece.
TRAILING = 2


class Beating(Protocol):
    """A client that is kept warm. `silence`: ticks since anything was sent; it sets that to 0 when it sends."""

    silence: int

    def beat(self) -> None:
        """Send a heartbeat, if that needs no waiting."""
        ...


class Connection:
    """Counted as long as this context is open."""

    __slots__ = ("_all", "client", "expires", "reader", "transport")

    def __init__(self, connections: Connections, transport: Transport, reader: Reader, expires: float) -> None:
        self._all = connections
        self.transport = transport
        self.reader = reader
        self.expires = expires
        self.client: Beating | None = None

    def __enter__(self) -> Connection:
        self._all.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._all.discard(self)


class Connections:
    """`heartbeat` and `max_age` in seconds.

    Ages differ by a fifth, so that clients that came together do not come back together. One timer serves
    all: a timer for each of thousands of idle readers would cost more than they do.
    """

    def __init__(self, heartbeat: float, max_age: float, jitter: Callable[[], float] = random.random) -> None:
        self.counts: Counter[Transport] = Counter()
        self._tick = min(TICK, heartbeat)
        self._heartbeat_ticks = max(1, round(heartbeat / self._tick))
        self._max_age = max_age
        self._jitter = jitter
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._spared: Callable[[Stream], bool] | None = None  # None: the server is not about to stop

    @property
    def sessions(self) -> int:
        """How many sessions somebody is reading."""
        return len({connection.reader.target.stream for connection in self._open})

    def opened(self, transport: Transport, reader: Reader) -> Connection:
        """A context for as long as a reader is served. Set `client` of what it gives, and it is kept warm."""
        age = self._max_age * (0.8 + 0.4 * self._jitter())
        return Connection(self, transport, reader, asyncio.get_running_loop().time() + age)

    def add(self, connection: Connection) -> None:
        self.counts[connection.transport] += 1
        self._open.add(connection)
        self._drain(connection)
        if self._timer is None:
            self._arm()

    def discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        self.counts[connection.transport] -= 1

    def drain(self, spare: Callable[[Stream], bool] = lambda stream: False) -> None:
        """Cut the streams that are open and, from now on, new ones; but none of a session to `spare`."""
        self._spared = spare
        for connection in list(self._open):
            self._drain(connection)

    def _drain(self, connection: Connection) -> None:
        if self._spared is not None and not self._spared(connection.reader.target.stream):
            connection.reader.cut("draining")

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._beat)

    def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            if connection.expires <= now:
                connection.reader.cut("max_age")
            elif connection.client is not None:
                self._keep_warm(connection.client)
        self._timer = None
        if self._open:
            self._arm()

    def _keep_warm(self, client: Beating) -> None:
        client.silence += 1
        if client.silence == TRAILING or client.silence >= TRAILING + self._heartbeat_ticks:
            client.beat()
            client.silence = TRAILING
