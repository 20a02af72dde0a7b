"""Clients that others wrote, each reading one answer with as little of our own around it as its manual shows."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import connect

HERE = Path(__file__).parent
PATIENCE = 40.0  # seconds for an answer, however often the server is gone meanwhile

Json = dict[str, Any]
Take = Callable[[Json], None]
Client = Callable[[str, str, Take], None]  # the server's address, the path of the events; what takes each event


def attempts() -> Iterator[int]:
    """As long as there is patience, one try every tenth of a second."""
    until = time.monotonic() + PATIENCE
    number = 0
    while time.monotonic() < until:
        yield number
        number += 1
        time.sleep(0.1)
    raise TimeoutError


def httpx_sse(url: str, path: str, take: Take) -> None:
    last: dict[str, str] = {}
    with httpx.Client(base_url=url, timeout=10) as client:
        for _ in attempts():
            try:
                with connect_sse(client, "GET", path, headers=last) as source:
                    if source.response.status_code == 204:
                        return
                    for event in source.iter_sse():
                        take(json.loads(event.data))
                        last = {"Last-Event-ID": event.id}
            except httpx.TransportError:
                continue


def curl(url: str, path: str, take: Take) -> None:
    """Its status says how it ended: 0 cleanly; 18 and 56, cut; 7, nobody there."""
    after = "0"
    for _ in attempts():
        command = ["curl", "--silent", "--no-buffer", "--max-time", "30", f"{url}{path}?after={after}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            block: dict[bytes, bytes] = {}
            for line in process.stdout:
                name, _, value = line.rstrip(b"\n").partition(b": ")
                block[name] = value
                if line == b"\n":
                    take(json.loads(block[b"data"]))
                    after = block[b"id"].decode()
        if process.returncode == 0:
            return
        assert process.returncode in (7, 18, 56), process.returncode


def websockets(url: str, path: str, take: Take) -> None:
    """Of a session, to the end of its answer."""
    address, after = url.replace("http", "ws"), "0"
    for _ in attempts():
        try:
            with connect(f"{address}{path}?after={after}", proxy=None) as socket:
                for frame in socket:
                    event = json.loads(frame)
                    take(event)
                    after = event["id"]
                    if event["type"] in ("complete", "error"):
                        return
        except (OSError, ConnectionClosed, InvalidMessage):
            continue


def in_node(name: str, folder: Path) -> Client:
    def client(url: str, path: str, take: Take) -> None:
        command = ["node", str(folder / f"{name}.mjs"), url + path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                take(json.loads(line))
            assert process.wait(PATIENCE) == 0

    return client


def packages(cache: Path) -> Path:
    """A folder in which Node finds the packages that package-lock.json names, byte for byte."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    for source in (*HERE.glob("*.mjs"), *HERE.glob("package*.json")):
        shutil.copy(source, folder)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=50)
    return folder


def available(cache: Path) -> dict[str, Client]:
    """Those that can run on this machine."""
    found: dict[str, Client] = {"httpx-sse": httpx_sse, "websockets": websockets}
    if shutil.which("curl"):
        found["curl"] = curl
    if shutil.which("node") and shutil.which("npm"):
        folder = packages(cache)
        found |= {name: in_node(name, folder) for name in ("eventsource", "fetch-event-source")}
    return found
