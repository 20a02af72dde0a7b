"""Holds the promises over a whole history.

Only a truncation may take anything back, and it is known exactly what: the history has the logs before and
after it. Between two truncations lies an *era*, and the log at an era's end is what everything seen in
it is measured by. No oracle is needed: an answer's text is a known function of its question.

    1  what was acknowledged or seen is still there        4  a cursor is right, or refused
    2  in order, no gaps, no duplicates, the same bytes    5  cancelled stays cancelled
    3  one end for each answer, soon after a restart       6  one key, one provider call
    8  a terminated server is gone in time
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.faults.history import Ask, History, Logs, Read
from tests.faults.script import Script

ENDS = ("complete", "error")
MARGIN = 5.0  # seconds after a restart
STOP_MARGIN = 2.0  # seconds after the grace time
EXPECTED_REFUSALS = {"storage_unavailable", "draining", "not_found", "cursor_reset"}
EXPECTED_PROBLEMS = {"interrupted", "storage_unavailable"}
"""What may end an answer whose provider does nothing wrong."""
SAME = (("status", "status"), ("content", "full_content"), ("sha256", "sha256"))
"""Fields of a message in the history, and of the event that ended it."""

LAST_LOOK = "last look"
"""The client that reads everything when all is over."""


@dataclass(frozen=True)
class Violation:
    promise: int
    what: str

    def __str__(self) -> str:
        return f"promise {self.promise}: {self.what}"


@dataclass
class Answer:
    """What a log says about one answer. `places`: of its events in the session's log."""

    message_id: str
    session: str
    question: str = ""
    places: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ends(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] in ENDS]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == "chunk"]

    def __str__(self) -> str:
        return f"answer {self.message_id} of {self.session}"


class Log:
    """The log of one session at the end of an era."""

    def __init__(self, session: str, events: Sequence[str]) -> None:
        self.session = session
        self.texts = list(events)
        self.events: list[dict[str, Any]] = [json.loads(text) for text in events]
        self.seqs = [seq_of(event["id"]) for event in self.events]
        self.ids = {event["id"]: place for place, event in enumerate(self.events)}
        self.answers: dict[str, Answer] = {}
        self.questions: dict[str, list[str]] = {}  # ids of the `posted` messages by content
        for place, event in enumerate(self.events):
            self._take(place, event)

    def _take(self, place: int, event: dict[str, Any]) -> None:
        if event["type"] == "posted":
            message = event["message"]
            self.questions.setdefault(message["content"], []).append(message["id"])
        message_id = event.get("message_id")
        if message_id is not None:
            answer = self.answers.setdefault(message_id, Answer(message_id, self.session))
            answer.places.append(place)
            answer.events.append(event)
            if event["type"] == "start":
                answer.question = self._content_of(event["parent_id"])

    def _content_of(self, question_id: str) -> str:
        return next((content for content, ids in self.questions.items() if question_id in ids), "")

    def wanted(self, message_id: str | None) -> Sequence[int]:
        """The places that a reader of the session, or of one answer, gets to see."""
        if message_id is None:
            return range(len(self.texts))
        answer = self.answers.get(message_id)
        return answer.places if answer else ()


EMPTY = Log("", ())


@dataclass
class Era:
    logs: Mapping[str, Log]

    def log(self, session: str) -> Log:
        return self.logs.get(session, EMPTY)

    def answer(self, session: str, message_id: str) -> Answer | None:
        return self.log(session).answers.get(message_id)


def check(history: History) -> list[Violation]:
    """Every violation of a promise in the history; none if all is well."""
    return list(Rules(history).violations())


