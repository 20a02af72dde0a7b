"""The promises, under fire: a run with a nemesis; and cases that such runs have brought to light."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.form import LONG
from tests.faults.provider import ProviderProcess
from tests.faults.script import Script
from tests.serving import ServerProcess, running

SEED = 20_261_122
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(7_200 if LONG else 300)
def test_a_bad_day() -> None:
    """In a process of its own, where sockets that are left in the middle of a handshake trouble nobody else."""
    kills, seconds = (200, 3_600) if LONG else (20, 80)
    command = [sys.executable, "-m", "tests.faults.run", f"--kills={kills}", f"--seconds={seconds}", f"--seed={SEED}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-5_000:]}"
    figures = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines() if not line.startswith("events "))
    assert int(figures["kills"]) >= 3
    assert int(figures["operations"]) > 100


def log_of(server: ServerProcess, session_id: str) -> list[dict[str, Any]]:
    url = f"{server.url}/api/sessions/{session_id}/events?format=json&after=0&wait=0"
    events: list[dict[str, Any]] = httpx.get(url).json()["events"]
    return events


def test_an_answer_cancelled_in_the_moment_of_its_start_has_one_start(asking: ServerProcess, session_id: str) -> None:
    sessions = [f"{session_id}-{number}" for number in range(40)]
    asyncio.run(cancel_two_at_once(asking.url, sessions))
    for session in sessions:
        events = log_of(asking, session)
        per_answer = Counter((event["message_id"], event["type"]) for event in events if "message_id" in event)
        starts = [count for (_, kind), count in per_answer.items() if kind == "start"]
        ends = [count for (_, kind), count in per_answer.items() if kind == "complete"]
        assert starts == ends == [1, 1]


async def cancel_two_at_once(url: str, sessions: list[str]) -> None:
    """The first answer of each session, and the one that waits for it, which begins when the first has ended."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        for number, session in enumerate(sessions):
            first, second = [await ask(http, session, Script(chunks=999, delay=0.01, seed=seed)) for seed in (1, 2)]
            cancelling = asyncio.create_task(http.post(f"/api/messages/{first}/cancel"))
            await asyncio.sleep(0.012 * number / len(sessions))
            await asyncio.gather(cancelling, http.post(f"/api/messages/{second}/cancel"))


async def ask(http: httpx.AsyncClient, session_id: str, script: Script) -> str:
    body = {"content": script.question, "on_busy": "enqueue"}
    message_id: str = (await http.post(f"/api/sessions/{session_id}/messages", json=body)).json()["message"]["id"]
    return message_id


def test_a_young_log_is_whole_after_a_restart(provider: ProviderProcess, tmp_path: Path, session_id: str) -> None:
    """Housekeeping looks for what has expired when a server starts."""
    with running(tmp_path, **provider.environment) as server:
        url = f"{server.url}/api/sessions/{session_id}/messages?wait=30"
        httpx.post(url, json={"content": Script(tag=session_id).question}, timeout=40)
        before = log_of(server, session_id)
        server.stop(signal.SIGTERM)
        server.start()
        httpx.post(url, json={"content": Script(seed=2, tag=session_id).question}, timeout=40)
        after = log_of(server, session_id)
    assert [event["id"].partition("-")[2] for event in before[:2]] == ["1", "2"]
    assert after[: len(before)] == before


@pytest.mark.parametrize("on_busy", ["reject", "interrupt", "enqueue"])
def test_one_key_is_one_answer_also_for_fifty_at_once(
    asking: ServerProcess, provider: ProviderProcess, session_id: str, on_busy: str
) -> None:
    script = Script(chunks=30, delay=0.01, tag=session_id)
    replies = asyncio.run(post_at_once(asking.url, session_id, {"content": script.question, "on_busy": on_busy}, 50))
    assert {reply.status_code for reply in replies} == {202}
    assert len({reply.json()["message"]["id"] for reply in replies}) == 1
    httpx.get(f"{asking.url}{replies[0].json()['stream_url']}?format=text", timeout=30)
    assert len(provider.requests(script.question)) == 1
    assert sum(event["type"] == "posted" for event in log_of(asking, session_id)) == 1


async def post_at_once(url: str, session_id: str, body: dict[str, str], count: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as http:
        headers = {"Idempotency-Key": session_id}
        posts = [http.post(f"/api/sessions/{session_id}/messages", json=body, headers=headers) for _ in range(count)]
        return list(await asyncio.gather(*posts))


def test_a_key_stands_for_its_answer_after_a_kill(provider: ProviderProcess, tmp_path: Path, session_id: str) -> None:
    """Killed between the commit and the answer to the request, the server knows the key when it is back."""
    script = Script(chunks=500, delay=0.01, tag=session_id)
    with running(tmp_path, **provider.environment) as server:
        url = f"{server.url}/api/sessions/{session_id}/messages"
        post = {"json": {"content": script.question}, "headers": {"Idempotency-Key": "k"}}
        first: dict[str, Any] = httpx.post(url, **post).json()  # type: ignore[arg-type]
        server.kill()
        server.start()
        again: dict[str, Any] = httpx.post(url, **post).json()  # type: ignore[arg-type]
        streamed = httpx.post(f"{url}?format=ndjson", **post)  # type: ignore[arg-type]
        other = httpx.post(url, json={"content": "something else"}, headers={"Idempotency-Key": "k"})
    assert again["message"]["id"] == first["message"]["id"]
    assert again["message"]["status"] == "interrupted"
    assert json.loads(streamed.text.strip().splitlines()[-1])["problem"]["code"] == "interrupted"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(provider.requests(script.question)) <= 1
