"""However events of several logs come, go and fail: what is left is found, in order, from every place on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.storage import landmarks
from server.storage.database import Connection
from server.storage.landmarks import SELECT_LANDMARKS, last_row, rows_from
from server.storage.migrations import migrate
from server.storage.transactions import Append, Batches, Body, Transaction
from server.streaming.events import Entry

STREAMS = (1, 2, 3)
streams = st.sampled_from(STREAMS)
some = st.integers(1, 9)
steps = st.one_of(
    st.tuples(st.just("append"), streams, some),
    st.tuples(st.just("append_all"), some),
    st.tuples(st.just("fail")),
    st.tuples(st.just("delete"), streams, st.integers(0, 30), some),
    st.tuples(st.just("restart")),
)


class Failed(Exception):
    pass


class Logs:
    """Three logs in one table, and which places of them should be there."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        raw.row_factory = sqlite3.Row
        self.connection = Connection(raw)
        migrate(self.connection)
        for stream in STREAMS:
            self.connection.fetch_all(
                "INSERT INTO sessions (key, owner, created_at, updated_at, oldest_run) VALUES (?, '', '', '', 'r')",
                (stream,),
            )
        self.places: dict[int, list[int]] = {stream: [] for stream in STREAMS}
        self.ends = dict.fromkeys(STREAMS, 0)
        self.restart()

    def restart(self) -> None:
        self.batches = Batches("r", lambda stream: None)

    def append(self, stream: int, count: int) -> None:
        self.batches.carry_out([append(stream, count)], self.connection)
        self._expect(stream, count)

    def append_all(self, count: int) -> None:
        """In one batch, with one job among them that fails behind its first events."""
        jobs: list[Append | Body] = [append(stream, count) for stream in STREAMS]
        jobs += [Body(failing), append(1, 1)]
        outcomes, _ = self.batches.carry_out(jobs, self.connection)
        assert isinstance(outcomes[3], Failed)
        for stream in STREAMS:
            self._expect(stream, count)
        self._expect(1, 1)

    def fail(self) -> None:
        with pytest.raises(Failed):
            self.batches.carry_out([Body(failing)], self.connection)

    def delete(self, stream: int, upto: int, many: int) -> None:
        places = self.places[stream]
        gone = [seq for seq in places if seq <= upto][:many]
        [last], _ = self.batches.carry_out(
            [Body(lambda transaction: transaction.delete_oldest(stream, upto, many))], self.connection
        )
        assert (last and last["seq"]) == (gone[-1] if gone else None)
        self.places[stream] = places[len(gone) :]
        if gone:
            self.connection.fetch_all("UPDATE sessions SET oldest_seq = ? WHERE key = ?", (gone[-1], stream))

    def check(self) -> None:
        for stream, places in self.places.items():
            for first in range(self.ends[stream] + 2):
                found = [row["seq"] for row in rows_from(self.connection, stream, first)]
                assert found == [seq for seq in places if seq >= first]
            last = last_row(self.connection, stream)
            assert (last and last["seq"]) == (places[-1] if places else None)

    def _expect(self, stream: int, count: int) -> None:
        self.places[stream] += range(self.ends[stream] + 1, self.ends[stream] + 1 + count)
        self.ends[stream] += count


def append(stream: int, count: int) -> Append:
    return Append(stream, [Entry("chunk", "{}")] * count, None)


def failing(transaction: Transaction) -> None:
    transaction.append(1, [Entry("chunk", "{}")] * 2)
    raise Failed


@given(st.lists(steps, max_size=12), st.integers(1, 5), st.integers(1, 12))
def test_every_event_is_found(done: list[tuple[str, int]], every: int, window: int) -> None:
    with patch.multiple(landmarks, EVERY=every, WINDOW=window), closing(connected()) as raw:
        logs = Logs(raw)
        for name, *values in done:
            getattr(logs, name)(*values)
            logs.check()


def test_the_index_keeps_few_of_them() -> None:
    with closing(connected()) as raw:
        logs = Logs(raw)
        for _ in range(320):
            logs.batches.carry_out([append(stream, 1) for stream in STREAMS], logs.connection)
        found = logs.connection.fetch_all(SELECT_LANDMARKS, {"stream": 1, "first": 0})
        assert len(found) == 1 + 320 // landmarks.EVERY


def connected() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)