class Rules:
    def __init__(self, history: History) -> None:
        self.history = history
        self.final = history.final
        self.truncations = history.truncations
        ends: list[Logs] = [*(truncation.before for truncation in self.truncations), self.final.logs]
        self.eras = [Era({session: Log(session, events) for session, events in logs.items()}) for logs in ends]
        self._cuts = [truncation.at for truncation in self.truncations]

    def violations(self) -> Iterator[Violation]:
        for check_all in (
            self.logs,
            self.identities,
            self.answers,
            self.asks,
            self.keys,
            self.cancels,
            self.reads,
            self.last_looks,
            self.restarts,
            self.stops,
            self.messages,
        ):
            yield from check_all()

    def era(self, at: float) -> Era:
        return self.eras[bisect_right(self._cuts, at)]

    # The logs themselves.

    def logs(self) -> Iterator[Violation]:
        """Places are counted from 1 without gaps, and nothing that a truncation left is lost later."""
        for era in self.eras:
            for log in era.logs.values():
                if log.seqs != list(range(1, len(log.seqs) + 1)):
                    yield Violation(2, f"the log of {log.session} has gaps or doubles: {log.seqs[:20]}…")
        for truncation, era in zip(self.truncations, self.eras[1:], strict=True):
            for session, left in truncation.after.items():
                if era.log(session).texts[: len(left)] != list(left):
                    yield Violation(1, f"the log of {session} lost events that the truncation had left")

    def identities(self) -> Iterator[Violation]:
        """One id, one event: in all logs, and in all reads of all clients."""
        known: dict[tuple[str, str], str] = {}
        for era in self.eras:
            for log in era.logs.values():
                for event, text in zip(log.events, log.texts, strict=True):
                    if known.setdefault((log.session, event["id"]), text) != text:
                        yield Violation(2, f"{event['id']} of {log.session} was two different events")
        for read in self.history.reads:
            for text in read.items:
                event = json.loads(text)
                if event["type"] in ("ready", "reset"):
                    continue
                if known.setdefault((read.session, event["id"]), text) != text:
                    yield Violation(2, f"{read.client} saw {event['id']} of {read.session} with other bytes: {text}")

    # Answers.

    def answers(self) -> Iterator[Violation]:
        for number, era in enumerate(self.eras):
            for log in era.logs.values():
                for answer in log.answers.values():
                    yield from self._shape(answer)
                    if number == len(self.eras) - 1 and not answer.ends:
                        yield Violation(3, f"{answer} has no end")
                yield from self._turns(log)

    def _shape(self, answer: Answer) -> Iterator[Violation]:
        types = [event["type"] for event in answer.events]
        if types.count("start") != 1 or types[0] != "start":
            yield Violation(2, f"{answer} does not begin with one start: {types[:5]}")
        if len(answer.ends) > 1 or (answer.ends and types[-1] not in ENDS):
            yield Violation(3, f"{answer} goes on after its end: {types[-5:]}")
        offset = 0
        for number, chunk in enumerate(answer.chunks, 1):
            if (chunk["chunk_id"], chunk["offset"]) != (number, offset):
                yield Violation(2, f"{answer} lacks text before chunk {chunk['chunk_id']} at {chunk['offset']}")
            offset += len(chunk["content"])
        yield from self._text(answer)

    def _text(self, answer: Answer) -> Iterator[Violation]:
        text = "".join(chunk["content"] for chunk in answer.chunks)
        right = Script.parse(answer.question).text if answer.question else ""
        if not right.startswith(text):
            yield Violation(2, f"{answer} is not the beginning of the right text: {text[-80:]!r}")
        for end in answer.ends:
            told = (end["full_content"], end["length"], end["sha256"])
            if told != (text, len(text), hashlib.sha256(text.encode()).hexdigest()):
                yield Violation(2, f"the end of {answer} tells another text than its chunks")
            if end["status"] == "completed" and text != right:
                yield Violation(3, f"{answer} is called complete with {len(text)} of {len(right)} characters")
            if end["type"] == "error" and end["problem"]["code"] not in EXPECTED_PROBLEMS:
                yield Violation(3, f"{answer} ended with {end['problem']['code']}")

    def _turns(self, log: Log) -> Iterator[Violation]:
        """The answers of one session are written one after the other."""
        spans = []
        for answer in log.answers.values():
            written = [place for place, event in zip(answer.places, answer.events, strict=True) if _is_text(event)]
            if written:
                spans.append((written[0], answer.places[-1], answer))
        for (_, last, one), (first, _, other) in pairwise(sorted(spans, key=lambda span: span[0])):
            if first < last:
                yield Violation(2, f"{one} and {other} are written at the same time")

    def messages(self) -> Iterator[Violation]:
        """The history page tells the same as the log."""
        for session, messages in self.final.messages.items():
            kept = {message["id"]: message for message in messages}
            for answer in self.eras[-1].log(session).answers.values():
                message = kept.get(answer.message_id)
                if message is None:
                    yield Violation(1, f"{answer} is not in the history")
                elif answer.ends and (differing := _differing(message, answer.ends[0])):
                    yield Violation(2, f"the history has {answer} otherwise than the log: {differing}")

    # What clients did.

    def asks(self) -> Iterator[Violation]:
        for ask in self.history.asks:
            if ask.outcome == "ok":
                log = self.era(ask.finished).log(ask.session)
                if ask.question not in log.questions:
                    yield Violation(1, f"the question {ask.key} of {ask.session} was acknowledged, and is lost")
                elif ask.message_id is not None and not self._promised(log, ask):
                    yield Violation(1, f"the answer {ask.message_id} was acknowledged, and is lost")
            if ask.code == "internal" or (ask.status or 0) == 500:
                yield Violation(1, f"asking {ask.key} made the server fail")

    def _promised(self, log: Log, ask: Ask) -> bool:
        # An answer that waits for its turn has no events yet; the final era has them all.
        return ask.message_id in log.answers or log is not self.eras[-1].log(ask.session)

    def keys(self) -> Iterator[Violation]:
        """One key is one question, one answer and one call of the provider; refused for good, it is none."""
        by_key: dict[str, list[Ask]] = {}
        for ask in self.history.asks:
            by_key.setdefault(ask.key, []).append(ask)
        for key, asks in by_key.items():
            question, session = asks[0].question, asks[0].session
            posted = [len(era.log(session).questions.get(question, ())) for era in self.eras]
            answers = {
                answer.message_id
                for era in self.eras
                for answer in era.log(session).answers.values()
                if answer.question == question
            }
            if max(posted) > 1:
                yield Violation(6, f"{key} was posted {max(posted)} times")
            calls = self.final.requests.get(question, 0)
            if calls > len(answers):
                yield Violation(6, f"{key} made {calls} calls of the provider for {len(answers)} answers")
            if all(ask.outcome == "fail" for ask in asks) and (max(posted) or calls):
                yield Violation(6, f"{key} was refused, and yet posted ({max(posted)}) or asked ({calls})")
            for era in self.eras:
                told = {ask.message_id for ask in asks if ask.message_id and self.era(ask.finished) is era}
                if len(told) > 1:
                    yield Violation(6, f"{key} was answered with several answers: {told}")

    def cancels(self) -> Iterator[Violation]:
        for cancel in self.history.cancels:
            if cancel.outcome != "ok":
                if cancel.code is not None and cancel.code not in EXPECTED_REFUSALS:
                    yield Violation(5, f"cancelling {cancel.message_id} was answered with {cancel.code}")
                continue
            answer = self.era(cancel.finished).answer(cancel.session, cancel.message_id)
            status = answer.ends[0]["status"] if answer and answer.ends else None
            if cancel.message_status != status:
                yield Violation(
                    5, f"{cancel.message_id} was {cancel.message_status} when its cancelling returned, and is {status}"
                )

    # What clients saw.

    def reads(self) -> Iterator[Violation]:
        for read in self.history.reads:
            for promise, what in _Reading(read, self.era(read.opened).log(read.session)).complaints():
                about = f"{read.message_id or read.session} over {read.transport} after {read.after}"
                yield Violation(promise, f"{read.client}, reading {about}: {what}")

    def last_looks(self) -> Iterator[Violation]:
        """Over every transport, everything that is in the file can be read."""
        seen: dict[tuple[str, str], int] = {}
        for read in self.history.reads:
            if read.client == LAST_LOOK:
                count = sum(json.loads(text)["type"] not in ("ready", "reset") for text in read.items)
                seen[read.session, read.transport] = seen.get((read.session, read.transport), 0) + count
        for (session, transport), count in seen.items():
            if count != len(self.eras[-1].log(session).texts):
                kept = len(self.eras[-1].log(session).texts)
                yield Violation(1, f"{transport} gave {count} of the {kept} events of {session}")

    # What the server did.

    def restarts(self) -> Iterator[Violation]:
        """Whatever had begun before a life began has ended soon after."""
        lives = [(life.started, max(life.up, life.started + MARGIN)) for life in self.history.lives if life.up]
        for era in self.eras:
            for log in era.logs.values():
                for answer in log.answers.values():
                    begun = seconds(answer.events[0].get("timestamp"))
                    ended = seconds(answer.ends[0]["timestamp"]) if answer.ends else float("inf")
                    for started, limit in lives:
                        known = era is self.eras[-1] or answer.ends
                        if begun < started and ended > limit and known:
                            yield Violation(3, f"{answer} ended {ended - started:.1f} s after a restart")

    def stops(self) -> Iterator[Violation]:
        for life in self.history.lives:
            if life.terminated is not None and life.ended is not None:
                took = life.ended - life.terminated
                if took > self.history.grace + STOP_MARGIN:
                    yield Violation(8, f"the server took {took:.1f} s to stop")


