from __future__ import annotations

from dataclasses import replace

from server.chat.tally import MAX_NAMED, OTHER, Tally
from tests.chat.test_draft import MESSAGE


def test_invented_models_are_counted_together() -> None:
    tally = Tally()
    for number in range(MAX_NAMED + 50):
        tally.end(replace(MESSAGE, provider="openai", model=f"model-{number}", status="failed"))
    tally.end(replace(MESSAGE, provider="openai", model="model-0", status="failed"))
    assert len(tally.ended) == MAX_NAMED + 1
    assert tally.ended["openai", OTHER, "failed"] == 50
    assert tally.ended["openai", "model-0", "failed"] == 2
