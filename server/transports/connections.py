"""Who is connected: counted by transport, let go when they are too old or when the server stops."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from server.chat.reading import Reader
from server.streaming.log import Stream

Transport = Literal["sse", "ndjson", "poll", "websocket", "text"]


class Connections:
    """`max_age` in seconds, give or take a fifth, so that clients that came together do not return together."""

    def __init__(self, max_age: float, jitter: Callable[[], float] = random.random) -> None:
        self.counts: Counter[Transport] = Counter()
        self._max_age = max_age
        self._jitter = jitter
        self._readers: set[Reader] = set()
        self._draining = False

    @property
    def sessions(self) -> int:
        """How many sessions somebody is reading."""
        return len({reader.target.stream for reader in self._readers})

    @contextmanager
    def opened(self, transport: Transport, reader: Reader) -> Iterator[None]:
        age = self._max_age * (0.8 + 0.4 * self._jitter())
        timer = asyncio.get_running_loop().call_later(age, reader.cut, "max_age")
        self.counts[transport] += 1
        self._readers.add(reader)
        if self._draining:
            reader.cut("draining")
        try:
            yield
        finally:
            timer.cancel()
            self._readers.discard(reader)
            self.counts[transport] -= 1

    def drain(self, spare: Callable[[Stream], bool] = lambda stream: False) -> None:
        """Cut the streams that are open, but those of sessions to `spare`; and from now on, all new ones."""
        self._draining = True
        for reader in list(self._readers):
            if not spare(reader.target.stream):
                reader.cut("draining")
