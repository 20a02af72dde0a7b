"""This server, but for one thing: the chunks of an answer go to its readers without being kept.

What it uses less than the real one is what durability costs a chunk: the way to the writer's thread and back, SQLite,
and the disk. Questions, and how answers begin and end, are kept as ever.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from server import app
from server.__main__ import main
from server.storage.event_log import SqliteEventLog
from server.storage.event_rows import cursor_of
from server.streaming.events import Event
from server.streaming.log import Claim, Entries, Stream


class ForgetfulEventLog(SqliteEventLog):
    def append(self, stream: Stream, entries: Entries, claim: Claim | None = None) -> asyncio.Future[Sequence[Event]]:
        tail = self._tails[stream]  # its `start` is there
        placed = [
            Event(cursor_of(stream, self.run, seq), entry.type, entry.body, entry.message_id)
            for seq, entry in enumerate(entries() if callable(entries) else entries, tail.end.seq + 1)
        ]
        tail.append(placed)
        done: asyncio.Future[Sequence[Event]] = asyncio.get_running_loop().create_future()
        done.set_result(placed)
        return done


if __name__ == "__main__":
    vars(app)["SqliteEventLog"] = ForgetfulEventLog
    sys.exit(main())
