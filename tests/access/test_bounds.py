"""What one connection may cost, however slow or hostile its client."""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from server.bounds import MAX_WAITING
from tests import plain
from tests.access.raw import exchange, handshake, read_to_end, status_of, upgrade
from tests.serving import ServerProcess, running

HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Short times, so that the tests see them pass."""
    with running(
        tmp_path_factory.mktemp("strict"),
        XIONIMUS_HEAD_TIMEOUT="1",
        XIONIMUS_BODY_TIMEOUT="2",
        XIONIMUS_STREAM_SEND_TIMEOUT="1",
        XIONIMUS_DEMO_DELAY="0",
    ) as server:
        yield server


def get(*headers: bytes) -> bytes:
    return b"GET /healthz HTTP/1.1\r\n" + HOST + b"".join(headers) + b"Connection: close\r\n\r\n"


def refusal(server: ServerProcess, *pieces: bytes) -> int | None:
    """The status of the answer; None if the connection was closed, perhaps while they were still being sent."""
    try:
        answer = exchange(server, *pieces)
    except (BrokenPipeError, ConnectionResetError):
        return None
    return status_of(answer) if answer else None


def test_a_head_within_the_bounds_is_served(strict: ServerProcess) -> None:
    assert status_of(exchange(strict, get(*(b"X-%d: x\r\n" % number for number in range(90))))) == 200
    assert status_of(exchange(strict, get(b"X: %b\r\n" % (b"x" * 30_000)))) == 200


@pytest.mark.parametrize(
    "head",
    [
        get(*(b"X-%d: x\r\n" % number for number in range(20_000))),
        get(*(b"X-%d: x\r\n" % number for number in range(200))),
        get(b"X: %b\r\n" % (b"x" * 40_000)),
        get(b"X: %b\r\n" % (b"x" * 10_000_000)),
        b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1_000_000,
        b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /" + b"x" * 1_000_000,
    ],
    ids=["20000 headers", "200 headers", "40 kB", "10 MB", "1 MB without an end", "an address of 60 kB", "of 1 MB"],
)
def test_a_larger_head_is_refused(strict: ServerProcess, head: bytes) -> None:
    assert refusal(strict, head) in (None, 431)
    assert status_of(exchange(strict, get())) == 200


def test_a_header_at_a_time_does_not_get_past_the_bound(strict: ServerProcess) -> None:
    pieces = [b"X-%d: %b\r\n" % (number, b"x" * 1_000) for number in range(60)]
    assert refusal(strict, b"GET / HTTP/1.1\r\n", *pieces) in (None, 431)
    assert status_of(exchange(strict, get())) == 200


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_head_that_does_not_end_is_not_waited_for(strict: ServerProcess, start: bytes) -> None:
    began = time.monotonic()
    answer = exchange(strict, start)
    assert 0.5 < time.monotonic() - began < 5
    assert not answer or status_of(answer) == 408


def drip(connection: socket.socket, text: bytes) -> None:
    """A byte every tenth of a second, until the server has had enough."""
    for byte in text:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return
        time.sleep(0.1)
    pytest.fail("the server took it all")


def test_a_byte_now_and_then_buys_no_time(strict: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), 30) as connection:
        began = time.monotonic()
        drip(connection, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 100)
        assert time.monotonic() - began < 5


def test_empty_lines_between_requests_buy_no_time(strict: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), 30) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"200 OK" in connection.recv(65_536)
        began = time.monotonic()
        drip(connection, b"\r\n" * 50)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/api/sessions", "/nowhere", "/healthz"])
def test_a_body_that_does_not_end_is_not_waited_for(strict: ServerProcess, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\n".encode() + HOST + b"Content-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), 30) as connection:
        connection.sendall(head)
        began = time.monotonic()
        drip(connection, b" " * 100)
        assert time.monotonic() - began < 8


def test_a_stream_goes_on_when_the_time_for_a_body_is_over(strict: ServerProcess) -> None:
    plain.post(f"{strict.url}/api/sessions", json={"id": "long"})
    with plain.stream("GET", f"{strict.url}/api/sessions/long/events", timeout=10) as stream:
        lines = stream.iter_lines()
        next(lines)
        time.sleep(3)
        plain.patch(f"{strict.url}/api/sessions/long", json={"title": "still here"})
        assert any("still here" in line for line in lines)


def test_a_stream_goes_on_when_a_blank_line_came_behind_its_request(strict: ServerProcess) -> None:
    plain.post(f"{strict.url}/api/sessions", json={"id": "blank"})
    with socket.create_connection(("127.0.0.1", strict.port), 10) as connection:
        connection.sendall(b"GET /api/sessions/blank/events HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.recv(65_536)
        connection.sendall(b"\r\n")
        time.sleep(3)
        plain.patch(f"{strict.url}/api/sessions/blank", json={"title": "still here"})
        seen = b""
        while b"still here" not in seen:
            seen += (piece := connection.recv(65_536))
            assert piece, seen


POST = b"POST /api/sessions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get(),
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        POST + b"Content-Length: +2\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}XX0\r\n\r\n",
        CHUNKED + b"f" * 17 + b"\r\n{}",
        b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n",
        get(b"X: a\r\n b\r\n"),
        get(b"X: a\rb\r\n"),
        get(b"X: a\0b\r\n"),
    ],
    ids=["both lengths", "two lengths", "a sign", "two codings", "no coding", "a space", "a line feed in a size",
         "no end of a chunk", "a large size", "line feeds", "a folded line", "a carriage return", "a NUL"],
)  # fmt: skip
def test_what_a_proxy_could_read_in_another_way_is_refused(strict: ServerProcess, request_: bytes) -> None:
    """Or one request could be hidden in another."""
    answer = exchange(strict, request_)
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1


ENDING = CHUNKED + b"2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        ENDING + b"X: " + b"x" * 4_000_000,
        ENDING + b"X: x\r\n" * 1_000_000,
        ENDING + b"x" * 4_000_000,
        CHUNKED + b"2;" + b"x" * 4_000_000,
    ],
    ids=["a trailer", "many trailers", "a name", "an extension"],
)
def test_what_is_neither_head_nor_body_is_bounded_too(strict: ServerProcess, request_: bytes) -> None:
    began = time.monotonic()
    assert refusal(strict, request_) in (None, 400, 422)
    assert time.monotonic() - began < 1, "it ended because of its time"
    assert status_of(exchange(strict, get())) == 200


def test_a_body_in_small_pieces_is_no_trailer(strict: ServerProcess) -> None:
    body = b'{"title": "%b"}' % (b"x" * 100)
    pieces = b"".join(b"1;a=%b\r\n%c\r\n" % (b"x" * 1_000, byte) for byte in body)
    end = b"0\r\nX-Checksum: 1\r\n\r\n"
    answers = exchange(strict, CHUNKED + pieces + end + get())
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"201", b"200"]


def test_a_trailer_is_no_header(strict: ServerProcess) -> None:
    without = CHUNKED.replace(HOST, b"")
    assert status_of(exchange(strict, without + b"2\r\n{}\r\n0\r\n" + HOST + b"\r\n" + get())) == 400
    twice = ENDING + HOST + b"\r\n"
    assert re.findall(rb"HTTP/1\.1 (\d+)", exchange(strict, twice + get())) == [b"201", b"200"]
    many = ENDING + b"X: x\r\n" * 200 + b"\r\n"
    assert re.findall(rb"HTTP/1\.1 (\d+)", exchange(strict, many + get())) == [b"201", b"200"]


SLOW = b"GET /api/stream/probe?format=ndjson&ticks=2&interval=0.5 HTTP/1.1\r\n" + HOST + b"\r\n"
QUICK = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize("more", [1, 4_000])
def test_of_requests_sent_at_once_a_few_may_wait(strict: ServerProcess, more: int) -> None:
    """Those are answered; the connection ends behind them, and says so."""
    with socket.create_connection(("127.0.0.1", strict.port), 30) as connection:
        connection.sendall(SLOW + QUICK * (MAX_WAITING + more))
        answers = read_to_end(connection)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200"] * (1 + MAX_WAITING)
    assert answers.count(b'"number":2') == 1
    assert answers.count(b"connection: close") == 1
    assert b"connection: close" in answers[answers.rindex(b"HTTP/1.1 ") :]


def test_as_many_as_may_wait_keep_their_connection(strict: ServerProcess) -> None:
    answers = exchange(strict, SLOW + QUICK * (MAX_WAITING - 1) + get())
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200"] * (1 + MAX_WAITING)


def test_requests_that_wait_take_no_memory(strict: ServerProcess) -> None:
    before = memory(strict)
    with ExitStack() as connections:
        for _ in range(20):
            connection = connections.enter_context(deaf(strict))
            connection.setblocking(False)
            flood = memoryview(SLOW + QUICK * 8_000)
            with suppress(BlockingIOError):
                while flood:
                    flood = flood[connection.send(flood) :]
        began = time.monotonic()
        assert status_of(exchange(strict, get())) == 200
        assert time.monotonic() - began < 1
        assert memory(strict) - before < 50


def memory(server: ServerProcess) -> float:
    """MB that are resident."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def wait_for_files(server: ServerProcess, most: int, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while (found := files(server)) > most:
        assert time.monotonic() < deadline, f"{found} files are open"
        time.sleep(0.2)


