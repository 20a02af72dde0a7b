"""After a crash: what the last process left unfinished is finished before anybody is let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from server.chat import transcript
from server.chat.draft import estimate_tokens
from server.chat.generator import interrupted_problem
from server.chat.models import Message, now, timestamp
from server.chat.store import Store, Unfinished


async def recover(store: Store, clock: Callable[[], datetime] = now) -> int:
    """End every answer that nobody writes any more; how many there were.

    Those that somebody had asked to stop end as `cancelled`, the others as `interrupted`; their text stays.
    """
    unfinished = await store.unfinished()
    for left in unfinished:
        message = _ended(left, timestamp(clock()))
        start = [] if left.started else [transcript.start(left.message, message.created_at)]
        await store.finish(message, left.claim, [*start, transcript.ended(message)])
    for stream in await store.hidden_sessions():
        await store.purge_session(stream)
    return len(unfinished)


def _ended(left: Unfinished, finished_at: str) -> Message:
    message = replace(
        left.message,
        finished_at=finished_at,
        usage={
            "input_tokens": 0,
            "output_tokens": estimate_tokens(left.message.content + left.message.thinking),
            "source": "estimated",
        },
    )
    if left.cancel_requested:
        return replace(message, status="cancelled", finish_reason="cancelled")
    return replace(message, status="interrupted", problem=interrupted_problem(message))
