"""Every event is as it is described, and nothing of it is left undescribed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from server.api import event_schemas
from server.chat import transcript
from server.chat.models import Message, now, timestamp
from server.chat.problems import problem
from server.streaming.events import Cursor, Entry, Event

PLACE = Cursor("e", 7)
NOW = timestamp(now())
QUESTION = Message("q", "s", None, "user", "completed", NOW, 1, PLACE, content="Why?", finished_at=NOW)
WRITING = Message("m", "s", "q", "assistant", "streaming", NOW, 1, PLACE, provider="demo", model="echo")
TROUBLE = problem("provider_timeout", "it took too long")
ENDED = replace(WRITING, status="completed", content="So.", finish_reason="stop", finished_at=NOW)
USED = {"input_tokens": 1, "output_tokens": 2, "source": "provider"}
ENTRIES = [
    transcript.posted(QUESTION),
    transcript.posted(QUESTION, "c-1"),
    transcript.start(WRITING, NOW),
    transcript.thinking("m", 1, "Hm"),
    transcript.chunk("m", 1, 0, "So"),
    transcript.sources("m", [{"url": "https://a.example", "title": "A"}]),
    transcript.retrying(WRITING, 1, 0.5, TROUBLE),
    transcript.ended(ENDED),
    transcript.ended(replace(ENDED, usage=USED, timings={"first_token_ms": 1.0, "total_ms": 2.0})),
    transcript.ended(replace(ENDED, status="failed", finish_reason=None, problem=TROUBLE)),
    transcript.session_changed(title="Another"),
    transcript.session_changed(deleted=True),
]


def undescribed(found: BaseModel) -> set[str]:
    inside = [value for value in dict(found).values() if isinstance(value, BaseModel)]
    return set(found.model_extra or ()).union(*(undescribed(each) for each in inside))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.type)
def test_an_event_is_as_described(entry: Entry) -> None:
    told: dict[str, Any] = json.loads(Event(PLACE, entry.type, entry.body).json)
    found = event_schemas.Event.model_validate(told).root
    assert undescribed(found) == set()
    assert found.model_dump(exclude_unset=True).keys() == told.keys()
    for field in told.keys() - {"client_id", "title", "deleted"}:
        with pytest.raises(ValidationError):
            event_schemas.Event.model_validate({name: value for name, value in told.items() if name != field})


def test_all_types_of_the_log_are_looked_at() -> None:
    described = event_schemas.Event.model_json_schema()["discriminator"]["mapping"].keys()
    assert {entry.type for entry in ENTRIES} == described - {"ready", "reset"}  # which are in no log