def deaf(server: ServerProcess) -> socket.socket:
    """A connection that takes little, and then nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", server.port))
    return connection


def fill(server: ServerProcess, session_id: str) -> None:
    """Let the log hold more than the kernel does for a reader that takes nothing."""
    question = {"content": "x" * 900_000, "model": "demo", "max_tokens": 1}
    for _ in range(6):
        plain.post(f"{server.url}/api/sessions/{session_id}/messages", params={"wait": 30}, json=question, timeout=60)


def p99s(*servers: ServerProcess, requests: int = 100) -> list[float]:
    """Of each, asked in turn: so what else the machine does meets all of them."""
    times: list[list[float]] = [[] for _ in servers]
    with ExitStack() as stack:
        clients = [stack.enter_context(plain.Client(base_url=server.url)) for server in servers]
        for _ in range(requests):
            for client, taken in zip(clients, times, strict=True):
                began = time.perf_counter()
                assert client.get("/api/sessions").status_code == 200
                taken.append(time.perf_counter() - began)
    return [sorted(taken)[int(requests * 0.99) - 1] for taken in times]


def undisturbed(loud: float, quiet: float) -> bool:
    return loud < max(2 * quiet, 0.02)  # below 20 ms, the machine's own noise is larger


@pytest.fixture
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Times that are long enough to measure in."""
    with running(
        tmp_path_factory.mktemp("patient"), XIONIMUS_HEAD_TIMEOUT="8", XIONIMUS_STREAM_SEND_TIMEOUT="8"
    ) as server:
        yield server


