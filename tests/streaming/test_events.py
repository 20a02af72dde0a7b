import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.streaming.events import BadCursor, Cursor, Entry, Event

EPOCHS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=16)
CURSORS = st.builds(Cursor, EPOCHS, st.integers(0, 10**16 - 1))
CURSOR = re.compile(r"[abcdefghijklmnopqrstuvwxyz0123456789]{1,16}-(0|[123456789][0123456789]{0,15})\Z")

# json.loads may leave lone surrogates behind, and so may a provider's delta.
ANY_TEXT = st.text(st.characters())
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def event(kind: str = "chunk", **fields: object) -> Event:
    entry = Entry.of(kind, fields)
    return Event(Cursor("epoch", 7), entry.type, entry.body, entry.message_id)


@given(CURSORS)
def test_a_cursor_survives_the_wire(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text() | st.text("az019-_.٣ \n", max_size=8) | st.builds("{}-{}".format, EPOCHS, st.integers()))
def test_what_str_would_not_give_is_refused(text: str) -> None:
    if CURSOR.match(text):
        assert str(Cursor.parse(text)) == text
    else:
        with pytest.raises(BadCursor):
            Cursor.parse(text)


LOOK_ALIKES = ["", "-", "a-", "-1", "a-01", "a--1", "a-1\n", " a-1", "a-1 ", "A-1", "a-+1", "a-1.0", "a-٣", "a_b-1"]


@pytest.mark.parametrize("text", [*LOOK_ALIKES, "a-1-1", "a" * 17 + "-1", "a-" + "1" * 17])
def test_look_alikes_of_cursors_are_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        Cursor.parse(text)


@given(st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=4))
def test_an_event_is_ascii_and_says_what_its_entry_said(fields: dict[str, object]) -> None:
    made = Entry.of("chunk", {"fields": fields})
    json_text = Event(Cursor("epoch", 7), made.type, made.body).json.decode("ascii")
    assert json.loads(json_text) == {"id": "epoch-7", "type": "chunk", "fields": fields}
    assert not re.search(r"[\x00-\x1f\x7f]", json_text)


@pytest.mark.parametrize(
    "text", ["\u2028\u2029", "\ufeff", "\ud800", "\udc00x", "\0", "\r\n", "😀" * 3, "x" * 2_000_000]
)
def test_difficult_text_comes_back_whole(text: str) -> None:
    assert json.loads(event(content=text).json)["content"] == text


def test_an_event_without_fields_is_an_object_too() -> None:
    assert json.loads(event("ready").json) == {"id": "epoch-7", "type": "ready"}


def test_the_message_comes_from_the_entry() -> None:
    about = Entry.of("start", {"model": "demo"}, "msg_1")
    assert about.message_id == "msg_1"
    assert json.loads(about.body) == {"message_id": "msg_1", "model": "demo"}
    assert "message_id" not in json.loads(Entry.of("session", {"title": "Hi"}).body)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Entry.of("chunk", {"offset": float("nan")})


@given(ANY_TEXT)
def test_an_sse_block_is_an_event_an_id_one_data_line_and_a_blank_one(text: str) -> None:
    told = event(content=text)
    assert told.sse == b"event: chunk\nid: epoch-7\ndata: " + told.json + b"\n\n"
    assert told.sse.count(b"\n") == 4
    assert b"\r" not in told.sse


def test_everybody_shares_the_same_bytes() -> None:
    told = event(content="x")
    assert told.sse is told.sse
    assert told.json is told.json
