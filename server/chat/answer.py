"""One answer on its way, and why its writing may end before its provider does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from server.chat.models import Message
from server.chat.provider import Turn
from server.streaming.log import Claim


class Stopped(Exception):
    """Why the writing of an answer ended before its provider did."""


class Cancelled(Stopped):
    pass


class Interrupted(Stopped):
    pass


@dataclass(eq=False)
class Answer:
    """One answer on its way. `begun`: its `start` stands in the log already. `prompt`: if it is known already.

    `context` is that of whoever asked, whose name the log gives to what happens to the answer.
    """

    message: Message
    claim: Claim
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    begun: bool = False
    owner: str | None = None
    prompt: Sequence[Turn] = ()
    context: Context = field(default_factory=copy_context, repr=False)
    stopped: BaseException | None = None
    task: asyncio.Task[None] | None = None
    asking: bool = False  # its task is with the provider, and may be cancelled there
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    attempt: int = 0  # how often the provider has been asked
    started_at: float = 0.0
    first_text_at: float | None = None
    heard_at: float = 0.0  # of its provider, by the clock of the loop

    def heard(self) -> None:
        self.heard_at = asyncio.get_running_loop().time()

    def stop(self, why: BaseException) -> None:
        """The first reason counts; only the end of the process overrides it."""
        if self.stopped is None or isinstance(why, Interrupted):
            self.stopped = why
            if self.asking and self.task is not None:
                self.task.cancel()
