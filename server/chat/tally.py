"""What the answers of this process came to so far: kept where it arises, for whoever asks."""

from __future__ import annotations

from collections import Counter

from server.chat.models import Message
from server.streaming.measures import SECONDS, Histogram

MAX_NAMED = 200
OTHER = "other"


class Tally:
    """`ended` by provider, model and status; models are named by callers, so beyond MAX_NAMED of these the model is
    OTHER. `visible`: seconds from a delta to the readers, commit included.
    """

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.events = 0
        self.first_text = Histogram(SECONDS)
        self.visible = Histogram(SECONDS)

    def end(self, message: Message) -> None:
        provider, model = message.provider or "", message.model or ""
        if (provider, model, message.status) not in self.ended and len(self.ended) >= MAX_NAMED:
            model = OTHER
        self.ended[provider, model, message.status] += 1
        first = (message.timings or {}).get("first_token_ms")
        if first is not None:
            self.first_text.add(first / 1_000)
