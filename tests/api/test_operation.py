"""How the server is, who can answer, and what it says to addresses that do not exist."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from itertools import pairwise
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.api.calling import Caller, assert_problem


def test_providers_say_which_are_ready(caller: Caller) -> None:
    told = caller.http.get("/api/providers").json()
    by_id = {provider["id"]: provider for provider in told["providers"]}
    assert told["default_provider"] == "demo"
    assert {"demo", "openai", "anthropic", "perplexity"} <= by_id.keys()
    assert {model["id"] for model in by_id["demo"]["models"]} == {"demo", "echo", "long"}
    assert (by_id["demo"]["ready"], by_id["openai"]["ready"]) == (True, False)
    assert "OPENAI_API_KEY" in by_id["openai"]["reason"]


def test_it_is_alive_and_ready(caller: Caller) -> None:
    for path in ("/healthz", "/readyz"):
        response = caller.http.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_status_counts_who_reads_what(caller: Caller, session_id: str, transport: str) -> None:
    caller.answer(session_id)
    before = status(caller)
    with caller.http.stream("GET", f"/api/sessions/{session_id}/events?format={transport}") as response:
        chunks = response.iter_raw()
        next(chunks)
        during = status(caller)
    assert during["connections"][transport] == before["connections"][transport] + 1
    assert during["total_connections"] == before["total_connections"] + 1
    assert during["active_sessions"] == before["active_sessions"] + 1
    wait_until(lambda: status(caller) == before)


def test_status_counts_answers(caller: Caller, session_id: str) -> None:
    before = status(caller)["active_streams"]
    with caller.busy(session_id):
        assert status(caller)["active_streams"] == before + 1
    assert status(caller)["active_streams"] == before


def test_the_total_is_the_sum(caller: Caller) -> None:
    told = status(caller)
    assert told["status"] == "ok"
    assert told["total_connections"] == sum(told["connections"].values())


@pytest.mark.parametrize("form", ["sse", "ndjson"])
def test_the_probe_ticks_eight_times_in_steps_of_250_ms(caller: Caller, form: str) -> None:
    with caller.http.stream("GET", "/api/stream/probe", params={"format": form}) as response:
        pieces = [(time.monotonic(), piece) for piece in response.iter_raw()]
    ticks = [json.loads(found[0]) for _, piece in pieces if (found := re.findall(rb"{.*}", piece))]
    stamps = [datetime.fromisoformat(tick["server_time"]).timestamp() for tick in ticks]
    assert [(tick["type"], tick["number"], tick["of"]) for tick in ticks] == [("tick", n, 8) for n in range(1, 9)]
    assert all(0.24 < later - earlier < 2 for earlier, later in pairwise(stamps))
    assert len(pieces) == 8
    assert pieces[-1][0] - pieces[0][0] > 1


@pytest.mark.parametrize(("form", "media_type"), [("sse", "text/event-stream"), ("ndjson", "application/x-ndjson")])
def test_the_probe_looks_like_the_streams_it_stands_for(caller: Caller, form: str, media_type: str) -> None:
    with caller.http.stream(
        "GET", "/api/stream/probe", params={"format": form, "ticks": 2}, headers={"Connection": "close"}
    ) as response:
        headers, body = response.headers, response.read()
    assert b"\r" not in body
    assert re.findall(rb"^id: (.*)$", body, re.MULTILINE) == ([b"1", b"2"] if form == "sse" else [])
    assert headers.get_list("connection") == ["close"]
    assert headers["content-type"] == media_type
    assert headers["cache-control"] == "no-store, no-transform"
    assert (headers["x-accel-buffering"], headers["x-content-type-options"]) == ("no", "nosniff")


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/nothing", "/api/messages", "/static/nothing.js"])
def test_an_unknown_address_is_a_problem(caller: Caller, path: str) -> None:
    assert_problem(caller.http.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/sessions", "GET, HEAD, POST"),
        ("POST", "/api/sessions/x", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/api/sessions/x/messages", "GET, HEAD, POST"),
        ("GET", "/api/messages/x/cancel", "POST"),
        ("GET", "/api/messages/x/regenerate", "POST"),
        ("POST", "/api/messages/x/events", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/static/docs.js", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_another_method_is_a_problem_that_names_the_right_ones(
    caller: Caller, method: str, path: str, allowed: str
) -> None:
    response = caller.http.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize("path", ["/api/sessions", "/api/sessions/{}", "/api/sessions/{}/events", "/api/stream/probe"])
def test_head_tells_the_headers_and_ends(caller: Caller, session_id: str, path: str) -> None:
    caller.answer(session_id)
    head = caller.http.head(path.format(session_id))
    assert (head.status_code, head.content) == (200, b"")


def test_the_page_and_its_files_are_served(caller: Caller) -> None:
    page = caller.http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert caller.http.get("/static/docs.js").status_code == 200
    assert_problem(caller.http.get("/static/%2e%2e/pyproject.toml"), 404, "not_found")


def status(caller: Caller) -> dict[str, Any]:
    told: dict[str, Any] = caller.http.get("/api/stream/status").json()
    return told


def wait_until(reached: Any) -> None:
    for _ in range(100):
        if reached():
            return
        time.sleep(0.05)
    raise AssertionError("this did not come about within 5 s")


def test_a_long_poll_is_counted_while_it_waits(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    tail = caller.log(session_id)[-1]["id"]
    with httpx.Client(base_url=caller.http.base_url) as other:
        request = other.build_request("GET", f"/api/sessions/{session_id}/events?format=json&wait=20&after={tail}")
        polling = Thread(target=other.send, args=(request,))
        polling.start()
        wait_until(lambda: status(caller)["connections"]["poll"] > 0)
        caller.ask(session_id)
        polling.join(10)
        assert not polling.is_alive()
    wait_until(lambda: status(caller)["connections"]["poll"] == 0)


def test_a_long_poll_is_over_when_its_client_leaves(caller: Caller, session_id: str) -> None:
    caller.answer(session_id)
    with pytest.raises(httpx.ReadTimeout):
        caller.http.get(f"/api/sessions/{session_id}/events?format=json&wait=20", timeout=0.5)
    wait_until(lambda: status(caller)["connections"]["poll"] == 0)
