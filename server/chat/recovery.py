"""Ends answers that nobody writes any more, from what the log has of them.

After a crash: what the last process left unfinished, before anybody is let in. And one whose writing failed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.chat import transcript
from server.chat.draft import estimated_usage
from server.chat.errors import ProviderError
from server.chat.models import Message, MessageStatus, now, timestamp
from server.chat.problems import internal, interrupted
from server.chat.store import Store, Unfinished


async def recover(store: Store, clock: Callable[[], datetime] = now) -> int:
    """End every answer that nobody writes any more; how many there were.

    Those that somebody had asked to stop end as `cancelled`, the others as `interrupted`; their text stays.
    """
    unfinished = await store.unfinished()
    for left in unfinished:
        await _end(store, left, interrupted(left.message.id), clock)
    return len(unfinished)


async def end_failed(store: Store, message_id: str, clock: Callable[[], datetime] = now) -> None:
    """End one answer whose writer cannot: `failed`, unless somebody had asked to stop it."""
    for left in await store.unfinished(message_id):
        await _end(store, left, internal(message_id), clock)


async def _end(store: Store, left: Unfinished, problem: Mapping[str, Any], clock: Callable[[], datetime]) -> None:
    try:
        prompt = await store.turns(left.message)
    except ProviderError:
        prompt = ()  # it was too long to be sent
    usage = estimated_usage(prompt, left.message.content + left.message.thinking)
    message = _ended(replace(left.message, usage=usage, finished_at=timestamp(clock())), left.cancel_requested, problem)
    start = [] if left.started else [transcript.start(left.message, message.created_at)]
    await store.finish(message, left.claim, [*start, transcript.ended(message)])


def _ended(message: Message, cancelled: bool, problem: Mapping[str, Any]) -> Message:
    if cancelled:
        return replace(message, status="cancelled", finish_reason="cancelled")
    status: MessageStatus = "interrupted" if problem["code"] == "interrupted" else "failed"
    return replace(message, status=status, problem=problem)
