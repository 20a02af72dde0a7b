"""What a running server writes into its log, and what nobody can write into it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests import plain
from tests.access.people import ADA, TOKENS, bearer, socket_to
from tests.access.raw import exchange
from tests.serving import ServerProcess, running

FORGED = "/a%0A2026-01-01%20[info]%20all%20is%20well%1B[2J%E2%80%A8"


@pytest.fixture(scope="module")
def logging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"XIONIMUS_LOG_FORMAT": request.param, "XIONIMUS_LOG_LEVEL": "debug", "XIONIMUS_TOKENS": TOKENS}
    with running(tmp_path_factory.mktemp("logging"), XIONIMUS_DEMO_DELAY="0", **settings) as server:
        yield server


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    """Those that are JSON; the greeting is for people."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


def requests(server: ServerProcess, count: int, **fields: str) -> list[dict[str, Any]]:
    """A line comes when its answer has gone."""
    deadline = monotonic() + 5
    while True:
        told = [line for line in lines(server) if line["event"] == "request"]
        found = [line for line in told if all(line[name] == value for name, value in fields.items())]
        if len(found) >= count:
            return found
        assert monotonic() < deadline, told
        sleep(0.02)


@pytest.mark.parametrize("logging", ["json"], indirect=True)
def test_every_line_names_its_request_and_no_body(logging: ServerProcess) -> None:
    question = {"content": "private words", "model": "echo"}
    answer = plain.post(
        f"{logging.url}/api/sessions/s/messages", params={"wait": 20}, json=question, headers=bearer(ADA)
    )
    with socket_to(f"{logging.url}/ws/chat/s", bearer(ADA)) as socket:
        socket.receive_json(timeout=10)
    plain.get(f"{logging.url}/api/sessions")
    assert [line["status"] for line in requests(logging, 1, method="WEBSOCKET")] == [101]
    named = {line.get("request_id"): line for line in lines(logging)}
    line = named[answer.headers["x-request-id"]]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/sessions/s/messages", 200)
    assert line["caller"] == "ada"
    assert {"timestamp", "level", "logger", "milliseconds"} <= line.keys()
    assert "private words" not in logging.log


def test_who_tries_tokens_or_comes_from_elsewhere_is_in_the_log(tmp_path: Path) -> None:
    with running(tmp_path, XIONIMUS_LOG_FORMAT="json", XIONIMUS_TOKENS=TOKENS) as server:
        plain.get(f"{server.url}/api/sessions")  # has not signed in yet
        plain.get(f"{server.url}/api/sessions", headers=bearer(ADA))
        plain.get(f"{server.url}/api/sessions/none", headers=bearer(ADA))
        assert requests(server, 0) == []
        plain.get(f"{server.url}/api/sessions", headers=bearer("wrong"))
        plain.get(f"{server.url}/api/sessions", headers={"Host": "evil.example"})
        plain.post(f"{server.url}/api/sessions", headers={**bearer(ADA), "Origin": "https://evil.example"})
        plain.post(f"{server.url}/sign-in", data={"token": "wrong"})
        with suppress(Exception), socket_to(f"{server.url}/ws/chat/s", bearer("wrong")) as socket:
            socket.receive_json(timeout=10)
        told = requests(server, 5)
    assert {line["address"] for line in told} == {"127.0.0.1"}
    assert sorted((line["level"], line["status"], str(line["code"])) for line in told) == [
        ("warning", 101, "unauthorized"),
        ("warning", 401, "None"),
        ("warning", 401, "unauthorized"),
        ("warning", 403, "forbidden_host"),
        ("warning", 403, "forbidden_origin"),
    ]


def test_the_log_says_why_a_question_could_not_be_taken(tmp_path: Path) -> None:
    with running(tmp_path, XIONIMUS_LOG_FORMAT="json") as server:
        (tmp_path / "xionimus.db").rename(tmp_path / "moved.db")
        plain.post(f"{server.url}/api/sessions/s/messages", json={"content": "private words"})
        [line] = requests(server, 1)
        assert (line["status"], line["code"]) == (503, "storage_unavailable")
        assert "moved or deleted" in line["detail"]
        assert "private words" not in server.log


@pytest.mark.parametrize("logging", ["json", "text"], indirect=True)
def test_nobody_writes_a_line_of_the_log(logging: ServerProcess) -> None:
    plain.get(logging.url + FORGED, headers=bearer(ADA))
    exchange(logging, f"GET {FORGED} HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".encode())
    exchange(logging, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nno\x1b[2Jheader\r\n\r\n")
    told = logging.log
    assert "all is well" in told
    assert not [line for line in told.splitlines() if line.startswith("2026-01-01 [info]")]
    assert "\x1b[2J" not in told
    assert "\u2028" not in told
