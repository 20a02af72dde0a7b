"""Backups: made beside a server that writes, and put back whatever the last one left behind."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from server.storage import backup
from server.storage.backup import restore
from tests.serving import ServerProcess, running

LEFT, ENDS = ("x.bak", "xionimus.db.new"), ("-wal", "-shm", "-journal")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[ServerProcess]:
    with running(tmp_path) as process:
        yield process


def xionimus(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XIONIMUS_DATABASE_URL": f"sqlite:///{server.folder / 'xionimus.db'}",
    }
    command = [sys.executable, "-m", "server", *arguments]
    return subprocess.run(command, cwd=server.folder, env=environment, capture_output=True, text=True, timeout=30)


def ask(server: ServerProcess, *sessions: str) -> None:
    for session in sessions:
        url = f"{server.url}/api/sessions/{session}/messages"
        httpx.post(url, json={"content": "Hello", "model": "echo"}, params={"wait": 10}).raise_for_status()


def titles(server: ServerProcess) -> set[str]:
    return {session["id"] for session in httpx.get(f"{server.url}/api/sessions").json()["sessions"]}


def messages(server: ServerProcess, session: str) -> object:
    return httpx.get(f"{server.url}/api/sessions/{session}/messages").json()["messages"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_backed_up_is_what_is_restored(stored: ServerProcess, end: str) -> None:
    ask(stored, "first", "second")
    said = messages(stored, "first")
    told = xionimus(stored, "backup", "x.bak")
    assert told.returncode == 0, told.stderr
    ask(stored, "first", *(f"later-{number}" for number in range(10)))
    cursor = httpx.get(f"{stored.url}/api/sessions/first/messages").json()["cursor"]
    getattr(stored, end)()
    told = xionimus(stored, "restore", "x.bak")
    assert told.returncode == 0, told.stderr
    stored.start()
    assert titles(stored) == {"first", "second"}
    assert messages(stored, "first") == said
    page = httpx.get(f"{stored.url}/api/sessions/first/events", params={"format": "json", "after": cursor})
    assert (page.status_code, page.json()["code"]) == (409, "cursor_reset")
    ask(stored, "first", "third")
    assert titles(stored) == {"first", "second", "third"}
    litter = {path.name for path in stored.folder.iterdir()} & {f"{name}{end}" for name in LEFT for end in ENDS}
    assert litter == set()
    [kept] = {path.name for path in stored.folder.glob("xionimus.db.2*") if not path.name.endswith(("-wal", "-shm"))}
    assert kept in told.stdout
    with closing(sqlite3.connect(stored.folder / kept)) as before:
        assert before.execute("SELECT count(*) FROM sessions").fetchone() == (12,)
    for path in (*stored.folder.glob("xionimus.db*"), stored.folder / "x.bak"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_backup_is_restored_where_there_was_nothing(stored: ServerProcess, tmp_path: Path) -> None:
    ask(stored, "only")
    xionimus(stored, "backup", "x.bak").check_returncode()
    stored.stop()
    (tmp_path / "xionimus.db").unlink()
    xionimus(stored, "restore", "x.bak").check_returncode()
    stored.start()
    assert titles(stored) == {"only"}


def test_nothing_is_written_over(stored: ServerProcess, tmp_path: Path) -> None:
    ask(stored, "only")
    (tmp_path / "x.bak").write_text("mine")
    told = xionimus(stored, "backup", "x.bak")
    assert (told.returncode, told.stderr) == (1, "xionimus: x.bak is there already; it is not written over\n")
    assert (tmp_path / "x.bak").read_text() == "mine"
    told = xionimus(stored, "backup", "no/such/folder")
    assert (told.returncode, told.stderr) == (
        1,
        "xionimus: no/such/folder cannot be written: No such file or directory\n",
    )


def test_a_server_that_runs_keeps_its_database(stored: ServerProcess) -> None:
    ask(stored, "only")
    xionimus(stored, "backup", "x.bak").check_returncode()
    told = xionimus(stored, "restore", "x.bak")
    assert told.returncode == 1
    assert "another Xionimus is using" in told.stderr
    ask(stored, "still")
    assert titles(stored) == {"only", "still"}


def test_what_root_restores_is_the_services(stored: ServerProcess, tmp_path: Path) -> None:
    xionimus(stored, "backup", "x.bak").check_returncode()
    stored.stop()
    (tmp_path / "xionimus.db-lock").unlink()
    service = os.geteuid() or 65_534  # who is not root has nothing to give away
    os.chown(tmp_path / "xionimus.db", service, -1)
    xionimus(stored, "restore", "x.bak").check_returncode()
    for name in ("xionimus.db", "xionimus.db-lock"):
        assert (tmp_path / name).stat().st_uid == service


def test_everything_that_is_replaced_is_kept(stored: ServerProcess, tmp_path: Path) -> None:
    ask(stored, "only")
    xionimus(stored, "backup", "x.bak").check_returncode()
    ask(stored, "precious")
    stored.stop()
    kept = [restore(tmp_path / "xionimus.db", tmp_path / "x.bak") for _ in range(3)]  # within one second
    assert len(set(kept)) == 3
    with closing(sqlite3.connect(str(kept[0]))) as first:
        assert first.execute("SELECT count(*) FROM sessions").fetchone() == (2,)


def test_a_backup_that_is_cut_off_is_no_backup(
    stored: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def cut(*_: object) -> str:
        names.extend(path.name for path in tmp_path.glob("x.bak*"))
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "damage", cut)
    with pytest.raises(KeyboardInterrupt):
        backup.back_up(tmp_path / "xionimus.db", tmp_path / "x.bak")
    assert len(names) == 1
    assert names != ["x.bak"]
    assert list(tmp_path.glob("x.bak*")) == []


def test_only_a_whole_backup_is_restored(stored: ServerProcess, tmp_path: Path) -> None:
    ask(stored, "only")
    httpx.post(f"{stored.url}/api/sessions/long/messages", json={"content": "x" * 60_000}).raise_for_status()
    xionimus(stored, "backup", "x.bak").check_returncode()
    stored.stop()
    with (tmp_path / "x.bak").open("r+b") as file:
        file.seek(40_000)
        file.write(b"\xff" * 20_000)
    (tmp_path / "no.bak").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.bak").touch()
    with closing(sqlite3.connect(tmp_path / "other.bak")) as other:
        other.execute("CREATE TABLE customers (name)")
    for name, said in (
        ("x.bak", "x.bak is damaged"),
        ("no.bak", "no.bak is damaged"),
        ("gone", "no backup at gone"),
        ("empty.bak", "empty.bak has nothing in it"),
        ("other.bak", "belongs to another program"),
        ("folder", "folder cannot be put at"),
    ):
        told = xionimus(stored, "restore", name)
        assert told.returncode == 1
        assert said in told.stderr
        assert "Traceback" not in told.stderr
    stored.start()
    assert titles(stored) == {"only", "long"}
