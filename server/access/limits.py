"""How much one caller may do: requests a minute, and requests open at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from ipaddress import IPv4Address, ip_address, ip_network

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from server.api.errors import ProblemError

STREAMS_RETRY_AFTER = 5  # seconds


_UNLIMITED = nullcontext()


class CallerLimits:
    """`requests` a minute, over a sliding window; `streams`: open at once, with whatever else is open."""

    def __init__(self, requests: int, streams: int) -> None:
        self._item = RateLimitItemPerMinute(requests)
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._streams = streams
        self._open: Counter[str] = Counter()

    def within(self, caller: str | None, *, stops: bool = False) -> AbstractContextManager[None]:
        """While a request of `caller` (None: no limits) is served. Raises ProblemError on entering.

        One that `stops` an answer needs no place: whoever has none left must not have to pay on.
        """
        return _UNLIMITED if caller is None else self._within(caller, stops)

    @contextmanager
    def _within(self, caller: str, stops: bool) -> Iterator[None]:
        self.count(caller)
        if self._open[caller] >= self._streams and not stops:
            raise ProblemError(
                "too_many_streams",
                f"{self._streams} requests of yours are open already; close one",
                retry_after=STREAMS_RETRY_AFTER,
            )
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    def count(self, caller: str | None) -> None:
        """One more request, or frame on a socket. Raises ProblemError."""
        if caller is not None and not self._windows.hit(self._item, caller):
            reset = self._windows.get_window_stats(self._item, caller).reset_time
            raise ProblemError(
                "rate_limited",
                f"{self._item.amount} requests a minute are the most that one caller may send",
                retry_after=min(60, max(1, round(reset - time.time()))),
            )


def place_of(address: str) -> str:
    """Whose an address is. A network of IPv6 has 2^64 of them, and belongs to one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped or ip_network((int(found), 64), strict=False))
