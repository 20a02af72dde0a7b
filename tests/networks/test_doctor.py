"""`xionimus doctor`: what it says about networks that are known to be bad, and about the server alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.networks.setups import BOX, Setup, free_ports, proxying
from tests.serving import ServerProcess, free_port, running


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", "server", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def through_box(kind: str, server: ServerProcess, folder: Path, silence: str) -> subprocess.CompletedProcess[str]:
    setup = Setup(kind, BOX, arguments=(kind, "PORT", "SERVER"))
    with proxying(setup, folder / "box", free_ports(1)[0], server.port) as proxy:
        return doctor(f"http://127.0.0.1:{proxy.port}", "--silence", silence)


def test_nothing_in_between_is_nothing_to_advise(server: ServerProcess) -> None:
    said = doctor(server.url, "--silence", "0.5")
    assert said.returncode == 0, said
    assert said.stdout.count("comes piece by piece") == 3
    assert said.stdout.count("lives through 0.5 s of silence") == 4
    assert "Clients stay on SSE." in said.stdout


def test_it_says_what_holds_data_back_and_the_lines_that_mend_it(server: ServerProcess, tmp_path: Path) -> None:
    said = through_box("store", server, tmp_path, "0")
    assert said.returncode == 1, said
    assert said.stdout.count("is held back until the end") == 2
    assert "go on by long-poll" in said.stdout
    for line in ("proxy_buffering off;", "option http-no-delay", "flushpackets=on", "flush_interval -1"):
        assert line in said.stdout


def test_it_says_that_one_piece_is_held_back(server: ServerProcess, tmp_path: Path) -> None:
    said = through_box("hold", server, tmp_path, "0")
    assert said.returncode == 1, said
    assert said.stdout.count("comes one piece behind") == 3


def test_it_says_what_cuts_and_after_how_long(server: ServerProcess, tmp_path: Path) -> None:
    said = through_box("cut", server, tmp_path, "3")
    assert said.returncode == 1, said
    assert said.stdout.count("is cut after 1 s of silence") == 4
    assert "XIONIMUS_HEARTBEAT" in said.stdout


@pytest.mark.parametrize("options", [["--proxy", "foo"], ["--proxy", "socks5://x:1"], ["-H", "X: ü"]])
def test_what_cannot_be_asked_with_is_told_in_a_sentence(server: ServerProcess, options: list[str]) -> None:
    refused = doctor(server.url, *options)
    assert refused.returncode == 2
    assert "cannot be asked with" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_where_nothing_is_to_be_found_is_told_in_a_sentence(server: ServerProcess) -> None:
    nowhere = doctor(f"http://127.0.0.1:{free_port()}")
    assert nowhere.returncode == 2
    assert "cannot be reached" in nowhere.stderr
    elsewhere = doctor(f"{server.url}/static")
    assert elsewhere.returncode == 2
    assert "not as Xionimus does" in elsewhere.stderr


def test_a_token_that_is_not_known_is_not_asked_for(tmp_path: Path) -> None:
    with running(tmp_path, XIONIMUS_TOKENS=f"ada:{'0' * 64}") as locked:
        without, wrong = doctor(locked.url), doctor(locked.url, "-H", "Authorization: Bearer wrong")
    assert (without.returncode, wrong.returncode) == (2, 2)
    assert "give -H" in without.stderr
    assert "does not know the token" in wrong.stderr


def test_whoever_has_read_enough_breaks_nothing(server: ServerProcess) -> None:
    command = f"{sys.executable} -m server doctor {server.url} --silence 0 | head -1"
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "is a Xionimus server" in said.stdout
    assert said.stderr == ""


@pytest.mark.anyio
async def test_the_probe_in_steps_is_a_long_poll(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        parameters = {"format": "json", "ticks": "2", "interval": "0.2"}
        first = (await client.get("/api/stream/probe", params=parameters)).json()
        second = (await client.get("/api/stream/probe", params={**parameters, "after": first["cursor"]})).json()
    assert (first["cursor"], first["done"], second["cursor"], second["done"]) == ("1", False, "2", True)
    assert [page["events"][0]["number"] for page in (first, second)] == [1, 2]


@pytest.mark.anyio
async def test_the_probe_on_a_websocket_ends_after_its_ticks(server: ServerProcess) -> None:
    async with connect(f"{server.url.replace('http', 'ws')}/ws/probe?ticks=2&interval=0.1", proxy=None) as socket:
        ticks = [json.loads(frame) async for frame in socket]
    assert [tick["number"] for tick in ticks] == [1, 2]
    assert socket.close_code == 1000


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["ticks=0", "ticks=11", "interval=0", "interval=61", "interval=nan", "format=text"])
async def test_a_probe_without_bounds_is_refused(server: ServerProcess, query: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get(f"/api/stream/probe?{query}")).status_code == 422
