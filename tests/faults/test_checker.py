"""The checker finds nothing wrong with a history in which nothing is wrong, and every single thing that is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import LAST_LOOK, check
from tests.faults.history import Ask, Cancel, Final, History, Life, Read, Record, Transport, Truncation
from tests.faults.script import Script

NOON = 1_800_000_000.0
SESSION = "s"
SCRIPTS = [Script(chunks=chunks, seed=chunks, tag=f"key-{number}") for number, chunks in enumerate((6, 9, 5, 7))]
WHOLE, STOPPED, CUT_OFF, LOST = SCRIPTS


def stamp(at: float) -> str:
    return datetime.fromtimestamp(NOON + at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Story:
    """Writes a log by the rules."""

    def __init__(self, run: str, events: list[str] | None = None) -> None:
        self.run = run
        self.events = list(events or ())

    def add(self, kind: str, **fields: Any) -> None:
        event = {"id": f"{self.run}1-{len(self.events) + 1}", "type": kind, **fields}
        self.events.append(json.dumps(event, separators=(",", ":")))

    def ask(self, number: int, at: float) -> None:
        message = {"id": f"question-{number}", "content": SCRIPTS[number].question, "created_at": stamp(at)}
        self.add("posted", message=message)
        self.add("start", message_id=f"answer-{number}", parent_id=message["id"], timestamp=stamp(at))

    def write(self, number: int, chunks: int) -> None:
        offset = 0
        for chunk_id in range(1, chunks + 1):
            content = SCRIPTS[number].piece(chunk_id)
            self.add("chunk", message_id=f"answer-{number}", chunk_id=chunk_id, offset=offset, content=content)
            offset += len(content)

    def end(self, number: int, chunks: int, status: str, at: float) -> None:
        text = "".join(SCRIPTS[number].piece(chunk_id) for chunk_id in range(1, chunks + 1))
        told = {
            "status": status,
            "full_content": text,
            "length": len(text),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "timestamp": stamp(at),
        }
        if status == "interrupted":
            told["problem"] = {"code": "interrupted"}
        kind = "error" if status == "interrupted" else "complete"
        self.add(kind, message_id=f"answer-{number}", **told)


def ask(number: int, at: float, **fields: Any) -> Ask:
    known = {"outcome": "ok", "status": 202, "message_id": f"answer-{number}", **fields}
    script = SCRIPTS[number]
    return Ask(
        client="a",
        session=SESSION,
        key=script.tag,
        question=script.question,
        invoked=NOON + at,
        finished=NOON + at + 0.1,
        **known,
    )


def reads(log: list[str], at: float, name: str = "b") -> list[Read]:
    """The whole log over each transport, left once and taken up again."""
    middle = len(log) // 2
    found = []
    for transport in ("sse", "ndjson", "poll", "websocket"):
        found += [reading(transport, log[:middle], "0", at, name), reading(transport, log[middle:], None, at, name)]
        found[-1].after = found[-2].cursor
    return found


def reading(transport: Transport, items: list[str], after: str | None, at: float, name: str) -> Read:
    return Read(
        client=name,
        transport=transport,
        session=SESSION,
        after=after,
        opened=NOON + at,
        items=list(items),
        end="left",
        cursor=json.loads(items[-1])["id"],
    )


def following(log: list[str], number: int, at: float) -> Read:
    """One answer to its end."""
    items = [text for text in log if json.loads(text).get("message_id") == f"answer-{number}"]
    read = reading("sse", items, None, at, "c")
    read.message_id, read.end = f"answer-{number}", "clean"
    return read


def good() -> History:
    """One answer goes well, one is cancelled, one is interrupted by a kill, one is lost with the end of the WAL."""
    story = Story("aaaaaaa")
    story.ask(0, at=1)
    story.write(0, WHOLE.chunks)
    story.end(0, WHOLE.chunks, "completed", at=2)
    story.ask(1, at=3)
    story.write(1, 4)
    story.end(1, 4, "cancelled", at=4)
    kept = list(story.events)
    story.ask(3, at=5)
    story.write(3, 3)
    lost = list(story.events)
    story = Story("bbbbbbb", kept)
    story.ask(2, at=31)
    story.write(2, 2)
    story.run = "ccccccc"
    story.end(2, 2, "interrupted", at=42)
    gone = reading("sse", lost[-2:], json.loads(lost[-3])["id"], 6, "d")
    records: list[Record] = [
        Life(started=NOON, up=NOON + 0.5, ended=NOON + 20),
        *(ask(number, at) for number, at in ((0, 1), (1, 3), (3, 5))),
        ask(0, 1.2),
        Cancel(
            client="a",
            session=SESSION,
            message_id="answer-1",
            invoked=NOON + 3.5,
            finished=NOON + 4,
            outcome="ok",
            message_status="cancelled",
        ),
        *reads(lost, 6),
        following(lost, 0, 6),
        gone,
        Truncation(at=NOON + 21, before={SESSION: lost}, after={SESSION: kept}),
        Life(started=NOON + 30, up=NOON + 30.5, ended=NOON + 40),
        after_reset(story.events, gone.cursor),
        ask(2, 31),
        Life(started=NOON + 41, up=NOON + 42, terminated=NOON + 50, ended=NOON + 52),
        *reads(story.events, 43),
        *reads(story.events, 43, LAST_LOOK),
        following(story.events, 2, 43),
        Final(
            logs={SESSION: story.events},
            messages={SESSION: [message_of(story.events, number) for number in (0, 1, 2)]},
            requests={script.question: 1 for script in SCRIPTS},
        ),
    ]
    return History(1.0, records)


def after_reset(log: list[str], cursor: str | None) -> Read:
    read = reading("ndjson", log, cursor, 45, "d")
    read.items.insert(0, json.dumps({"id": "aaaaaaa1-0", "type": "reset", "reason": "epoch", "cursor": "aaaaaaa1-0"}))
    return read


def message_of(log: list[str], number: int) -> dict[str, Any]:
    [end] = [
        event
        for event in map(json.loads, log)
        if event.get("message_id") == f"answer-{number}" and "full_content" in event
    ]
    return {"id": end["message_id"], "status": end["status"], "content": end["full_content"], "sha256": end["sha256"]}


def test_nothing_is_wrong_with_a_good_history() -> None:
    assert check(good()) == []


def test_a_history_can_be_kept(tmp_path: Path) -> None:
    history = good()
    history.save(tmp_path / "history")
    assert History.load(tmp_path / "history") == history


# One thing wrong at a time.


def final_log(history: History) -> list[str]:
    log = history.final.logs[SESSION]
    assert isinstance(log, list)
    return log


def changed(text: str, **fields: Any) -> str:
    return json.dumps({**json.loads(text), **fields}, separators=(",", ":"))


def replace_everywhere(history: History, old: str, new: str) -> None:
    """In the log and in whatever was seen of it, so that only the content is wrong, and not its copies."""
    lists = [final_log(history), *(read.items for read in history.reads)]
    lists += [logs[SESSION] for each in history.truncations for logs in (each.before, each.after)]  # type: ignore[misc]
    for items in lists:
        items[:] = [new if item == old else item for item in items]


def place_of(history: History, kind: str, number: int) -> int:
    """Of the last event of a type about an answer."""
    events = list(map(json.loads, final_log(history)))
    return max(
        place
        for place, event in enumerate(events)
        if event["type"] == kind and event.get("message_id") == f"answer-{number}"
    )


def an_acknowledged_question_is_lost(history: History) -> None:
    lost = Script(tag="never-kept")
    history.add(Ask(client="a", session=SESSION, key=lost.tag, question=lost.question, invoked=NOON, outcome="ok"))


def an_acknowledged_answer_is_lost(history: History) -> None:
    history.add(ask(2, 44, message_id="answer-9"))


def the_log_has_a_gap(history: History) -> None:
    del final_log(history)[5]


def the_log_lost_its_end(history: History) -> None:
    del final_log(history)[-1]


def the_truncation_lost_more_than_it_took(history: History) -> None:
    story = Story("ddddddd", final_log(history)[:4])
    history.truncations[0].after[SESSION][:] = final_log(history)[:-4]  # type: ignore[index]
    final_log(history)[:] = story.events


def an_id_stands_for_two_events(history: History) -> None:
    read = next(read for read in history.reads if read.client == "d")
    read.items[-1] = changed(read.items[-1], content="something else")


def a_chunk_is_missing(history: History) -> None:
    place = place_of(history, "chunk", 0)
    text = final_log(history)[place]
    replace_everywhere(history, text, changed(text, type="news"))


def the_text_is_another(history: History) -> None:
    place = place_of(history, "chunk", 1)
    text = final_log(history)[place]
    replace_everywhere(history, text, changed(text, content=json.loads(text)["content"][::-1]))


def the_hash_is_wrong(history: History) -> None:
    text = final_log(history)[place_of(history, "complete", 0)]
    replace_everywhere(history, text, changed(text, sha256="0" * 64))


def the_length_is_wrong(history: History) -> None:
    text = final_log(history)[place_of(history, "complete", 0)]
    replace_everywhere(history, text, changed(text, length=1))


def a_truncated_answer_is_called_complete(history: History) -> None:
    text = final_log(history)[place_of(history, "complete", 1)]
    replace_everywhere(history, text, changed(text, status="completed"))


def an_answer_fails_though_the_provider_did_not(history: History) -> None:
    text = final_log(history)[place_of(history, "error", 2)]
    replace_everywhere(history, text, changed(text, problem={"code": "provider_truncated"}))


def an_answer_never_ends(history: History) -> None:
    text = final_log(history)[place_of(history, "error", 2)]
    replace_everywhere(history, text, changed(text, type="news"))


def an_answer_ends_twice(history: History) -> None:
    text = final_log(history)[place_of(history, "chunk", 2)]
    end = json.loads(final_log(history)[place_of(history, "error", 2)])
    replace_everywhere(history, text, json.dumps({**end, "id": json.loads(text)["id"]}, separators=(",", ":")))


def an_answer_goes_on_after_its_end(history: History) -> None:
    story = Story("ccccccc", final_log(history))
    story.add("news", message_id="answer-2")
    final_log(history)[:] = story.events


def an_answer_ends_long_after_the_restart(history: History) -> None:
    text = final_log(history)[place_of(history, "error", 2)]
    replace_everywhere(history, text, changed(text, timestamp=stamp(48)))


def two_answers_are_written_at_once(history: History) -> None:
    first, second = (
        final_log(history)[place_of(history, kind, number)] for kind, number in (("complete", 0), ("chunk", 1))
    )
    swapped = [changed(first, id=json.loads(second)["id"]), changed(second, id=json.loads(first)["id"])]
    replace_everywhere(history, first, swapped[1])
    replace_everywhere(history, second, swapped[0])


def the_provider_was_asked_twice(history: History) -> None:
    history.final.requests[WHOLE.question] = 2  # type: ignore[index]


def one_key_was_posted_twice(history: History) -> None:
    story = Story("ccccccc", final_log(history))
    story.add("posted", message={"id": "again", "content": WHOLE.question, "created_at": stamp(43)})
    final_log(history)[:] = story.events


def one_key_has_two_answers(history: History) -> None:
    history.add(ask(0, 2, message_id="answer-1"))


def a_refused_question_was_asked_after_all(history: History) -> None:
    for each in history.asks:
        if each.key == CUT_OFF.tag:
            each.outcome, each.message_id = "fail", None


def a_cancelled_answer_went_on(history: History) -> None:
    history.cancels[0].message_status = "completed"


def cancelling_made_the_server_fail(history: History) -> None:
    history.cancels[0].outcome, history.cancels[0].code = "fail", "internal"


def asking_made_the_server_fail(history: History) -> None:
    history.asks[0].outcome, history.asks[0].status = "unknown", 500


def a_right_cursor_was_reset(history: History) -> None:
    read = history.reads[1]
    read.items.insert(0, json.dumps({"id": "aaaaaaa1-0", "type": "reset", "reason": "epoch"}))


def a_wrong_cursor_was_not_reset(history: History) -> None:
    read = next(read for read in history.reads if read.opened == NOON + 45)
    del read.items[0]


def a_stream_ended_cleanly_too_early(history: History) -> None:
    read = next(read for read in history.reads if read.message_id == "answer-2")
    read.items.pop()


def a_stream_of_a_session_ended_cleanly(history: History) -> None:
    read = history.reads[0]
    read.items.pop()
    read.cursor, read.end = json.loads(read.items[-1])["id"], "clean"


def a_client_was_told_it_had_everything(history: History) -> None:
    read = next(read for read in history.reads if read.message_id == "answer-2")
    read.end, read.after, read.cursor = "exhausted", json.loads(read.items[1])["id"], None
    read.items.clear()


def a_page_names_a_cursor_behind_what_it_gave(history: History) -> None:
    read = next(read for read in history.reads if read.transport == "poll")
    read.cursor = json.loads(final_log(history)[len(read.items) + 1])["id"]


def what_is_there_was_not_found(history: History) -> None:
    read = history.reads[0]
    read.end, read.code = "refused", "not_found"


def a_right_cursor_was_refused(history: History) -> None:
    read = history.reads[1]
    read.end, read.code = "refused", "cursor_reset"


def reading_made_the_server_fail(history: History) -> None:
    read = history.reads[1]
    read.end, read.code = "refused", "internal"


def the_framing_did_not_fit(history: History) -> None:
    history.reads[0].anomalies.append("the framing does not fit the data")


def the_server_did_not_stop_in_time(history: History) -> None:
    history.lives[-1].ended = NOON + 53.5


def the_history_page_lacks_an_answer(history: History) -> None:
    history.final.messages[SESSION].pop()  # type: ignore[attr-defined]


def the_history_page_tells_otherwise(history: History) -> None:
    history.final.messages[SESSION][0]["status"] = "failed"  # type: ignore[index]


def a_transport_does_not_give_the_last_event(history: History) -> None:
    read = [read for read in history.reads if read.client == LAST_LOOK and read.transport == "websocket"][-1]
    read.items.pop()
    read.cursor = json.loads(read.items[-1])["id"]


MISTAKES: dict[Callable[[History], None], int] = {
    an_acknowledged_question_is_lost: 1,
    an_acknowledged_answer_is_lost: 1,
    the_log_has_a_gap: 2,
    the_log_lost_its_end: 1,
    the_truncation_lost_more_than_it_took: 1,
    an_id_stands_for_two_events: 2,
    a_chunk_is_missing: 2,
    the_text_is_another: 2,
    the_hash_is_wrong: 2,
    the_length_is_wrong: 2,
    a_truncated_answer_is_called_complete: 3,
    an_answer_fails_though_the_provider_did_not: 3,
    an_answer_never_ends: 3,
    an_answer_ends_twice: 3,
    an_answer_goes_on_after_its_end: 3,
    an_answer_ends_long_after_the_restart: 3,
    two_answers_are_written_at_once: 2,
    the_provider_was_asked_twice: 6,
    one_key_was_posted_twice: 6,
    one_key_has_two_answers: 6,
    a_refused_question_was_asked_after_all: 6,
    a_cancelled_answer_went_on: 5,
    cancelling_made_the_server_fail: 5,
    asking_made_the_server_fail: 1,
    a_right_cursor_was_reset: 4,
    a_wrong_cursor_was_not_reset: 4,
    a_stream_ended_cleanly_too_early: 2,
    a_stream_of_a_session_ended_cleanly: 2,
    a_client_was_told_it_had_everything: 4,
    a_page_names_a_cursor_behind_what_it_gave: 2,
    what_is_there_was_not_found: 1,
    a_right_cursor_was_refused: 4,
    reading_made_the_server_fail: 4,
    the_framing_did_not_fit: 2,
    the_server_did_not_stop_in_time: 8,
    the_history_page_lacks_an_answer: 1,
    the_history_page_tells_otherwise: 2,
    a_transport_does_not_give_the_last_event: 1,
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_found(mistake: Callable[[History], None]) -> None:
    history = good()
    mistake(history)
    assert MISTAKES[mistake] in {violation.promise for violation in check(history)}


# What a transport may do to a stream of events, anywhere in it.


def drop(items: list[str], place: int) -> None:
    del items[place]


def double(items: list[str], place: int) -> None:
    items.insert(place, items[place])


def swap(items: list[str], place: int) -> None:
    items[place], items[place - 1] = items[place - 1], items[place]


def change_a_byte(items: list[str], place: int) -> None:
    items[place] = items[place].replace('"type"', '"typo"', 1).replace('"typo"', ' "type"', 1)


@given(
    st.sampled_from([drop, double, swap, change_a_byte]),
    st.integers(min_value=0, max_value=1_000),
    st.integers(min_value=0, max_value=1_000),
)
def test_a_damaged_stream_is_found(damage: Callable[[list[str], int], None], which: int, where: int) -> None:
    history = deepcopy(GOOD)
    # `reset` may stand where it stands, or be taken for the ground of what follows.
    streams = [read for read in history.reads if "reset" not in read.items[0]]
    read = streams[which % len(streams)]
    # A drop at the end is a client that left earlier, if its cursor says so; here the cursor says otherwise.
    place = 1 + where % (len(read.items) - 1) if damage is swap else where % len(read.items)
    damage(read.items, place)
    assert {violation.promise for violation in check(history)} & {1, 2, 4}


GOOD = good()
