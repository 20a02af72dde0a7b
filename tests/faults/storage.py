"""What can be done to a database file from outside: filling its disk, holding its lock, cutting its WAL."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from server.storage.event_rows import event_of
from tests.faults.history import Logs

BLOCK = 1 << 20


class Disk(Protocol):
    """A folder on a disk that can be filled up, for the server process `pid`."""

    folder: Path

    def fill(self, pid: int) -> None: ...
    def free(self, pid: int) -> None: ...


class Tmpfs:
    """A small file system of its own, in memory; needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, pid: int) -> None:
        with self._filler.open("ab", buffering=0) as filler, suppress(OSError):
            for size in (BLOCK, 4096, 1):
                with suppress(OSError):
                    while filler.write(b"\0" * size):
                        pass

    def free(self, pid: int) -> None:
        self._filler.unlink(missing_ok=True)


class Quota:
    """A limit on the size of files that a process may write: what is there can be read, and nothing grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def small_disk(megabytes: int) -> Iterator[Disk]:
    """A tmpfs if that can be mounted here, else a folder with a quota."""
    folder = Path(tempfile.mkdtemp(prefix="xionimus-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield Tmpfs(folder) if mounted else Quota(folder)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """The write lock, in another process's hands as far as the server can tell."""
    with closing(sqlite3.connect(database, timeout=30, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def logs_in(database: Path) -> Logs:
    """All logs of a database that nobody has open. It is copied first: opening it would change it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / database.name
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{database}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            return _logs(connection)


def _logs(connection: sqlite3.Connection) -> Logs:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        return {}
    rows = connection.execute(
        "SELECT events.*, id FROM events JOIN sessions ON sessions.key = session ORDER BY session, seq"
    )
    logs: dict[str, list[str]] = {}
    for row in rows:
        logs.setdefault(row["id"], []).append(event_of(row["session"], row).json.decode("ascii"))
    return logs


def truncate_wal(database: Path, keep: float) -> int:
    """Cut the WAL behind a frame, keeping about the share `keep` of those that can go; how many went.

    https://www.sqlite.org/fileformat2.html#walformat and https://www.sqlite.org/walformat.html: frames that were
    copied into the database already stay, since SQLite syncs the WAL before it copies.
    """
    wal = Path(f"{database}-wal")
    if not wal.exists() or wal.stat().st_size < 32:
        return 0
    data = wal.read_bytes()
    page_size = struct.unpack(">I", data[8:12])[0]
    frame_size = 24 + page_size
    salts = data[16:24]
    frames = 0
    while data[32 + frames * frame_size :][8:16] == salts:
        frames += 1
    first = min(frames, _copied(database))
    left = first + round((frames - first) * keep)
    os.truncate(wal, 32 + left * frame_size)
    return frames - left


def _copied(database: Path) -> int:
    """How many frames a checkpoint has copied, or has tried to."""
    index = Path(f"{database}-shm").read_bytes()
    copied: int = max(struct.unpack("=I", index[96:100])[0], struct.unpack("=I", index[128:132])[0])
    return copied
