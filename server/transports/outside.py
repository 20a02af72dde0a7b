"""Where long connections are served: outside of Starlette's chain, which only decides what they get.

Inside, a dozen of its coroutines would wait as long as a stream or a socket is open, 6 kB a connection, and each
event would pass through three of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

OUTSIDE = "xionimus.outside"  # in the scope: what is to run there

Work = Callable[[Receive, Send], Awaitable[None]]


class Outside:
    """ASGI middleware: runs what `app` has left for it, when `app` is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left: list[Work] = []
        await self._app({**scope, OUTSIDE: left}, receive, send)
        for work in left:
            await work(receive, send)


async def run_outside(scope: Scope, receive: Receive, send: Send, work: Work) -> None:
    """Leave `work` for Outside; run it here if there is none."""
    if OUTSIDE in scope:
        scope[OUTSIDE].append(work)
    else:
        await work(receive, send)