@pytest.fixture
def spared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same without anybody who is slow."""
    with running(tmp_path_factory.mktemp("spared")) as server:
        yield server


@pytest.mark.timeout(180)
def test_500_slow_heads_and_200_readers_that_never_read_cost_nobody_else_anything(
    patient: ServerProcess, spared: ServerProcess
) -> None:
    fill(patient, "big")
    p99s(patient, spared)
    before, open_before = memory(patient), files(patient)
    rounds: list[list[float]] = []
    after = before
    with ExitStack() as connections:
        for _ in range(500):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", patient.port)))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        for _ in range(200):
            connection = connections.enter_context(deaf(patient))
            connection.sendall(b"GET /api/sessions/big/events?after=0 HTTP/1.1\r\n" + HOST + b"\r\n")
        while not any(undisturbed(*each) for each in rounds):
            found, after = p99s(patient, spared), max(after, memory(patient))
            if files(patient) < open_before + 690:  # a few that were open before may be closed
                break  # not all of them were there to the end of it
            rounds.append(found)
        wait_for_files(patient, open_before + 20)  # they are let go, though they do not close
    assert any(undisturbed(*each) for each in rounds), rounds
    assert after - before < 100
    # Also while all of them are still being sent what the kernel takes.
    assert all(loud < max(10 * quiet, 0.3) for loud, quiet in rounds)


def frame(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    """A masked frame, RFC 6455 section 5.2; the mask is zero."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
    return bytes([opcode | (0x80 if fin else 0)]) + size + bytes(4) + payload


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (frame(9, b"ping") * 20_000, 4503),
        (frame(10) * 20_000, 4503),
        (frame(1, b"x", fin=False) + frame(0, fin=False) * 20_000, 4503),
        (frame(1, b'{"type": "ping"}') * 5_000, 4503),
        (frame(2, b"x") * 5_000, 4503),
        (frame(1, b"x" * 60_000, fin=False) + frame(0, b"x" * 60_000, fin=False) * 20, 1009),
    ],
    ids=["pings", "pongs", "empty pieces", "messages", "binary", "more than 1 MiB in pieces"],
)
def test_a_flood_of_frames_closes_the_socket(strict: ServerProcess, flood: bytes, code: int) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), 30) as connection:
        connection.sendall(upgrade("/ws/chat/flood", "Host: 127.0.0.1"))
        connection.recv(4_096)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(flood)
        assert struct.pack(">H", code) in read_to_end(connection)


def test_a_socket_that_never_reads_is_let_go(strict: ServerProcess) -> None:
    fill(strict, "deaf")
    with deaf(strict) as connection:
        connection.sendall(upgrade("/ws/chat/deaf?after=0", "Host: 127.0.0.1"))
        connection.recv(100)
        cut = select.poll()
        cut.register(connection, select.POLLERR | select.POLLHUP)
        assert cut.poll(30_000)


@pytest.mark.parametrize("size", [8_000, 9_000, 20_000])
def test_a_handshake_with_large_headers_is_served_or_refused_quietly(strict: ServerProcess, size: int) -> None:
    status = handshake(strict, upgrade("/ws/chat/s", "Host: 127.0.0.1", "Cookie: " + "x" * size))
    assert status == (101 if size == 8_000 else 431)
    assert "Traceback" not in strict.log
