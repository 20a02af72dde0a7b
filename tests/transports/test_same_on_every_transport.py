"""The same log, byte for byte, whatever carries it and wherever it is cut."""

from __future__ import annotations

import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.calling import Caller
from tests.serving import ServerProcess
from tests.transports.reading import Transport, about, ends, id_of, read

TEXT = "One two — drei\n vier 五 🎈\u2028 " * 5

transports = st.sampled_from(get_args(Transport))
http_transports = st.sampled_from([each for each in get_args(Transport) if each != "websocket"])


def cuts(transports: st.SearchStrategy[Transport]) -> st.SearchStrategy[list[tuple[Transport, int]]]:
    """Connections that break after so many bytes, and at the end one that does not matter how."""
    return st.lists(st.tuples(transports, st.integers(0, 4_000)), min_size=1, max_size=5)


def read_in_pieces(
    server: ServerProcess, target: str, after: str, message_id: str, plan: list[tuple[Transport, int]]
) -> list[bytes]:
    found: list[bytes] = []
    for place, (transport, limit) in enumerate(plan, 1):
        cut = limit if place < len(plan) else None
        cursor = id_of(found[-1]) if found else after
        found += read(server.url, transport, target, cursor, until=ends(message_id), limit=cut)
        if found and ends(message_id)(found[-1]):
            break
    return found


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=cuts(transports), live=st.booleans(), skipped=st.integers(0, 30))
def test_a_session_read_in_pieces(
    server: ServerProcess, caller: Caller, plan: list[tuple[Transport, int]], live: bool, skipped: int
) -> None:
    session_id = f"pieces-{uuid.uuid4().hex}"
    caller.answer(session_id, "before")
    message = (caller.ask if live else caller.answer)(session_id, TEXT)
    target, last = f"/api/sessions/{session_id}", ends(message["id"])
    after = "0" if skipped == 0 else caller.log(session_id)[:skipped][-1]["id"]
    found = read_in_pieces(server, target, after, message["id"], plan)
    assert found == read(server.url, "poll", target, after, until=last)
    assert last(found[-1])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=cuts(http_transports), live=st.booleans())
def test_an_answer_read_in_pieces(
    server: ServerProcess, caller: Caller, plan: list[tuple[Transport, int]], live: bool
) -> None:
    session_id = f"pieces-{uuid.uuid4().hex}"
    message = (caller.ask if live else caller.answer)(session_id, TEXT)
    found = read_in_pieces(server, f"/api/messages/{message['id']}", "0", message["id"], plan)
    of_session = read(server.url, "sse", f"/api/sessions/{session_id}", "0", until=ends(message["id"]))
    assert found == list(filter(about(message["id"]), of_session))


def test_many_readers_of_different_speeds_see_the_same(server: ServerProcess, caller: Caller, session_id: str) -> None:
    caller.http.post("/api/sessions", json={"id": session_id})

    def follow(number: int) -> list[bytes]:
        speed = random.Random(number).choice([0, 0, 0.001, 0.01])
        transport = get_args(Transport)[number % 4]
        target = f"/api/sessions/{session_id}"
        return read(server.url, transport, target, "0", until=ends(message["id"]), pause=lambda: time.sleep(speed))

    with ThreadPoolExecutor(48) as pool:
        message = caller.ask(session_id, TEXT)
        first, *others = pool.map(follow, range(48))
    assert len(first) > 20
    assert all(each == first for each in others)


@pytest.mark.parametrize("transport", get_args(Transport))
def test_a_second_read_gives_the_same_bytes(
    server: ServerProcess, caller: Caller, session_id: str, transport: Transport
) -> None:
    message = caller.answer(session_id, TEXT)
    target, last = f"/api/sessions/{session_id}", ends(message["id"])
    first, again = (read(server.url, transport, target, "0", until=last) for _ in range(2))
    assert first == again == read(server.url, "poll", target, "0", until=last)