class _Reading:
    """Goes through what one connection got, beside the log that it should have got it from."""

    def __init__(self, read: Read, log: Log) -> None:
        self.read = read
        self.log = log
        self.wanted = log.wanted(read.message_id)
        self.place: int | None = None  # of the next event that is due, as an index of `wanted`

    def complaints(self) -> Iterator[tuple[int, str]]:
        for anomaly in self.read.anomalies:
            yield 2, anomaly
        if self.read.end == "refused":
            yield from self._refused()
            return
        self._begin()
        last: dict[str, Any] = {}
        for text in self.read.items:
            last = json.loads(text)
            if last["type"] == "ready":
                yield from self._ready(last)
            elif last["type"] == "reset":
                yield from self._reset()
            else:
                yield from self._event(last, text)
        yield from self._end(last)

    def _begin(self) -> None:
        after = self.read.after
        if after == "0" or (after is None and self.read.message_id is not None):
            self.place = 0
        elif after is not None and self._known(after):
            self.place = self._place_after(seq_of(after))

    def _known(self, cursor: str) -> bool:
        return cursor in self.log.ids or seq_of(cursor) == 0

    def _place_after(self, seq: int) -> int:
        return bisect_right([self.log.seqs[place] for place in self.wanted], seq)

    def _ready(self, ready: dict[str, Any]) -> Iterator[tuple[int, str]]:
        after, cursor = self.read.after, ready["cursor"]
        if after is None and self.place is None:
            self.place = self._place_after(seq_of(cursor))
            if not self._known(cursor):
                yield 4, f"it began at {cursor}, which is no place in the log"
        elif self.read.message_id is None and after in self.log.ids and cursor != after:
            yield 4, f"it began at {cursor}"

    def _reset(self) -> Iterator[tuple[int, str]]:
        after = self.read.after
        if after is None or after == "0" or (after in self.log.ids):
            yield 4, "a right cursor was reset"
        self.place = 0

    def _event(self, event: dict[str, Any], text: str) -> Iterator[tuple[int, str]]:
        if self.place is None:
            if self.read.after is not None:
                yield 4, f"a wrong cursor was answered with {event['id']}, and no reset"
            self.place = self._place_after(seq_of(event["id"]) - 1)
        due = self.log.texts[self.wanted[self.place]] if self.place < len(self.wanted) else None
        if due == text:
            self.place += 1
            return
        place = self.log.ids.get(event["id"])
        if place is None:
            yield 1, f"{event['id']} was seen, and is lost"
        elif self.log.texts[place] != text:
            yield 2, f"{event['id']} was seen with other bytes: {text}"
        else:
            yield 2, f"{event['id']} came out of turn; due was {due and json.loads(due)['id']}"
            self.place = self._place_after(seq_of(event["id"]))

    def _end(self, last: dict[str, Any]) -> Iterator[tuple[int, str]]:
        ended = self.read.message_id is not None and (last.get("type") in ENDS or self._had_its_end())
        if self.read.end == "clean" and not ended:
            yield 2, f"it ended cleanly after {last.get('type')}, not after the last event"
        if self.read.end == "exhausted" and not self._had_its_end():
            yield 4, "204, though the client does not have the last event"
        if self.read.cursor and self._known(self.read.cursor) and self.place is not None and not self.read.anomalies:
            due = self._place_after(seq_of(self.read.cursor))
            if due > self.place:
                skipped = self.log.events[self.wanted[self.place]]["id"]
                yield 2, f"the client goes on after {self.read.cursor}, and never gets {skipped}"

    def _had_its_end(self) -> bool:
        if self.read.message_id is None or not self.wanted or self.place != len(self.wanted):
            return False
        return self.log.events[self.wanted[-1]]["type"] in ENDS

    def _refused(self) -> Iterator[tuple[int, str]]:
        code = self.read.code
        if code not in EXPECTED_REFUSALS:
            yield 4, f"it was refused with {code}"
        elif code == "not_found" and self._was_there():
            yield 1, "404, though it is there"
        elif code == "cursor_reset" and (self.read.after or "") in self.log.ids:
            yield 4, "409, though the cursor is right"

    def _was_there(self) -> bool:
        """Whether the log had what was asked for when it was."""
        if not self.wanted:
            return False
        first = self.log.events[self.wanted[0]]
        created = first.get("timestamp") or first.get("message", {}).get("created_at")
        return seconds(created) < self.read.opened


def _differing(message: Mapping[str, Any], end: Mapping[str, Any]) -> str:
    """What a message of the history says otherwise than the event that ended it."""
    pairs = [(name, message[name], end[other]) for name, other in SAME]
    return ", ".join(f"its {name} is {kept!r:.80}, not {told!r:.80}" for name, kept, told in pairs if kept != told)


def _is_text(event: Mapping[str, Any]) -> bool:
    return event["type"] in ("chunk", "thinking")


def seq_of(cursor: str) -> int:
    return int(cursor.rpartition("-")[2])


def seconds(timestamp: str | None) -> float:
    return 0.0 if timestamp is None else datetime.fromisoformat(timestamp).timestamp()
