"""What each kind of event tells, and what an answer's events prove."""

from __future__ import annotations

import hashlib

import pytest

from tests.api.calling import Caller, Json, text_of

FIELDS = {
    "posted": {"message"},
    "session": {"title"},
    "start": {"message_id", "parent_id", "provider", "model", "timestamp"},
    "thinking": {"message_id", "chunk_id", "content"},
    "chunk": {"message_id", "chunk_id", "offset", "content"},
    "complete": {"message_id", "status", "finish_reason", "full_content", "length", "sha256", "provider", "model",
                 "usage", "timings", "timestamp"},
}  # fmt: skip


@pytest.fixture(scope="module")
def events(caller: Caller) -> list[Json]:
    caller.answer("kinds", "Grüße 你好 🎈", model="demo", ultra_thinking=True)
    return caller.log("kinds")


def of(events: list[Json], kind: str) -> list[Json]:
    return [event for event in events if event["type"] == kind]


@pytest.mark.parametrize("kind", FIELDS)
def test_an_event_has_its_fields(events: list[Json], kind: str) -> None:
    assert of(events, kind)
    for event in of(events, kind):
        assert event.keys() == {"id", "type"} | FIELDS[kind]


def test_ids_are_one_epoch_and_a_sequence_without_gaps(events: list[Json]) -> None:
    epochs, places = zip(*(event["id"].split("-") for event in events), strict=True)
    assert len(set(epochs)) == 1
    assert list(map(int, places)) == list(range(1, len(events) + 1))


def test_chunks_say_where_they_belong(events: list[Json]) -> None:
    chunks = of(events, "chunk")
    assert [chunk["chunk_id"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    offset = 0
    for chunk in chunks:
        assert chunk["offset"] == offset
        offset += len(chunk["content"])
    assert of(events, "thinking")[0]["chunk_id"] == 1


def test_the_last_event_proves_the_whole(events: list[Json]) -> None:
    [complete] = of(events, "complete")
    text = text_of(events)
    assert "Grüße 你好 🎈" in text
    assert (complete["full_content"], complete["length"]) == (text, len(text))
    assert complete["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert complete == events[-1]


def test_the_last_event_tells_what_it_cost(events: list[Json]) -> None:
    [complete] = of(events, "complete")
    assert complete["usage"].keys() == {"input_tokens", "output_tokens", "source"}
    assert complete["usage"]["source"] == "provider"
    assert 0 < complete["timings"]["first_token_ms"] <= complete["timings"]["total_ms"]


def test_what_is_told_and_what_is_kept_agree(caller: Caller, events: list[Json]) -> None:
    [posted], [start], [complete] = of(events, "posted"), of(events, "start"), of(events, "complete")
    question, answer = caller.history("kinds")["messages"]
    assert posted["message"] == question
    assert start["parent_id"] == question["id"]
    told = ("status", "finish_reason", "provider", "model", "usage", "timings", "length", "sha256")
    assert {name: complete[name] for name in told} == {name: answer[name] for name in told}
    assert answer["thinking"] == "".join(event["content"] for event in of(events, "thinking"))
