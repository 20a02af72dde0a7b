"""Waiting for somebody who may leave: uvicorn tells only those who ask, and who is gone should hold nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

Result = TypeVar("Result")


async def unless_gone(receive: Receive, waiting: Coroutine[Any, Any, Result]) -> Result | None:
    """What `waiting` returns, or raises; None if the client leaves before: then it is cancelled.

    To be called when the body has been read, or does not matter.
    """
    tasks = work, _ = asyncio.create_task(waiting), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
