"""What an answer is given: time, length, attempts; and how long its provider may be silent."""

from __future__ import annotations

import asyncio
from typing import Any

from server.chat.answer import Answer
from server.chat.errors import ProviderError
from server.streaming.values import value


@value
class Limits:
    """Times in seconds, lengths in characters."""

    first_text_timeout: float = 300.0
    delta_timeout: float = 60.0
    answer_timeout: float = 1_800.0
    max_characters: int = 1_000_000
    attempts: int = 3
    first_delay: float = 0.5
    max_delay: float = 20.0


class Patience:
    """Ends an attempt whose provider is silent for too long. One timer an attempt, not one a delta.

    Raises ProviderError.
    """

    def __init__(self, answer: Answer, limits: Limits) -> None:
        self._answer = answer
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._silence = ""

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._check()

    async def __aexit__(self, *error: Any) -> None:
        self._timer.cancel()
        try:
            await self._timeout.__aexit__(*error)
        except TimeoutError:
            raise ProviderError("provider_timeout", self._silence, retryable=True) from None

    def _check(self) -> None:
        due, self._silence = self._due()
        if self._loop.time() >= due:
            self._timeout.reschedule(due)
        else:
            # Not later than `delta_timeout` from now: with the first text, less patience begins.
            self._timer = self._loop.call_at(min(due, self._loop.time() + self._limits.delta_timeout), self._check)

    def _due(self) -> tuple[float, str]:
        if self._answer.first_text_at is None:
            wait, silence = (
                self._limits.first_text_timeout,
                "no text from {} within {:g} s (XIONIMUS_FIRST_TEXT_TIMEOUT)",
            )
        else:
            wait, silence = self._limits.delta_timeout, "nothing more from {} for {:g} s (XIONIMUS_DELTA_TIMEOUT)"
        return self._answer.heard_at + wait, silence.format(self._answer.message.provider, wait)
