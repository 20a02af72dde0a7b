"""What the next run finds after a crash: what was visible, and an end for what was not finished."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from server.chat import transcript
from server.chat.models import sha256
from server.chat.recovery import recover
from server.chat.store import Accepted
from server.streaming.events import Cursor, Event
from server.streaming.log import CursorReset, Fenced
from tests.storage.kept import OWNER, Kept, keep, said, types

pytestmark = pytest.mark.anyio


def crashed(path: Path) -> Path:
    """The files as a power cut at this moment would leave them."""
    copy = path.with_name(f"crashed-{len(os.listdir(path.parent))}.db")
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def truncate_wal(path: Path, part: float) -> None:
    wal = f"{path}-wal"
    os.truncate(wal, int(os.path.getsize(wal) * part))


def run_until_it_dies(program: str, path: Path) -> list[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=20)
    assert (killed.returncode, killed.stderr) == (9, b"")
    return killed.stdout.splitlines()


async def written(kept: Kept, accepted: Accepted, *texts: str, claim: object) -> None:
    """Chunks of an answer that goes no further."""
    offset = 0
    for number, text in enumerate(texts, 1):
        chunk = transcript.chunk(accepted.answer.id, number, offset, text)
        await kept.log.append(accepted.answer.stream, [chunk], claim)  # type: ignore[arg-type]
        offset += len(text)


def joined(events: list[Event]) -> list[bytes]:
    return [event.json for event in events]


async def test_all_that_was_visible_is_there_after_a_crash_under_the_same_ids(path: Path) -> None:
    async with keep(path) as kept:
        accepted, new = await kept.ask("one")
        await written(kept, accepted, "ei", "ns", claim=new.claim)
        seen = await kept.events(accepted.answer.stream)
        copy = crashed(path)
    async with keep(copy) as kept:
        await recover(kept.store)
        after = await kept.events(accepted.answer.stream)
        assert joined(after[: len(seen)]) == joined(seen)
        assert types(after[len(seen) :]) == ["error"]
        for event in seen:
            assert len(await kept.log.read(accepted.answer.stream, event.cursor)) == len(after) - event.cursor.seq


async def test_an_unfinished_answer_ends_as_interrupted_and_keeps_its_text(path: Path) -> None:
    async with keep(path) as kept:
        accepted, new = await kept.ask("one")
        await written(kept, accepted, "ei", "ns 😀", claim=new.claim)
    async with keep(path) as kept:
        assert await recover(kept.store) == 1
        message = (await kept.store.message(OWNER, accepted.answer.id)).message
        assert (message.status, message.content) == ("interrupted", "eins 😀")
        assert message.problem is not None
        assert message.problem["code"] == "interrupted"
        end = said((await kept.events(message.stream))[-1])
        assert (end["type"], end["status"], end["full_content"]) == ("error", "interrupted", "eins 😀")
        assert (end["length"], end["sha256"]) == (6, sha256("eins 😀"))
        assert message.last_seq == (await kept.log.span(message.stream)).tail.seq


async def test_one_that_was_to_be_stopped_ends_as_cancelled(path: Path) -> None:
    async with keep(path) as kept:
        accepted, new = await kept.ask("one")
        await written(kept, accepted, "eins", claim=new.claim)
        await kept.store.request_cancel(accepted.answer.id)
    async with keep(path) as kept:
        await recover(kept.store)
        message = (await kept.store.message(OWNER, accepted.answer.id)).message
        assert (message.status, message.finish_reason, message.content) == ("cancelled", "cancelled", "eins")
        assert message.usage == {"input_tokens": 1, "output_tokens": 1, "source": "estimated"}
        assert types(await kept.events(message.stream))[-1] == "complete"


async def test_each_answer_ends_once_also_those_that_waited(path: Path) -> None:
    async with keep(path) as kept:
        ended = await kept.answer("zero", "null")
        running, _ = await kept.ask("one")
        await kept.ask("two", answer=kept.new_answer(on_busy="enqueue"))
        await kept.ask("three", session="other")
    async with keep(path) as kept:
        assert await recover(kept.store) == 3
        assert await recover(kept.store) == 0
        events = await kept.events(running.answer.stream)
        assert types(events)[-4:] == ["posted", "error", "start", "error"]
        assert types(events).count("start") == types(events).count("error") + 1
        assert (await kept.store.message(OWNER, ended.id)).message == ended
        assert (await kept.store.session(OWNER, "s")).active == ()
        await kept.answer("four", "vier")


async def test_a_writer_from_before_can_write_no_more(path: Path) -> None:
    async with keep(path) as kept:
        accepted, new = await kept.ask("one")
    async with keep(path) as kept:
        await recover(kept.store)
        before = await kept.events(accepted.answer.stream)
        with pytest.raises(Fenced):
            await written(kept, accepted, "late", claim=new.claim)
        assert joined(await kept.events(accepted.answer.stream)) == joined(before)


async def test_a_session_that_was_being_deleted_is_deleted(path: Path) -> None:
    async with keep(path) as kept:
        await kept.ask("one")
        await kept.store.hide_session(OWNER, "s")
    async with keep(path) as kept:
        await recover(kept.store)
        [stream] = await kept.store.hidden_sessions()  # for the housekeeping: nobody waits for it to start
        await kept.store.purge_session(stream)
        for table in ("sessions", "messages", "events", "claims"):
            assert await kept.rows(f"SELECT * FROM {table}") == []


async def test_a_key_still_stands_for_its_answer(path: Path) -> None:
    async with keep(path) as kept:
        accepted, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
    async with keep(path) as kept:
        await recover(kept.store)
        again, _ = await kept.ask("one", answer=kept.new_answer(key="k"))
        assert (again.answer.id, again.answer.status) == (accepted.answer.id, "interrupted")


@pytest.mark.parametrize("lost", ["tail", "all"])
async def test_cursors_to_what_was_lost_are_refused(path: Path, lost: str) -> None:
    async with keep(path, "aaaaaaa") as kept:
        accepted, new = await kept.ask("one")
        await kept.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        survived = (await kept.log.span(accepted.answer.stream)).tail
        await written(kept, accepted, *"abcdef", claim=new.claim)
        seen = await kept.events(accepted.answer.stream)
        copy = crashed(path)
    truncate_wal(copy, 0.5 if lost == "tail" else 0)
    async with keep(copy, "bbbbbbb") as kept:
        tail = (await kept.log.span(accepted.answer.stream)).tail
        assert survived.seq <= tail.seq < seen[-1].cursor.seq
        assert (tail == survived) is (lost == "all")
        await refuse(kept, accepted, [event.cursor for event in seen if event.cursor.seq > tail.seq])
        await recover(kept.store)  # writes some of these places again
        await written_again(kept, accepted)
        await refuse(kept, accepted, [event.cursor for event in seen if event.cursor.seq > tail.seq])
        for event in seen[: tail.seq]:
            await kept.log.read(accepted.answer.stream, event.cursor)


async def refuse(kept: Kept, accepted: Accepted, cursors: list[Cursor]) -> None:
    assert cursors
    for cursor in cursors:
        with pytest.raises(CursorReset):
            await kept.log.read(accepted.answer.stream, cursor)


async def written_again(kept: Kept, accepted: Accepted) -> None:
    for number in range(8):
        await kept.store.rename_session(OWNER, "s", f"title {number}")


async def test_what_a_killed_process_acknowledged_is_there(path: Path) -> None:
    program = """
        import asyncio, os, sys
        from pathlib import Path
        from server.chat import transcript
        from tests.storage.kept import keep

        async def main():
            async with keep(Path(sys.argv[1])) as kept:
                accepted, new = await kept.ask("one")
                about = accepted.answer
                for number in range(1, 21):
                    chunk = transcript.chunk(about.id, number, number - 1, "x")
                    [event] = await kept.log.append(about.stream, [chunk], new.claim)
                    print(event.json.decode(), flush=True)
                for number in range(21, 121):
                    chunk = transcript.chunk(about.id, number, number - 1, "y")
                    kept.log.append(about.stream, [chunk], new.claim)
                await asyncio.sleep(0)
                os._exit(9)

        asyncio.run(main())
    """
    acknowledged = run_until_it_dies(program, path)
    async with keep(path) as kept:
        await recover(kept.store)
        [message] = (await kept.store.history(OWNER, "s", None, 1)).messages
        found = joined(await kept.events(message.stream, message.after))
        assert found[1 : 1 + len(acknowledged)] == acknowledged
        assert message.content in ("x" * 20, "x" * 20 + "y" * 100)
